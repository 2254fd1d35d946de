"""Ends of a benchmark in processes of their own, which talk with it through a pipe, and what they trust."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Child:
    """A process, the pipe to it, and what it said first."""

    pipe: Connection
    pid: int
    port: int

    @property
    def resident(self) -> float:
        """In MB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6


@contextlib.contextmanager
def process(target: Any, *arguments: Any) -> Iterator[Child]:
    """The coroutine function `target` in a process of its own, given a pipe and `arguments`; ended afterwards."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_run, args=(target, theirs, *arguments))
    child.start()
    theirs.close()
    try:
        yield Child(ours, child.pid or 0, ours.recv())
    finally:
        with contextlib.suppress(OSError):
            ours.send("stop")
        child.join(20)
        if child.is_alive():
            child.kill()


def certificates(folder: Path) -> None:
    """What the fake kube-apiserver shows and the agent's service account trusts."""
    import trustme

    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "token").write_text("token")


def _run(target: Any, pipe: Connection, *arguments: Any) -> None:
    asyncio.run(target(pipe, *arguments))
