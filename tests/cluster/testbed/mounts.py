"""Mounts that programs leave behind."""

from pathlib import Path

from testbed.steps import Failed, run


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder, inner mounts first, even what is in use."""
    for mount in sorted(_below(folder), reverse=True):
        try:
            run(["umount", "-l", mount])
        except Failed:
            # Who made it may have taken it away meanwhile.
            if mount in _below(folder):
                raise


def _below(folder: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]
