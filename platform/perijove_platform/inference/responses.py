"""Responses: a chat with memory on the platform's side, and with file search before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from perijove_platform.database import Database
from perijove_platform.errors import ApiError, BadRequest, NotFound, Unavailable
from perijove_platform.inference import chat, response_input
from perijove_platform.inference.catalog import FileSearch, Passage
from perijove_platform.inference.choices import Choices
from perijove_platform.inference.engine import ContextExceeded, Delta, EngineSession
from perijove_platform.inference.response_schemas import FileSearchTool, ItemList, NamedToolChoice, ResponseRequest
from perijove_platform.inference.response_stream import Event, ResponseBuilder
from perijove_platform.inference.schemas import Message
from perijove_platform.inference.service import InferenceService
from perijove_platform.inference.store import ResponseRow, ResponseStore
from perijove_platform.pagination import ListParams
from perijove_platform.rbac import Caller

MAX_CHAIN = 256
MAX_TRUNCATIONS = 8
DEFAULT_RESULTS = 20
MAX_QUERY_CHARACTERS = 4096
CHARACTERS_PER_TOKEN = 3
"""Rather too few, so that what is estimated to fit does fit."""
PASSAGES_SHARE = 0.5
"""The part of the context that passages may fill; the rest is for the conversation and the answer."""


@dataclass(frozen=True)
class _Turn:
    """One request on its way to its response.

    Attributes:
        searches: the file searches to do first.
        items: its own input, as it is stored.
        messages: the whole conversation, as the model is asked.
    """

    request: ResponseRequest
    tools: response_input.ResponseTools
    searches: Sequence[FileSearchTool]
    items: list[dict[str, Any]]
    messages: list[Message]
    builder: ResponseBuilder


class ResponsesService:
    """`/v1/responses`.

    Args:
        inference: leases engines and accounts usage.
        file_search: where the tool `file_search` looks; without it the tool is refused.
    """

    def __init__(self, database: Database, inference: InferenceService, file_search: FileSearch | None) -> None:
        self._database = database
        self._inference = inference
        self._file_search = file_search

    async def create(self, caller: Caller, request: ResponseRequest) -> dict[str, Any]:
        """The finished response.

        Raises:
            ApiError: whatever made it fail; nothing is stored then, since nobody was told an id.
        """
        turn = await self._prepare(caller, request)
        async with aclosing(self._run(caller, turn)) as events:
            async for _ in events:
                pass
        return turn.builder.response

    async def stream(self, caller: Caller, request: ResponseRequest) -> AsyncGenerator[Event]:
        """The response as events; a failure after the first one becomes an event.

        The first event tells the id, so a response that ends early after it is stored too: as failed, or as cancelled
        when the client leaves.
        """
        turn = await self._prepare(caller, request)
        begun = False
        try:
            async with aclosing(self._run(caller, turn)) as events:
                async for event in events:
                    begun = True
                    yield event
        except ApiError as error:
            if not begun:
                raise
            failure = list(turn.builder.fail(error))
            await self._keep(caller, turn)
            for event in failure:
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            if begun and turn.builder.cancel():
                await self._keep(caller, turn)
            raise

    async def _prepare(self, caller: Caller, request: ResponseRequest) -> _Turn:
        """Refuse what cannot be answered, before an engine is asked for."""
        tools = response_input.check(request)
        items = response_input.items_of(request)
        named_function = isinstance(request.tool_choice, NamedToolChoice) and request.tool_choice.type == "function"
        searches = [] if request.tool_choice == "none" or named_function else tools.file_searches
        if searches and self._file_search is None:
            raise Unavailable("This platform runs without vector stores, which 'file_search' needs.", param="tools")
        earlier = await self._history(caller, request.previous_response_id)
        messages = response_input.messages_of([*earlier, *items])
        if not messages:
            raise BadRequest("'input' has no message. Send at least one.", param="input")
        if request.instructions:
            messages.insert(0, Message(role="system", content=request.instructions))
        builder = ResponseBuilder(request, show_results="file_search_call.results" in (request.include or ()))
        return _Turn(request, tools, searches, items, messages, builder)

    async def _run(self, caller: Caller, turn: _Turn) -> AsyncGenerator[Event]:
        builder = turn.builder
        async with self._inference.session(caller, turn.request.model, context_param="input") as session:
            for event in builder.begin():
                yield event
            if self._file_search is not None and turn.searches:
                async with aclosing(self._search(caller, session, self._file_search, turn)) as found:
                    async for event in found:
                        yield event
            async with aclosing(self._generate(session, turn)) as deltas:
                async for delta in deltas:
                    for event in builder.add(delta):
                        yield event
            for event in builder.end(session.totals()):
                yield event
            await self._keep(caller, turn)
        yield builder.finish()

    async def _generate(self, session: EngineSession, turn: _Turn) -> AsyncGenerator[Delta]:
        messages = turn.messages
        for attempt in range(MAX_TRUNCATIONS + 1):
            asked = response_input.chat_request(turn.request, turn.tools, messages)
            choices: Choices = await chat.choices_of(session, asked)
            try:
                async with aclosing(choices):
                    async for _, delta in choices:
                        yield delta
                return
            except ContextExceeded as error:
                # The engine refuses before the first delta, so nothing has been yielded twice.
                if turn.request.truncation != "auto" or attempt == MAX_TRUNCATIONS:
                    raise
                messages = _truncated(messages, error)

    async def _search(
        self, caller: Caller, session: EngineSession, file_search: FileSearch, turn: _Turn
    ) -> AsyncGenerator[Event]:
        query = _query(turn.messages)
        room = int(session.route.endpoint.context_length * PASSAGES_SHARE * CHARACTERS_PER_TOKEN)
        used: list[Passage] = []
        for tool in turn.searches:
            for event in turn.builder.search_begins(query):
                yield event
            passages = await file_search.search_passages(
                caller.project_id,
                tool.vector_store_ids,
                query,
                max_num_results=tool.max_num_results or DEFAULT_RESULTS,
                filters=tool.filters,
                ranking_options=tool.ranking_options,
            )
            for passage in passages:
                if room > 0:
                    used.append(passage)
                    room -= len(passage.text)
            for event in turn.builder.search_ends(passages, used):
                yield event
        if used:
            _insert_passages(turn.messages, used, room)

    async def _history(self, caller: Caller, response_id: str | None) -> list[dict[str, Any]]:
        """The items of the conversation up to that response, oldest first."""
        turns: list[list[dict[str, Any]]] = []
        async with self._database.read() as session:
            store = ResponseStore(session, caller.project_id)
            while response_id is not None:
                row = await store.get(response_id)
                if row is None:
                    raise NotFound(
                        f"Previous response '{response_id}' is not stored. Send the conversation in 'input' instead.",
                        param="previous_response_id",
                        code="previous_response_not_found",
                    )
                turns.append([*row.input, *filter(_can_be_replayed, row.body["output"])])
                response_id = row.previous_response_id
                if len(turns) > MAX_CHAIN:
                    raise BadRequest(
                        f"The conversation has over {MAX_CHAIN} responses: begin a new one.",
                        param="previous_response_id",
                    )
        return [item for turn in reversed(turns) for item in turn]

    async def _keep(self, caller: Caller, turn: _Turn) -> None:
        if turn.request.store is False:
            return
        response = turn.builder.response
        async with self._database.write() as session:
            ResponseStore(session, caller.project_id).add(
                ResponseRow(
                    id=response["id"],
                    organization_id=caller.organization_id,
                    project_id=caller.project_id,
                    created_by=caller.user_id,
                    created_at=response["created_at"],
                    previous_response_id=turn.request.previous_response_id,
                    input=turn.items,
                    body=response,
                )
            )

    async def _row(self, caller: Caller, response_id: str) -> ResponseRow:
        async with self._database.read() as session:
            row = await ResponseStore(session, caller.project_id).get(response_id)
        if row is None:
            raise _not_found(response_id)
        return row

    async def retrieve(self, caller: Caller, response_id: str) -> dict[str, Any]:
        return (await self._row(caller, response_id)).body

    async def delete(self, caller: Caller, response_id: str) -> None:
        async with self._database.write() as session:
            if not await ResponseStore(session, caller.project_id).delete(response_id):
                raise _not_found(response_id)

    async def cancel(self, caller: Caller, response_id: str) -> None:
        """There is nothing to cancel: an answer ends when its request's connection is closed.

        Raises:
            BadRequest: always, for a response that exists.
        """
        await self._row(caller, response_id)
        raise BadRequest(
            "Only background responses can be cancelled, and this platform has none. Close the stream to stop one.",
            code="unsupported",
        )

    async def input_items(self, caller: Caller, response_id: str, params: ListParams) -> ItemList:
        """A page of what was sent, in the order asked for."""
        row = await self._row(caller, response_id)
        items = row.input if params.order == "asc" else row.input[::-1]
        if params.after is not None and params.before is not None:
            raise BadRequest("Give 'after' or 'before', not both.", param="before")
        if params.after is not None:
            items = items[_place(items, params.after, "after") + 1 :]
        if params.before is not None:
            items = items[: _place(items, params.before, "before")]
        page = items[-params.limit :] if params.before is not None else items[: params.limit]
        ids = [item["id"] for item in page]
        return ItemList(
            data=page,
            first_id=ids[0] if ids else "",
            last_id=ids[-1] if ids else "",
            has_more=len(items) > len(page),
        )


def _can_be_replayed(item: dict[str, Any]) -> bool:
    """Half of a text is a text; half of a function's arguments is no JSON."""
    return bool(item["type"] != "function_call" or item["status"] == "completed")


def _not_found(response_id: str) -> NotFound:
    return NotFound(
        f"No response has the id '{response_id[:64]}'. Only those made with 'store' (the default) are kept.",
        param="response_id",
    )


def _place(items: Sequence[dict[str, Any]], item_id: str, param: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == item_id:
            return index
    raise BadRequest(f"'{param}' names no input item of this response.", param=param)


def _query(messages: Sequence[Message]) -> str:
    """What to search for: the newest message of the user."""
    for message in reversed(messages):
        if message.role == "user" and message.content:
            return str(message.content)[-MAX_QUERY_CHARACTERS:]
    raise BadRequest("'file_search' needs a message of the user to search for.", param="input")


def _insert_passages(messages: list[Message], passages: Sequence[Passage], room: int) -> None:
    """Put the passages before the conversation; `room` below 0 is cut from the last one."""
    texts = [f"[{number}] {passage.filename}\n{passage.text}" for number, passage in enumerate(passages, 1)]
    if room < 0:
        texts[-1] = texts[-1][:room]
    told = "Answer from these passages of the user's files:\n\n" + "\n\n".join(texts)
    if messages[0].role in ("system", "developer"):
        messages[0] = Message(role="system", content=f"{messages[0].content}\n\n{told}")
    else:
        messages.insert(0, Message(role="system", content=told))


def _truncated(messages: Sequence[Message], error: ContextExceeded) -> list[Message]:
    """The messages without the oldest, by as much as the context was exceeded; system messages and the last stay."""
    surplus = 1 - error.context_length * 0.75 / max(1, error.prompt_tokens)
    to_drop = surplus * sum(len(str(message.content)) for message in messages)
    kept: list[Message] = []
    for index, message in enumerate(messages):
        if to_drop > 0 and message.role not in ("system", "developer") and index < len(messages) - 1:
            to_drop -= len(str(message.content))
        # An output without its call would be refused.
        elif message.role != "tool" or any(other.tool_calls for other in kept):
            kept.append(message)
    if len(kept) == len(messages):
        raise error
    return kept
