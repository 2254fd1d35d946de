"""What of this machine a cluster could change, to compare before and after."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testbed.layout import CGROUP, NAMED, STATE

SETTINGS = ("net/ipv4", "net/ipv6/conf/all", "net/bridge", "net/netfilter", "vm", "kernel")
# Counters, and what the kernel moves by itself.
MOVING = (
    "net/ipv4/neigh/",
    "net/ipv4/conf/",
    "net/ipv4/tcp_mem",
    "net/netfilter/nf_conntrack_count",
    "kernel/random/",
    "kernel/ns_last_pid",
    "kernel/pty/nr",
    "kernel/tainted",
    "kernel/hung_task_detect_count",
    "kernel/hung_task_warnings",
    "kernel/sched_domain",
    "kernel/perf_event",
    "vm/stat_refresh",
)
FOLDERS = ("/run", "/var/lib", "/var/log", "/var/run", "/opt", "/etc", "/usr/libexec", "/usr/local", "/srv", "/home")
DEPTH = 2
ALWAYS_MOVING = ("/var/lib/apt", "/var/lib/dpkg", "/var/log/apt", "/var/log/journal", "/run/user", "/run/systemd",
                 "/run/log", "/run/utmp", "/etc/mtab")  # fmt: skip


def state() -> dict[str, set[str]]:
    """By kind: the processes of a test bed, and all mounts, interfaces, addresses, rules, control groups, kernel
    settings, users and files at the usual places."""
    return {
        "processes": set(_processes()),
        "mounts": {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()},
        "network interfaces": {row["ifname"] for row in _json("ip", "-j", "link")},
        "addresses": set(_lines("ip", "-br", "addr")),
        "routes": set(_lines("ip", "route")),
        "network namespaces": set(_lines("ip", "netns")),
        "nftables": set(_lines("nft", "list", "tables")),
        "iptables": {line for line in _lines("iptables-save") if line.startswith(("-A", ":"))},
        # Of either version; what others do deeper within theirs is their own.
        "control groups": {str(path) for depth in ("*/", "*/*/") for path in Path("/sys/fs/cgroup").glob(depth)},
        "kernel settings": set(_settings()),
        "users": set(Path("/etc/passwd").read_text().splitlines()),
        "files": set(_files()),
    }


def changes(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    """One line for each thing that came or went."""
    return [
        f"{kind}: {sign} {thing}"
        for kind in before
        for sign, things in (("+", after[kind] - before[kind]), ("-", before[kind] - after[kind]))
        for thing in sorted(things)
    ]


def _processes() -> Iterator[str]:
    own = os.getpid()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == own:
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            groups = (folder / "cgroup").read_text()
        except OSError:
            continue
        # Without a command line it has ended, and only waits until the machine's init asks about it.
        if command and (str(STATE) in command or (CGROUP in groups and not NAMED)):
            yield f"{folder.name} {command}"


def _settings() -> Iterator[str]:
    for top in SETTINGS:
        for folder, _, files in os.walk(Path("/proc/sys", top)):
            for file in files:
                path = Path(folder, file)
                name = str(path.relative_to("/proc/sys"))
                if name.startswith(MOVING):
                    continue
                try:
                    yield f"{name} = {path.read_text().strip()}"
                except (OSError, UnicodeDecodeError):
                    continue


def _files() -> Iterator[str]:
    for top in FOLDERS:
        for folder, folders, files in os.walk(top):
            if folder.startswith(ALWAYS_MOVING):
                folders.clear()
                continue
            yield from (str(Path(folder, name)) for name in (*folders, *files))
            if len(Path(folder).relative_to(top).parts) >= DEPTH:
                folders.clear()


def _lines(*command: str) -> list[str]:
    """Nothing where there is no such program."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except FileNotFoundError:
        return []


def _json(*command: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads("\n".join(_lines(*command)) or "[]")
    return found
