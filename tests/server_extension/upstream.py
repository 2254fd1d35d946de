"""A small platform elsewhere: an ASGI application that shows what reached it. Run with the descriptor of its socket."""

import asyncio
import hashlib
import socket
import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

app = FastAPI()
gone: list[str] = []
released = asyncio.Event()


@app.get("/v1/status")
async def status() -> dict[str, str]:
    return {"version": "9.9"}


@app.api_route("/v1/echo/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])
async def echo(request: Request) -> JSONResponse:
    digest = hashlib.sha256()
    size = 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    shown = {
        "raw_path": request.scope["raw_path"].decode(),
        "query": request.scope["query_string"].decode(),
        "headers": dict(request.headers),
        "size": size,
        "sha256": digest.hexdigest(),
    }
    refused = {"Set-Cookie": "stolen=1", "Content-Security-Policy": "default-src *", "X-Request-Id": "req-1"}
    return JSONResponse(shown, status_code=201, headers=refused)


@app.get("/v1/events")
async def events() -> StreamingResponse:
    async def stream():
        try:
            yield ": hello\n\nid: 1\ndata: one\n\n"
            await released.wait()
            yield "id: 2\ndata: two\n\n"
            await asyncio.sleep(3600)
        finally:
            gone.append("events")

    released.clear()
    return StreamingResponse(stream(), media_type="text/event-stream")


@app.post("/v1/release")
async def release() -> Response:
    released.set()
    return Response(status_code=204)


@app.get("/v1/gone")
async def gone_list() -> list[str]:
    return gone


@app.get("/v1/broken")
async def broken() -> StreamingResponse:
    async def stream():
        yield b"half of it"
        raise RuntimeError("broken off on purpose")

    return StreamingResponse(stream(), media_type="text/plain")


if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
