"""The whole of it: what is started in which order, and how it ends.

Beside a cluster that is named, that is S3, PostgreSQL and certificates; Kubernetes and Kueue are there.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from programs import CannotBuild, build, build_all, caches

from testbed import (
    addons,
    certificates,
    control_plane,
    images,
    kubectl,
    machine,
    network,
    node,
    packages,
    ports,
    processes,
    services,
    shared_objects,
)
from testbed.layout import BUSYBOX_IMAGE, IMAGE, LOGS, NAMED, STATE
from testbed.lock import Lock
from testbed.steps import Failed, say, step

READY = STATE / "ready"
"""There once everything has been started: the names of its processes, without those of platforms that came later."""
PROGRAMS = ("kubectl", "helm")
"""What tests of a cluster that is named run on this machine."""
PASSING = STATE / "passing"
"""There when tests have started it, of which the last to leave ends it."""


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else uses the machine's test bed: to end it."""
    lock = _lock()
    try:
        lock.exclude()
        yield
    finally:
        lock.release()


class Use:
    """The test bed, or what stands beside a cluster that is named, for somebody who uses it together with others.

    It is started if it was not up.

    Args:
        passing: end it when the last one leaves, if it was not up before.

    Attributes:
        started: it was this one who started it.
        before: what the machine was like before that, as `machine.state` says; empty when it stays up.
    """

    def __init__(self, *, passing: bool) -> None:
        self.started = False
        self.before: dict[str, set[str]] = {}
        self._lock = _lock()
        try:
            self._lock.share()
            while not is_up():
                self._lock.exclude()
                self._start(passing)
                # Between the two, another may have ended it.
                self._lock.share()
        except BaseException:
            self._lock.release()
            raise
        if not passing:
            PASSING.unlink(missing_ok=True)

    def _start(self, passing: bool) -> None:
        packages.ensure()
        if is_up():
            return
        self.before = machine.state() if passing else {}
        up()
        self.started = True
        if passing:
            PASSING.touch()

    def alone(self) -> bool:
        """Whether nobody else uses it; nobody will until this one leaves."""
        if self._lock.try_exclude():
            return True
        self._lock.share()
        return False

    def leave(self) -> None:
        """Use it no more. Of those that leave at the same time, one finds itself alone."""
        if PASSING.exists() and self._lock.try_exclude():
            down()
        self._lock.release()


@contextmanager
def used(*, passing: bool = True) -> Iterator[Use]:
    """See `Use`."""
    use = Use(passing=passing)
    try:
        yield use
    finally:
        use.leave()


@contextmanager
def undisturbed(*, alone: bool) -> Iterator[None]:
    """Nobody takes parts of the test bed away meanwhile.

    Args:
        alone: this one does, so nobody else uses any of it meanwhile.
    """
    lock = Lock.of("disturbance")
    try:
        if alone:
            lock.exclude()
        else:
            lock.share()
        yield
    finally:
        lock.release()


def _lock() -> Lock:
    return Lock.of("cluster")


def is_up() -> bool:
    """Whether it was started whole, every part of it still runs, and the API server answers."""
    if not READY.exists():
        return False
    return all(map(processes.running, READY.read_text().split())) and kubectl.succeeds("get", "nodes")


def up() -> None:
    """Start the cluster with CoreDNS and Kueue, unless one is named, and S3 and PostgreSQL.

    Nothing happens when it is up; when a part fails, it is ended whole.
    """
    with step("Debian packages"):
        packages.ensure()
    with step("programs"):
        try:
            build(PROGRAMS) if NAMED else build_all()
        except CannotBuild as error:
            raise Failed(str(error)) from None
    if is_up():
        say("the cluster is up already")
        return
    down()
    if NAMED:
        ports.check_address()
    else:
        network.check_ports()
    try:
        _start()
    except BaseException:
        say("ending what was started")
        down(keep_logs=True)
        raise
    READY.write_text("\n".join(processes.started()))


def _start() -> None:
    STATE.mkdir(mode=0o711, parents=True)
    with step("certificates"):
        certificates.make_platforms()
    if NAMED:
        shared_objects.note()
    else:
        _start_kubernetes()
    if IMAGE == BUSYBOX_IMAGE:
        with step("busybox"):
            images.import_busybox()
    with step("S3 and PostgreSQL"):
        services.start_s3()
        services.start_postgres()
    if not NAMED:
        _start_addons()


def _start_kubernetes() -> None:
    node.note_present()
    with step("certificates of Kubernetes"):
        certificates.make_kubernetes()
    with step("network"):
        network.start()
    with step("control plane"):
        control_plane.start()
    with step("containerd"):
        node.start_containerd()
        images.import_pause()
    with step("kubelet and kube-proxy"):
        node.start_kubelet()
        node.start_proxy()


def _start_addons() -> None:
    with step("CoreDNS and Kueue"):
        addons.start_coredns()
        addons.start_kueue()
    with step("node, CoreDNS and Kueue ready"):
        node.wait_ready()
        addons.wait_ready()


def down(*, keep_logs: bool = False) -> None:
    """End everything and leave the machine as it was; nothing happens when there is nothing.

    Args:
        keep_logs: put the logs into the cache, since a part of the start has failed.
    """
    if not STATE.exists():
        return
    failures = []
    for action in _ends_of_named() if NAMED else _ends():
        try:
            action()
        except (Failed, OSError) as error:
            failures.append(str(error))
    if keep_logs and LOGS.exists():
        kept = caches() / "last-failure"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(LOGS, kept)
        say(f"logs: {kept}")
    shutil.rmtree(STATE)
    if failures:
        raise Failed("Not everything could be ended:\n" + "\n".join(failures))


def _ends() -> Iterator[Callable[[], None]]:
    """What ends the test bed's parts, in turn."""
    started = processes.started()
    # The kubelet first, which would start pods again; then pods, whose connections hold up whoever serves them; last
    # what containers and the API server need.
    first = [name for name in started if name == "kubelet"]
    last = [name for name in ("containerd", "kube-apiserver", "etcd") if name in started]
    others = [name for name in started if name not in (*first, *last)]
    yield from (partial(processes.stop, name) for name in first)
    yield node.stop_pods
    yield from (partial(processes.stop, name) for name in (*others, *last))
    # What containerd has started meanwhile to clean up after them, which writes into the state folder.
    yield node.stop_pods
    yield network.stop
    yield node.clean


def _ends_of_named() -> Iterator[Callable[[], None]]:
    """Of the cluster and of this machine everything else is somebody's."""
    yield from (partial(processes.stop, name) for name in processes.started())
    yield shared_objects.put_back
