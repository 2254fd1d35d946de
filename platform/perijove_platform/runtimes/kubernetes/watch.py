"""The objects of one kind as they stand, kept fresh by a watch."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import Gone, KubernetesError, NotFound, Unreachable
from perijove_platform.runtimes.kubernetes.objects import Object, ResourceType, get, name_of, namespace_of

logger = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 4.0
_ABSENT_SECONDS = 15.0
"""Between two attempts to list a kind that the cluster does not know, as Kueue's before it is installed."""
_LOGGED_AFTER = 3
_SYNC_SECONDS = 5.0


class Key(NamedTuple):
    """Where an object is; `namespace` is empty for one of the whole cluster."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Change:
    """What happened to one object.

    Attributes:
        old: as it was; ``None`` for one that is new.
        new: as it is; ``None`` for one that has gone.
    """

    key: Key
    old: Object | None
    new: Object | None


OnChange = Callable[[Change], None]


def key_of(item: Object) -> Key:
    return Key(namespace_of(item) or "", name_of(item))


class Reflector:
    """The objects of a kind, of the whole cluster, that a selector chooses.

    It lists them, watches from there on, watches again where a watch ended, and lists anew when it was away too long;
    what was missed meanwhile comes as changes too. So `objects` together with the changes is never wrong for long,
    and no change is told twice.

    Args:
        keep: makes of an object what is kept of it: large parts that nobody reads are dropped there.
        on_change: called at once, in the event loop; it must not wait.

    Attributes:
        objects: as they stand; empty until `synced` is set.
        absent: the cluster does not know this kind.
        problem: why it cannot be listed, in words; ``None`` while it can.
    """

    def __init__(
        self,
        client: KubernetesClient,
        type: ResourceType,
        *,
        labels: str | None = None,
        fields: str | None = None,
        keep: Callable[[Object], Object] | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self.type = type
        self.objects: dict[Key, Object] = {}
        self.synced = asyncio.Event()
        self.absent = False
        self.problem: str | None = None
        self._client = client
        self._labels = labels
        self._fields = fields
        self._keep = keep or _whole
        self._listeners: list[OnChange] = [] if on_change is None else [on_change]

    def __iter__(self) -> Iterator[Object]:
        return iter(self.objects.values())

    def find(self, namespace: str, name: str) -> Object | None:
        return self.objects.get(Key(namespace, name))

    def listen(self, on_change: OnChange) -> None:
        """One more that is told of changes."""
        self._listeners.append(on_change)

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            await self._client.transport.wait_reachable()
            try:
                version = await self._list()
                failures = 0
                while True:
                    version = await self._watch(version)
            except Gone:
                continue
            except NotFound as error:
                failures += 1
                self._fail(error, absent=True)
                await asyncio.sleep(_back_off(failures, None, longest=_ABSENT_SECONDS))
            except (KubernetesError, Unreachable) as error:
                failures += 1
                self._fail(error, absent=False)
                if failures == _LOGGED_AFTER:
                    logger.warning("%s of the cluster cannot be watched: %s", self.type.plural, error)
                await asyncio.sleep(_back_off(failures, getattr(error, "retry_after", None)))

    async def _list(self) -> str:
        found: dict[Key, Object] = {}
        version = ""
        pages = self._client.list(self.type, labels=self._labels, fields=self._fields)
        async with aclosing(pages):
            async for page in pages:
                version = page.resource_version
                for item in page.items:
                    found[key_of(item)] = self._keep(item)
        self._replace(found)
        self.absent, self.problem = False, None
        self.synced.set()
        return version

    async def _watch(self, version: str) -> str:
        """One watch to its end; the version from which the next one goes on.

        A cut is not an error: what was read until then counts, and the next watch begins there.
        """
        events = self._client.watch(
            self.type,
            version,
            labels=self._labels,
            fields=self._fields,
            seconds=random.randrange(240, 360),  # noqa: S311
        )
        begun = asyncio.get_running_loop().time()
        told = False
        try:
            async with aclosing(events):
                async for event in events:
                    told = True
                    version = str(get(event.object, "metadata", "resourceVersion", default=version))
                    self._apply(event.type, event.object)
        except Unreachable:
            await self._client.transport.wait_reachable()
        if not told and asyncio.get_running_loop().time() - begun < 1.0:
            # Refused or ended at once: the list says whether there is anything to watch at all.
            await asyncio.sleep(_back_off(1, None))
            raise Gone(410, "", "the watch ended at once")
        return version

    def _apply(self, type: str, item: Object) -> None:
        key = key_of(item)
        if type == "DELETED":
            old = self.objects.pop(key, None)
            if old is not None:
                self._tell(Change(key, old, None))
        elif type in ("ADDED", "MODIFIED"):
            old, new = self.objects.get(key), self._keep(item)
            self.objects[key] = new
            self._tell(Change(key, old, new))

    def _replace(self, found: Mapping[Key, Object]) -> None:
        before = self.objects
        self.objects = dict(found)
        for key, old in before.items():
            new = found.get(key)
            if new is None or get(new, "metadata", "uid") != get(old, "metadata", "uid"):
                self._tell(Change(key, old, None))
        for key, new in found.items():
            old_or_none = before.get(key)
            if old_or_none is not None and get(old_or_none, "metadata", "uid") != get(new, "metadata", "uid"):
                old_or_none = None
            if old_or_none is None or _version(old_or_none) != _version(new):
                self._tell(Change(key, old_or_none, new))

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                logger.exception("A change of %s %s cannot be taken", self.type.kind, change.key.name)

    def _fail(self, error: Exception, *, absent: bool) -> None:
        self.absent = absent
        self.problem = str(error)
        if absent:
            # Whoever waits for the objects of a kind that is not there waits for nothing.
            self._replace({})
            self.synced.set()


async def synced(reflectors: Iterable[Reflector]) -> None:
    """Once they show what there is.

    Raises:
        Unreachable: they do not within some seconds; says why.
    """
    waits = [reflector for reflector in reflectors if not reflector.synced.is_set()]
    try:
        async with asyncio.timeout(_SYNC_SECONDS):
            await asyncio.gather(*(reflector.synced.wait() for reflector in waits))
    except TimeoutError:
        why = next((found.problem for found in waits if found.problem is not None), "it does not answer yet")
        raise Unreachable(why) from None


def _whole(item: Object) -> Object:
    return item


def _version(item: Object) -> str:
    return str(get(item, "metadata", "resourceVersion", default=""))


def _back_off(failures: int, retry_after: float | None, *, longest: float = _LONGEST_WAIT_SECONDS) -> float:
    """Seconds, growing with the number of failures in a row, and never the same for two who failed together."""
    wait = min(longest, _FIRST_WAIT_SECONDS * 2.0 ** min(failures, 16))
    spread = random.uniform(0.5, 1.0)  # noqa: S311
    return max(wait * spread, min(retry_after or 0.0, longest))
