"""The pods' network: a bridge, one nftables table, and kernel settings that are put back in the end."""

import json
import shutil
import socket
from pathlib import Path

from testbed.layout import (
    BRIDGE,
    BRIDGE_HARDWARE_ADDRESS,
    CNI_NETWORK,
    FIRST_POD_ADDRESS,
    LOCAL_PORTS,
    NFT_TABLE,
    NODE_ADDRESS,
    NODE_PORTS,
    POD_NETWORK,
    STATE,
)
from testbed.steps import Failed, run, succeeds

CNI = STATE / "cni"
SETTINGS = STATE / "settings.json"
OURS = ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables")
# The kubelet and kube-proxy change these by themselves.
THEIRS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
          "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/bridge/bridge-nf-call-ip6tables",
          "net/ipv6/conf/all/forwarding")  # fmt: skip
TABLES = [("ip", NFT_TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")]


def check_ports() -> None:
    """`Failed` when another program listens where ours are to."""
    for port in (*NODE_PORTS, *LOCAL_PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                # Any address: ours may not be there yet, and a program that listens at all of them is in the way.
                probe.bind(("0.0.0.0" if port in NODE_PORTS else "127.0.0.1", port))
            except OSError:
                raise Failed(f"Port {port} is taken by another program: see `ss -ltnp sport = :{port}`.") from None


def start() -> None:
    if not Path("/proc/sys/net/bridge").is_dir():
        # The kernel's part that lets a Service's address be undone between two pods of one bridge.
        succeeds(["modprobe", "br_netfilter"])
    save_settings()
    # Without one of its own it takes the lowest of its ports', which changes as pods come and go: for a minute the
    # others would send what is for this machine to nobody.
    run(["ip", "link", "add", BRIDGE, "address", BRIDGE_HARDWARE_ADDRESS, "type", "bridge"])
    run(["ip", "addr", "add", f"{NODE_ADDRESS}/{POD_NETWORK.partition('/')[2]}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    for setting in OURS:
        file = Path("/proc/sys", setting)
        if not file.exists():
            raise Failed("The kernel has no br_netfilter: Services would not work between pods. Load that module.")
        file.write_text("1")
    masquerade = f'ip saddr {POD_NETWORK} oifname != {{ "{BRIDGE}", "lo" }} masquerade'
    chain = f"chain postrouting {{ type nat hook postrouting priority srcnat; {masquerade}; }}"
    run(["nft", "-f", "-"], given=f"table ip {NFT_TABLE} {{\n{chain}\n}}\n")
    _configure_plugin()


def save_settings() -> None:
    saved = {name: _setting(name) for name in (*OURS, *THEIRS)}
    SETTINGS.write_text(json.dumps({name: value for name, value in saved.items() if value is not None}))


def stop() -> None:
    """Take away what `start` and kube-proxy made, as far as it is there."""
    for family, name in TABLES:
        succeeds(["nft", "delete", "table", family, name])
    # Left to the end of the pods' network namespaces, they would be there for some moments more.
    for port in Path("/sys/class/net", BRIDGE, "brif").glob("*"):
        succeeds(["ip", "link", "delete", port.name])
    succeeds(["ip", "link", "delete", BRIDGE])
    if SETTINGS.exists():
        for name, value in json.loads(SETTINGS.read_text()).items():
            if _setting(name) != value:
                Path("/proc/sys", name).write_text(value)
    # Of pods that were killed, and so never asked to give their addresses back.
    results = Path("/var/lib/cni/results")
    for result in results.glob(f"{CNI_NETWORK}-*-eth0"):
        pod = result.name.removeprefix(f"{CNI_NETWORK}-").removesuffix("-eth0")
        result.unlink(missing_ok=True)
        (results / f"cni-loopback-{pod}-lo").unlink(missing_ok=True)
    # Of one that was in the middle of coming or going there may be only the other half.
    for result in results.glob("cni-loopback-*-lo"):
        if str(STATE) in result.read_text(errors="replace"):
            result.unlink()


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _configure_plugin() -> None:
    """How containerd gives pods their addresses: Debian's bridge plugin, everything that it keeps in our folder."""
    shutil.rmtree(CNI, ignore_errors=True)
    CNI.mkdir()
    addresses = {"subnet": POD_NETWORK, "rangeStart": FIRST_POD_ADDRESS}
    ipam = {"type": "host-local", "dataDir": str(STATE / "addresses"), "ranges": [[addresses]]}
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        # Our own table does it: the plugin's rules would lie in iptables and outlive pods that were killed.
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {**ipam, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    network = {"cniVersion": "1.0.0", "name": CNI_NETWORK, "plugins": [bridge]}
    (CNI / "10-bridge.conflist").write_text(json.dumps(network))
