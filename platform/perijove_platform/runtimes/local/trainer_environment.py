"""The trainer's own environment: made from its lock file in the cache folder, the first time it is needed.

``python -m perijove_platform.runtimes.local.trainer_environment`` makes it ahead of time. With ``--json`` it reports
as a child of the platform does (see `processes`). The platform runs it that way too, so that cancelling a job also
ends an installation; what has been downloaded stays in the installer's cache, and the next attempt goes on from there.
"""

import argparse
import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from perijove_platform.discovery import cache_dir

LOCK = Path(__file__).parents[2] / "trainer" / "trainer.lock"
NEEDED_BYTES = 12 * 1024**3
"""Free disk that an installation asks for: 6 GB installed, the downloads, and room to train."""

_UV_DOWNLOADING = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG])iB\)")
_UV_DOWNLOADED = re.compile(r"\s+Downloaded (\S+)")
_PIP_COLLECTING = re.compile(r"Collecting (\S+?)==")
_REQUIREMENT = re.compile(r"[A-Za-z0-9]\S*==")
_MIB = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}
_LAST_LINES = 15

Report = Callable[[str], None]


class InstallationFailed(Exception):
    """The environment could not be made; the message says why and what to do."""


def environment_folder(cache: Path) -> Path:
    """Where the environment is or will be: by the lock's content and the Python that it is built for."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    return cache / "trainer" / f"{digest}-{sys.implementation.cache_tag}"


def environment_python(cache: Path) -> Path | None:
    """Its interpreter, or ``None`` while there is no such environment."""
    python = environment_folder(cache) / "bin" / "python"
    return python if python.exists() else None


def install(cache: Path, report: Report) -> Path:
    """Make the environment unless it is there; one process at a time does it. Returns its interpreter.

    Raises:
        InstallationFailed: too little disk, no index to be reached, a hash that differs.
    """
    folder = environment_folder(cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder.with_name(f"{folder.name}.lock"), report):
        if (python := environment_python(cache)) is not None:
            return python
        for leftover in folder.parent.glob(f"{folder.name}.*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free
        if free < NEEDED_BYTES:
            raise InstallationFailed(
                f"The training stack needs {NEEDED_BYTES >> 30} GiB of disk at {folder.parent}, {free / 2**30:.1f} GiB "
                "are free. Free some, or set PERIJOVE_CACHE_DIR to a folder on another disk."
            )
        building = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            _build(building, report)
            if folder.exists():  # its base interpreter is gone, or it would have been taken above
                shutil.rmtree(folder)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    report("The training stack is installed")
    return folder / "bin" / "python"


def _build(folder: Path, report: Report) -> None:
    report("Installing the training stack (torch and its companions, about 3 GB to download); this happens once")
    settings = pip_settings()
    uv = find_uv()
    if uv is not None:
        environment = {**os.environ, **uv_environment(settings)}
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], environment, lambda _: None)
        command = [uv, "pip", "sync", "--require-hashes", "--python", str(folder / "bin" / "python")]
        _run([*command, str(LOCK)], environment, UvProgress(report))
        return
    _run([sys.executable, "-m", "venv", str(folder)], dict(os.environ), lambda _: None)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check", "-r", str(LOCK)]
    _run(command, dict(os.environ), PipProgress(report))


class UvProgress:
    """Turns uv's lines into "n of m downloads"."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._sizes: dict[str, float] = {}
        self._done: set[str] = set()

    def __call__(self, line: str) -> None:
        if match := _UV_DOWNLOADING.search(line):
            self._sizes[match[1]] = float(match[2]) * _MIB[match[3]]
        elif match := _UV_DOWNLOADED.match(line):
            self._done.add(match[1])
            self._report_downloads()
        elif line.startswith("Prepared "):
            self._report("Installing the training stack: unpacking")

    def _report_downloads(self) -> None:
        done = sum(self._sizes.get(name, 0.0) for name in self._done)
        self._report(
            f"Installing the training stack: {len(self._done)} of {len(self._sizes)} large packages downloaded "
            f"({done / 1024:.1f} of {sum(self._sizes.values()) / 1024:.1f} GiB)"
        )


class PipProgress:
    """Turns pip's lines into "n of m packages"."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._total = sum(1 for line in LOCK.read_text().splitlines() if _REQUIREMENT.match(line))
        self._seen = 0

    def __call__(self, line: str) -> None:
        if match := _PIP_COLLECTING.match(line):
            self._seen += 1
            self._report(f"Installing the training stack: {self._seen} of at most {self._total} packages, {match[1]}")
        elif line.startswith("Installing collected packages"):
            self._report("Installing the training stack: unpacking")


def find_uv() -> str | None:
    """uv from this environment, or from the PATH."""
    if importlib.util.find_spec("uv") is not None:
        import uv

        with contextlib.suppress(FileNotFoundError):
            return str(uv.find_uv_bin())
    return shutil.which("uv")


def pip_settings() -> Mapping[str, str]:
    """What pip has been told by files and variables, as ``{"index-url": …}``; empty where there is no pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    settings: dict[str, str] = {}
    for line in listing.stdout.splitlines() if listing.returncode == 0 else ():
        name, _, value = line.partition("=")
        with contextlib.suppress(ValueError, SyntaxError):
            settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings


def uv_environment(pip: Mapping[str, str]) -> Mapping[str, str]:
    """pip's settings in uv's words, as variables, since addresses may hold a password. uv's own settings go first."""
    words = {
        "UV_DEFAULT_INDEX": pip.get("index-url"),
        "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "SSL_CERT_FILE": pip.get("cert"),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "HTTPS_PROXY": pip.get("proxy"),
        "UV_HTTP_TIMEOUT": pip.get("default-timeout") or pip.get("timeout"),
    }
    return {name: value for name, value in words.items() if value and name not in os.environ}


def _run(command: list[str], environment: Mapping[str, str], on_line: Callable[[str], None]) -> None:
    last: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            last = [*last, line][-_LAST_LINES:]
            on_line(line.rstrip())
    if process.returncode != 0:
        said = next((line.strip() for line in last if "error" in line.lower()), last[-1].strip() if last else "nothing")
        raise InstallationFailed(
            f"The training stack could not be installed: {said} "
            "Check the network and pip's index settings, then start the job again; the log has the details."
        )


@contextlib.contextmanager
def _exclusive(path: Path, report: Report) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another Perijove is installing the training stack; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end_with_parent() -> None:
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 4096):
        pass
    os.killpg(0, 9)


def main() -> int:
    parser = argparse.ArgumentParser(prog="trainer_environment", description="Install the training stack.")
    parser.add_argument("--cache-dir", type=Path, default=cache_dir())
    parser.add_argument("--json", action="store_true", help="report as a child process of the platform")
    arguments = parser.parse_args()
    as_json: bool = arguments.json

    def say(type: str, message: str, **fields: str) -> None:
        print(json.dumps({"type": type, "message": message, **fields}) if as_json else message, flush=True)

    if as_json:
        threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    try:
        python = install(arguments.cache_dir, lambda message: say("progress", message, phase="install"))
    except (InstallationFailed, OSError) as error:
        say("error", str(error), code="trainer_environment")
        return 1
    if not as_json:
        print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
