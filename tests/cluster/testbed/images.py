"""Container images without a registry: made of files, or built by buildah on a base of Debian's packages."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from programs import program

from testbed.layout import BUSYBOX_IMAGE, COREDNS_IMAGE, KUEUE_IMAGE, LOAD, PAUSE_IMAGE, STATE
from testbed.steps import run

BUSYBOX = Path("/bin/busybox")
# Not wget: of Debian's static busybox it crashes.
APPLETS = """
    cat echo env false hostname httpd id ip ls mkdir nc nslookup printf ps sh
    sha256sum sleep stty tail tar touch true tty
""".split()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
UNPRIVILEGED = "65532"


def import_pause() -> None:
    """The container that every pod has."""
    _import_busybox(PAUSE_IMAGE, "/bin/sleep", "2147483647")


def import_busybox() -> None:
    """For tests."""
    _import_busybox(BUSYBOX_IMAGE, "/bin/sh")


def _import_busybox(name: str, *entrypoint: str) -> None:
    _import(name, entrypoint, {"bin/busybox": BUSYBOX}, {f"bin/{applet}": "busybox" for applet in APPLETS})


def import_coredns() -> None:
    _import(COREDNS_IMAGE, ["/coredns"], {"coredns": program("coredns")})


def import_kueue() -> None:
    _import(KUEUE_IMAGE, ["/manager"], {"manager": program("kueue")})


def import_archive(archive: Path) -> None:
    run([*LOAD, archive], seconds=600)


def _import(
    name: str, entrypoint: Sequence[str], files: Mapping[str, Path], links: Mapping[str, str] | None = None
) -> None:
    """Make an image of one layer and give it to the cluster.

    Args:
        files: what lies where in it, without leading slash.
        links: symbolic links and their targets.
    """
    archive = STATE / "image.tar"
    try:
        _write_image(archive, name, entrypoint, files, links or {})
        import_archive(archive)
    finally:
        archive.unlink(missing_ok=True)


def _write_image(
    archive: Path, name: str, entrypoint: Sequence[str], files: Mapping[str, Path], links: Mapping[str, str]
) -> None:
    layer = archive.with_suffix(".layer")
    try:
        with tarfile.open(layer, "w") as tar:
            for folder, mode in (("tmp", 0o1777), ("etc", 0o755)):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                tar.addfile(entry)
            for path, source in files.items():
                tar.add(source, arcname=path, filter=_as_root)
            for path, target in links.items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        with layer.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        config = json.dumps(_config(entrypoint, digest)).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        layer_name = f"{digest}/layer.tar"
        manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]).encode()
        with tarfile.open(archive, "w") as tar:
            tar.add(layer, arcname=layer_name)
            for path, data in ((config_name, config), ("manifest.json", manifest)):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    finally:
        layer.unlink(missing_ok=True)


def _config(entrypoint: Sequence[str], layer_digest: str) -> dict[str, object]:
    return {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "User": UNPRIVILEGED, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
