"""The whole of it: what is started in which order, and how it ends."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from programs import CannotBuild, build_all, caches, locked

from testbed import addons, certificates, control_plane, images, kubectl, network, node, packages, processes, services
from testbed.layout import LOGS, NODE, STATE
from testbed.steps import Failed, say, step

READY = STATE / "ready"
"""There once everything has been started."""


@contextmanager
def alone() -> Iterator[None]:
    """No two commands start or end the machine's one test bed at the same time."""
    with locked(caches() / "cluster.lock"):
        yield


def is_up() -> bool:
    """Whether it was started whole, every part of it still runs, and the API server answers."""
    return READY.exists() and all(map(processes.running, processes.started())) and kubectl.succeeds("get", "node", NODE)


def up() -> None:
    """Start the cluster with CoreDNS, Kueue, S3 and PostgreSQL, unless it is up; ended whole when a part fails."""
    with step("Debian packages"):
        packages.ensure()
    with step("programs"):
        try:
            build_all()
        except CannotBuild as error:
            raise Failed(str(error)) from None
    if is_up():
        say("the cluster is up already")
        return
    down()
    network.check_ports()
    try:
        _start()
    except BaseException:
        say("ending what was started")
        down(keep_logs=True)
        raise
    READY.touch()


def _start() -> None:
    STATE.mkdir(mode=0o711, parents=True)
    node.note_present()
    with step("certificates"):
        certificates.make()
    with step("network"):
        network.start()
    with step("control plane"):
        control_plane.start()
    with step("containerd"):
        node.start_containerd()
        images.import_basic()
    with step("kubelet and kube-proxy"):
        node.start_kubelet()
        node.start_proxy()
    with step("S3 and PostgreSQL"):
        services.start_s3()
        services.start_postgres()
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
    started = processes.started()
    # The kubelet first, which would start pods again; then pods, whose connections hold up whoever serves them; last
    # what containers and the API server need.
    first = [name for name in started if name == "kubelet"]
    last = [name for name in ("containerd", "kube-apiserver", "etcd") if name in started]
    others = [name for name in started if name not in (*first, *last)]
    actions: list[Callable[[], None]] = [
        *(partial(processes.stop, name) for name in first),
        node.stop_pods,
        *(partial(processes.stop, name) for name in (*others, *last)),
        network.stop,
        node.clean,
    ]
    failures = []
    for action in actions:
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
