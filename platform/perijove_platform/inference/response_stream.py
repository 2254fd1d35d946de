"""The semantic events of one response, in OpenAI's order, and the response object that they build up."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from perijove_platform.database import now
from perijove_platform.errors import ApiError, BadRequest, RateLimited
from perijove_platform.ids import new_id
from perijove_platform.inference.catalog import Passage
from perijove_platform.inference.engine import Delta, TokenCount
from perijove_platform.inference.response_schemas import ResponseRequest

Event = dict[str, Any]


def response_body(request: ResponseRequest) -> dict[str, Any]:
    """The response as it stands at the beginning."""
    choice = request.tool_choice if request.tool_choice is not None else "auto"
    given_format = request.text.format if request.text is not None else None
    text_format = {"type": "text"} if given_format is None else given_format.model_dump(by_alias=True)
    reasoning = request.reasoning or {}
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.store is not False,
        "temperature": request.temperature,
        "text": {"format": text_format, "verbosity": "medium"},
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(exclude_none=True),
        "tools": request.tools or [],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
    }


class ResponseBuilder:
    """Turns deltas into events; each method yields the events that follow.

    Args:
        show_results: put the passages into the file search item.
    """

    def __init__(self, request: ResponseRequest, *, show_results: bool) -> None:
        self.response = response_body(request)
        self._show_results = show_results
        self._logprobs = request.top_logprobs is not None or "message.output_text.logprobs" in (request.include or ())
        self._sequence = 0
        self._message: dict[str, Any] | None = None
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish_reason = "stop"
        self._passages: list[Passage] = []

    def _event(self, type: str, **fields: Any) -> Event:
        event = {"type": type, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return event

    def _whole(self, type: str) -> Event:
        return self._event(type, response=self.response)

    def begin(self) -> Iterator[Event]:
        yield self._whole("response.created")
        yield self._whole("response.in_progress")

    def _add_item(self, item: dict[str, Any]) -> Event:
        self.response["output"].append(item)
        return self._event("response.output_item.added", output_index=len(self.response["output"]) - 1, item=item)

    def _at(self, item: dict[str, Any]) -> dict[str, Any]:
        index = next(index for index, other in enumerate(self.response["output"]) if other is item)
        return {"item_id": item["id"], "output_index": index}

    def _item_done(self, item: dict[str, Any]) -> Event:
        return self._event("response.output_item.done", output_index=self._at(item)["output_index"], item=item)

    def search_begins(self, query: str) -> Iterator[Event]:
        item = {"id": new_id("fs_"), "type": "file_search_call", "status": "in_progress", "queries": [query]}
        yield self._add_item({**item, "results": None})
        item = self.response["output"][-1]
        yield self._event("response.file_search_call.in_progress", **self._at(item))
        item["status"] = "searching"
        yield self._event("response.file_search_call.searching", **self._at(item))

    def search_ends(self, passages: Sequence[Passage], used: Sequence[Passage]) -> Iterator[Event]:
        """`used` are those of the passages that the model is given."""
        item = self.response["output"][-1]
        self._passages = list(used)
        item["status"] = "completed"
        if self._show_results:
            item["results"] = [
                {
                    "file_id": passage.file_id,
                    "filename": passage.filename,
                    "score": passage.score,
                    "text": passage.text,
                    "attributes": dict(passage.attributes),
                }
                for passage in passages
            ]
        yield self._event("response.file_search_call.completed", **self._at(item))
        yield self._item_done(item)

    def add(self, delta: Delta) -> Iterator[Event]:
        if delta.text or (delta.logprobs and self._message is not None):
            yield from self._text(delta)
        for call in delta.tool_calls or ():
            yield from self._call(call)
        self._finish_reason = delta.finish_reason or self._finish_reason

    def _text(self, delta: Delta) -> Iterator[Event]:
        message = self._message
        if message is None:
            message = yield from self._begin_message()
        part = message["content"][0]
        entries = _logprobs(delta) if self._logprobs else []
        part["text"] += delta.text
        part["logprobs"] += entries
        where = {**self._at(message), "content_index": 0}
        yield self._event("response.output_text.delta", **where, delta=delta.text, logprobs=entries)

    def _begin_message(self) -> Generator[Event, None, dict[str, Any]]:
        message: dict[str, Any] = {"id": new_id("msg_"), "type": "message", "status": "in_progress"}
        message |= {"role": "assistant", "content": []}
        self._message = message
        yield self._add_item(message)
        part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        message["content"].append(part)
        yield self._event("response.content_part.added", **self._at(message), content_index=0, part=part)
        return message

    def _call(self, call: dict[str, Any]) -> Iterator[Event]:
        index, function = call.get("index", 0), call.get("function") or {}
        item = self._calls.get(index)
        if item is None:
            item = self._calls[index] = {
                "id": new_id("fc_"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": call.get("id") or new_id("call_"),
                "name": function.get("name", ""),
                "arguments": "",
            }
            yield self._add_item(item)
        if text := function.get("arguments"):
            item["arguments"] += text
            yield self._event("response.function_call_arguments.delta", **self._at(item), delta=text)

    def end(self, count: TokenCount) -> Iterator[Event]:
        """Close what is open; the last event, with the whole response, is made by `finish`."""
        status = "incomplete" if self._finish_reason == "length" else "completed"
        if self._message is None and not self._calls:
            yield from self._begin_message()
        if self._message is not None:
            yield from self._end_message(self._message, status)
        for item in self._calls.values():
            item["status"] = status
            arguments = item["arguments"]
            yield self._event(
                "response.function_call_arguments.done", **self._at(item), name=item["name"], arguments=arguments
            )
            yield self._item_done(item)
        self.response["status"] = status
        self.response["completed_at"] = now() if status == "completed" else None
        self.response["incomplete_details"] = {"reason": "max_output_tokens"} if status == "incomplete" else None
        self.response["usage"] = usage_body(count)

    def _end_message(self, message: dict[str, Any], status: str) -> Iterator[Event]:
        part = message["content"][0]
        where = {**self._at(message), "content_index": 0}
        files = {passage.file_id: passage.filename for passage in self._passages}
        for index, (file_id, filename) in enumerate(files.items()):
            annotation = {"type": "file_citation", "file_id": file_id, "filename": filename, "index": index}
            part["annotations"].append(annotation)
            yield self._event(
                "response.output_text.annotation.added", **where, annotation_index=index, annotation=annotation
            )
        yield self._event("response.output_text.done", **where, text=part["text"], logprobs=part["logprobs"])
        yield self._event("response.content_part.done", **where, part=part)
        message["status"] = status
        yield self._item_done(message)

    def finish(self) -> Event:
        return self._whole(f"response.{self.response['status']}")

    def fail(self, error: ApiError) -> Iterator[Event]:
        match error:
            case BadRequest():
                code = "invalid_prompt"
            case RateLimited():
                code = "rate_limit_exceeded"
            case _:
                code = "server_error"
        self._break_off("failed")
        self.response["error"] = {"code": code, "message": error.message}
        yield self._event("error", code=error.code, message=error.message, param=error.param)
        yield self._whole("response.failed")

    def cancel(self) -> bool:
        """The client has left. Whether the response was still being made."""
        if self.response["status"] != "in_progress":
            return False
        self._break_off("cancelled")
        return True

    def _break_off(self, status: str) -> None:
        """End where it stands; a message that has no text yet is left out."""
        self.response["output"] = [item for item in self.response["output"] if item.get("content") != []]
        for item in self.response["output"]:
            if item["status"] != "completed":
                item["status"] = "incomplete"
        self.response["status"] = status


def _logprobs(delta: Delta) -> list[dict[str, Any]]:
    def token(entry: dict[str, Any]) -> dict[str, Any]:
        return {"token": entry["token"], "bytes": entry["bytes"], "logprob": entry["logprob"]}

    return [
        {**token(entry), "top_logprobs": [token(t) for t in entry["top_logprobs"]]} for entry in delta.logprobs or ()
    ]


def usage_body(count: TokenCount) -> dict[str, Any]:
    return {
        "input_tokens": count.prompt,
        "input_tokens_details": {"cached_tokens": count.cached, "cache_write_tokens": 0},
        "output_tokens": count.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count.prompt + count.completion,
    }
