"""People and projects of a platform besides its own: written into its database, as there is no route for them."""

import asyncio
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.platforms import Platform


@dataclass(frozen=True)
class Person:
    """Somebody with a key of their own.

    Attributes:
        key: an API key, good for one project.
    """

    id: str
    name: str
    organization_id: str
    project_id: str
    key: str


def add_person(platform: Platform, name: str, *, project: str, scopes: Iterable[str] | None = None) -> Person:
    """A user of the platform's organization, with a key of a project that is made when missing.

    Args:
        project: its id.
        scopes: of the key; every one by default.
    """
    person = Person(
        id=f"user_{secrets.token_hex(8)}",
        name=name,
        organization_id=f"org-{platform.name}",
        project_id=project,
        key=f"sk-perijove-{secrets.token_urlsafe(32)}",
    )
    # In a thread of its own, so that whoever has an event loop already can call this too.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(_write(platform, person, scopes))).result()
    return person


async def _write(platform: Platform, person: Person, scopes: Iterable[str] | None) -> None:
    from perijove_platform.database import Database
    from perijove_platform.rbac import SCOPES
    from perijove_platform.settings import Settings
    from perijove_platform.users.service import hash_of_key
    from perijove_platform.users.store import ApiKeyStore, ProjectRow, UserRow

    database = Database(Settings(data_dir=platform.data(), database_url=platform.database_url).sql_url)
    try:
        async with database.write() as session:
            if await session.get(ProjectRow, person.project_id) is None:
                session.add(
                    ProjectRow(id=person.project_id, organization_id=person.organization_id, name=person.project_id)
                )
            session.add(UserRow(id=person.id, name=person.name))
            await session.flush()
            await ApiKeyStore(session, person.project_id).add(
                organization_id=person.organization_id,
                created_by=person.id,
                name="Test",
                secret_hash=hash_of_key(person.key),
                hint="sk-perijove-…",
                scopes=sorted(SCOPES if scopes is None else scopes),
            )
    finally:
        await database.close()
