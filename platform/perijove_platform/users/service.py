"""Rules of users and API keys, and the authenticator that every route uses."""

import asyncio
import getpass
import hashlib
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path

from perijove_platform.database import Database, now
from perijove_platform.errors import BadRequest, Conflict, NotFound
from perijove_platform.events import EventBus
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.schemas import Deleted
from perijove_platform.users.schemas import ApiKey, ApiKeyCreate, ApiKeyCreated
from perijove_platform.users.store import (
    ApiKeyRow,
    ApiKeyStore,
    UserRow,
    ensure_local,
    has_key,
    has_project,
    local_id_of,
    owner_of_key,
)

MAX_KEYS = 1000
CACHED_KEYS = 1024
CACHE_SECONDS = 10.0


class UsersService:
    """Knows every key, and the one user of a laptop.

    Args:
        key_file: where the laptop's own key lies, readable by this user only.
        local_id: ends the ids of the laptop's organization, project and user; those that the database has, or random
            ones, when left out.
    """

    def __init__(self, database: Database, events: EventBus, *, key_file: Path, local_id: str | None = None) -> None:
        self._database = database
        self._events = events
        self._key_file = key_file
        self._local_id = local_id
        self._cache: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    async def start(self) -> None:
        """Make the laptop's user and key where they are missing; a key file that was kept is honoured again."""
        secret = await asyncio.to_thread(_read_or_create_key, self._key_file)
        async with self._database.write() as session:
            found = await local_id_of(session)
            self._local_id = self._local_id or found or secrets.token_hex(4)
            local = self.local_caller()
            await ensure_local(
                session,
                organization_id=local.organization_id,
                project_id=local.project_id,
                user_id=local.user_id,
                name=local.user_name,
            )
            known = await owner_of_key(session, hash_of_key(secret))
            if known is not None:
                known[0].scopes = sorted(SCOPES)  # a newer platform has more of them
            else:
                await ApiKeyStore(session, local.project_id).add(
                    organization_id=local.organization_id,
                    created_by=local.user_id,
                    name="This machine",
                    secret_hash=hash_of_key(secret),
                    hint=_hint(secret),
                    scopes=sorted(SCOPES),
                )

    async def stop(self) -> None:
        """Forget every key that was looked up."""
        self._cache.clear()

    def local_caller(self) -> Caller:
        """The laptop's user, for what the platform does by itself.

        Raises:
            RuntimeError: this has not started, and nobody has said who it is.
        """
        ending = self._local_id
        if ending is None:
            raise RuntimeError("The laptop's user is known once UsersService.start() has run.")
        return Caller(f"user-{ending}", _user_name(), f"org-{ending}", f"proj-{ending}", SCOPES, "")

    async def authenticate(self, token: str) -> Caller | None:
        """See `rbac.Authenticator`. Answers are kept for `CACHE_SECONDS`, refusals are not."""
        secret_hash = hash_of_key(token)
        cached = self._cache.get(secret_hash)
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        async with self._database.read() as session:
            found = await owner_of_key(session, secret_hash)
        if found is None or (found[0].expires_at is not None and found[0].expires_at <= now()):
            return None
        caller = _caller(*found)
        seconds = CACHE_SECONDS
        if found[0].expires_at is not None:
            seconds = min(seconds, found[0].expires_at - now())
        self._cache[secret_hash] = (time.monotonic() + seconds, caller)
        if len(self._cache) > CACHED_KEYS:
            self._cache.popitem(last=False)
        return caller

    async def has_key(self, key_id: str) -> bool:
        """Whether there is such a key of any project, and it has not expired."""
        async with self._database.read() as session:
            return await has_key(session, key_id)

    async def has_project(self, organization_id: str, project_id: str) -> bool:
        async with self._database.read() as session:
            return await has_project(session, organization_id, project_id)

    async def list_keys(self, caller: Caller, params: ListParams) -> Page[ApiKey]:
        async with self._database.read() as session:
            rows, more = await ApiKeyStore(session, caller.project_id).page(params)
        return page([_public(row) for row in rows], more)

    async def create_key(self, caller: Caller, request: ApiKeyCreate) -> ApiKeyCreated:
        """A key of the caller's project with no more than the caller's own scopes."""
        scopes = sorted(request.scopes if request.scopes is not None else caller.scopes)
        beyond = sorted(set(scopes) - caller.scopes)
        if beyond:
            raise BadRequest(f"Your own key lacks the scope '{beyond[0]}', so it cannot give it.", param="scopes")
        secret = _new_secret()
        expires_at = now() + request.expires_in_seconds if request.expires_in_seconds is not None else None
        async with self._database.write() as session:
            store = ApiKeyStore(session, caller.project_id)
            if await store.count() >= MAX_KEYS:
                raise Conflict(f"The project has {MAX_KEYS} API keys, the most it can have. Delete one first.")
            row = await store.add(
                organization_id=caller.organization_id,
                created_by=caller.user_id,
                name=request.name,
                secret_hash=hash_of_key(secret),
                hint=_hint(secret),
                scopes=list(scopes),
                expires_at=expires_at,
            )
            await self._events.publish(session, "api_key.created", row, row.id, _public(row))
        return ApiKeyCreated(**_public(row).model_dump(), secret=secret)

    async def delete_key(self, caller: Caller, key_id: str) -> Deleted:
        """Revoke a key; it stops working at once. The key of the request itself is refused."""
        if key_id == caller.key_id:
            raise Conflict("This is the key of the request itself. Revoke it with another key.")
        async with self._database.write() as session:
            store = ApiKeyStore(session, caller.project_id)
            row = await store.get(key_id)
            if row is None:
                raise NotFound(f"No API key '{key_id}' in this project.", param="id")
            await store.delete(row)
            await self._events.publish(session, "api_key.deleted", row, row.id, {"id": row.id, "object": "api_key"})
        self._cache.pop(row.secret_hash, None)
        return Deleted(id=key_id, object="api_key")


def _caller(key: ApiKeyRow, user: UserRow) -> Caller:
    return Caller(
        user_id=user.id,
        user_name=user.name,
        organization_id=key.organization_id,
        project_id=key.project_id,
        scopes=frozenset(scope for scope in SCOPES if scope in key.scopes),
        key_id=key.id,
    )


def _public(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        scopes=row.scopes,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
    )


def _new_secret() -> str:
    return f"sk-perijove-{secrets.token_urlsafe(32)}"


def hash_of_key(secret: str) -> str:
    """What is kept of a key, and what it is found by."""
    # A key has 256 random bits, so a plain digest cannot be searched; no salt is needed to look it up.
    return hashlib.sha256(secret.encode()).hexdigest()


def _hint(secret: str) -> str:
    return f"{secret[:15]}…{secret[-4:]}"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"


def _read_or_create_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        secret = path.read_text().strip()
    except FileNotFoundError:
        secret = ""
    if secret:
        path.chmod(0o600)
        return secret
    secret = _new_secret()
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return secret
