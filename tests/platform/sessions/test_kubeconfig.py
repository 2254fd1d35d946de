"""kubectl's configuration file is changed without loss."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from perijove_platform.cli import kubeconfig
from perijove_platform.cli.kubeconfig import Unusable, chosen_file, merge_into


def entries(name: str, server: str = "https://x/v1/sessions/c") -> dict[str, Any]:
    return {
        "clusters": {"name": name, "cluster": {"server": server}},
        "users": {"name": name, "user": {"exec": {"command": "perijove"}}},
        "contexts": {"name": name, "context": {"cluster": name, "user": name}},
    }


THEIRS = """\
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters:
- name: theirs
  cluster:
    server: "https://theirs"
    insecure-skip-tls-verify: true
    extensions: [{name: x, extension: {when: 2020-01-01}}]
users:
- name: theirs
  user: {token: "0123", username: "yes"}
contexts:
- name: theirs
  context: {cluster: theirs, user: theirs, namespace: ü}
current-context: theirs
"""


def test_everything_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(THEIRS)
    path.chmod(0o644)
    before = yaml.safe_load(THEIRS)
    merge_into(path, entries("ours"), current="ours")
    merge_into(path, entries("ours", server="https://moved"), current="ours")
    after = yaml.safe_load(path.read_text())
    assert after.pop("current-context") == "ours"
    assert after["clusters"].pop()["cluster"]["server"] == "https://moved"
    assert after["users"].pop()["name"] == after["contexts"].pop()["name"] == "ours"
    assert after == {name: value for name, value in before.items() if name != "current-context"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["config"]


def test_a_new_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    merge_into(path, entries("ours"), current="ours")
    assert yaml.safe_load(path.read_text())["contexts"][0]["name"] == "ours"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(THEIRS)
    (tmp_path / "config").symlink_to("real")
    merge_into(tmp_path / "config", entries("ours"), current="ours")
    assert (tmp_path / "config").is_symlink() and "ours" in (tmp_path / "real").read_text()


@pytest.mark.parametrize("text", ["- a list", "clusters: {a: b}", "{unclosed", "\x00"])
def test_what_is_no_kubeconfig_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(Unusable, match="config"):
        merge_into(path, entries("ours"), current="ours")
    assert path.read_text() == text and not (tmp_path / "config.lock").exists()


def test_another_writer_is_waited_for_and_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "LOCK_SECONDS", 0.2)
    (tmp_path / "config.lock").touch()
    with pytest.raises(Unusable, match="another program"):
        merge_into(tmp_path / "config", entries("ours"), current="ours")
    assert (tmp_path / "config.lock").exists() and not (tmp_path / "config").exists()


def test_the_file_is_the_one_that_kubectl_would_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, second, third))))
    assert chosen_file(entries("ours")) == third
    second.write_text(THEIRS)
    assert chosen_file(entries("ours")) == second
    third.write_text(THEIRS.replace("theirs", "ours"))
    assert chosen_file(entries("ours")) == third
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert chosen_file(entries("ours")) == tmp_path / ".kube" / "config"
