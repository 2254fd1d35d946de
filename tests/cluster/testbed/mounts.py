"""Mounts that programs leave behind."""

from pathlib import Path

from testbed.steps import run


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder, inner mounts first, even what is in use."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        run(["umount", "-l", mount])
