"""The images of `deploy/images`, built by buildah on a `python:3.11-slim` made of Debian's packages."""

import hashlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from programs import caches, locked

from testbed import images
from testbed.layout import ROOT, STATE
from testbed.mounts import unmount_below
from testbed.steps import run, step

FOLDER = ROOT / "deploy" / "images"
SUITE = "bookworm"
"""Its Python is the one that the images name."""
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
BASE = "docker.io/library/python:3.11-slim"
TAG = "0.1.0"
# The training stack is 6 GB: tests mount it into the pod instead.
TARGETS = {"trainer": "runner"}
BUILD_SECONDS = 900.0
STORE = caches() / "buildah"


def names() -> list[str]:
    """Of the images that there are Dockerfiles for."""
    return sorted(file.parent.name for file in FOLDER.glob("*/Dockerfile"))


def ensure(*wanted: str) -> None:
    """Build images by their names, unless they are as the checkout has them now, and give them to the cluster as
    ``perijove-<name>``."""
    with locked(caches() / "images.lock"):
        changed = [name for name in wanted if _known(name) != _content(name)]
        if changed:
            _build_and_import(changed)


def _build_and_import(wanted: Sequence[str]) -> None:
    try:
        _ensure_base()
        for name in wanted:
            content = _content(name)
            with step(f"image {tagged(name)}"):
                _build(name)
            _mark(name).write_text(content)
        # What builds that were cut off, and earlier builds of the same names, have left.
        _buildah("rm", "--all")
        _buildah("rmi", "--prune")
    finally:
        unmount_below(STORE)


def tagged(name: str) -> str:
    return f"docker.io/library/perijove-{name}:{TAG}"


def _build(name: str) -> None:
    dockerfile = FOLDER / name / "Dockerfile"
    image = tagged(name)
    _buildah(
        "build", "--layers", "--pull-never", "--network=host", f"--ignorefile={dockerfile}.dockerignore",
        *([f"--target={TARGETS[name]}"] if name in TARGETS else []), *_package_settings(), "-f", dockerfile,
        "-t", image, ROOT,
    )  # fmt: skip
    archive = STATE / "built.tar"
    try:
        _buildah("push", image, f"docker-archive:{archive}:{image}")
        images.import_archive(archive)
    finally:
        archive.unlink(missing_ok=True)


def _mark(name: str) -> Path:
    """The file that says of what the image that the cluster has was built."""
    return STATE / f"imported-{name}"


def _known(name: str) -> str | None:
    return _mark(name).read_text() if _mark(name).exists() else None


def _content(name: str) -> str:
    """A digest of the Dockerfile and of all that its build sees, which its `.dockerignore` lists."""
    dockerfile = FOLDER / name / "Dockerfile"
    seen = dockerfile.with_name("Dockerfile.dockerignore")
    listed = [ROOT / line[1:] for line in seen.read_text().splitlines() if line.startswith("!")]
    files = [file for place in listed for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    digest = hashlib.sha256()
    for file in (dockerfile, seen, *sorted(file for file in files if "__pycache__" not in file.parts)):
        digest.update(f"{file.relative_to(ROOT)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _ensure_base() -> None:
    """Debian's own Python under the name that Dockerfiles take it by: no registry is asked."""
    if BASE in _buildah("images", "--format={{.Name}}:{{.Tag}}").split():
        return
    with step(f"base image of Debian {SUITE}"):
        archive = caches() / "base.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        options = ["--variant=minbase", f"--include={PACKAGES}", "--mode=root", "--format=tar"]
        try:
            run(["nice", "mmdebstrap", *options, SUITE, archive], seconds=BUILD_SECONDS)
            container = _buildah("from", "scratch").strip()
            _buildah("add", container, archive)
            _buildah("config", "--cmd", "python3", container)
            _buildah("commit", "--rm", container, BASE)
        finally:
            archive.unlink(missing_ok=True)


def _package_settings() -> list[str]:
    """Where pip finds packages here, and whose certificates it believes, without a trace of it in the image."""
    mounts = []
    certificates = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    variables = {name: value for name, value in os.environ.items() if name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")}
    if certificates:
        inside = "/run/testbed-certificates.pem"
        mounts.append(f"--volume={Path(certificates).resolve()}:{inside}:ro")
        variables["PIP_CERT"] = inside
    for file in (
        Path("/etc/pip.conf"),
        Path.home() / ".config" / "pip" / "pip.conf",
        Path.home() / ".pip" / "pip.conf",
    ):
        if file.exists():
            mounts.append(f"--volume={file.resolve()}:/etc/pip.conf:ro")
    # Predefined by no Dockerfile: buildah gives what is a build argument to RUN, and keeps it out of the image.
    return [*mounts, *(f"--build-arg={name}={value}" for name, value in variables.items())]


def _buildah(*arguments: str | Path) -> str:
    return run(["nice", "buildah", *arguments], environment=_environment(), seconds=BUILD_SECONDS)


def _environment() -> dict[str, str]:
    """A store of our own: the machine's is not ours, and this one outlives the cluster so layers are built once."""
    STORE.mkdir(parents=True, exist_ok=True)
    config = STORE / "storage.conf"
    folders = f'graphroot = "{STORE / "root"}"\nrunroot = "{STORE / "run"}"\n'
    config.write_text(f'[storage]\ndriver = "overlay"\n{folders}')
    return {**os.environ, "BUILDAH_ISOLATION": "chroot", "CONTAINERS_STORAGE_CONF": str(config)}
