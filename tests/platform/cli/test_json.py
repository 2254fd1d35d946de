"""Every command with `--json`: one document on standard output, or JSON lines from one that follows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from killable_platform import KillablePlatform
from perijove_platform.cli import main

BASE = "SmolLM2-135M-Instruct"
EXAMPLE = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}


@pytest.fixture(scope="module", autouse=True)
def _platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One on which jobs stay in the queue, so that none of them runs away."""
    data_dir = tmp_path_factory.mktemp("json") / "data"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PERIJOVE_MAX_RUNNING_JOBS", "0")
        environment.setenv("PERIJOVE_DATA_DIR", str(data_dir))
        environment.delenv("PERIJOVE_BASE_URL", raising=False)
        platform = KillablePlatform(data_dir)
        platform.start()
        yield
        platform.stop()


class Walk:
    """Runs commands with `--json`, and notes which."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def run(self, command: str, *arguments: object, code: int = 0) -> Result:
        self.done.add(command)
        result = CliRunner().invoke(main, [*command.split(), *map(str, arguments), "--json"])
        assert result.exit_code == code, (command, result.output, result.exception)
        return result

    def one(self, kind: type, command: str, *arguments: object, code: int = 0) -> Any:
        """The only document, on the only line."""
        [line] = self.run(command, *arguments, code=code).stdout.splitlines()
        document = json.loads(line)
        assert type(document) is kind, command
        return document

    def lines(self, command: str, *arguments: object, code: int = 0) -> list[Any]:
        found = [json.loads(line) for line in self.run(command, *arguments, code=code).stdout.splitlines()]
        assert all(type(document) is dict for document in found), command
        return found


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        elif command is not None:
            yield f"{path}{name}"


def test_every_command(tmp_path: Path, smollm2: Path) -> None:
    walk = Walk()
    walk.one(dict, "status")
    _models(walk, smollm2)
    file = _files(walk, tmp_path)
    _jobs(walk, file)
    _batch_jobs(walk, tmp_path)
    _vector_stores(walk, tmp_path)
    _clusters(walk)
    assert walk.one(dict, "chat", "--max-tokens", 2, "Hi there")["object"] == "chat.completion"
    assert walk.one(list, "files delete", file)[0] == {"id": file, "object": "file", "deleted": True}
    assert walk.done == set(commands(main)) - {"serve"}


def _models(walk: Walk, smollm2: Path) -> None:
    assert len(walk.one(list, "models list")) == 2
    assert walk.one(dict, "models register", smollm2, "--id", "second")["state"] == "available"
    assert walk.one(dict, "models alias", "second", "short")["aliases"] == ["short"]
    assert walk.one(dict, "models load", "short")["state"] == "loaded"
    assert walk.one(dict, "models unload", "short")["state"] == "available"
    assert walk.one(dict, "models alias", "second", "short", "--remove")["aliases"] == []
    assert [gone["deleted"] for gone in walk.one(list, "models delete", "second")] == [True]
    refused = walk.run("models pull", "not-a-repository", code=1)
    assert refused.stdout == ""
    assert json.loads(refused.stderr)["error"]["message"]


def _files(walk: Walk, folder: Path) -> str:
    path = folder / "train.jsonl"
    path.write_text(f"{json.dumps(EXAMPLE)}\n" * 12)
    first, second = (file["id"] for file in walk.one(list, "files upload", path, path))
    assert len(walk.one(list, "files list")) == 2
    assert walk.one(dict, "files preview", first, "--limit", 1, "--offset", 2)["lines"][0]["number"] == 3
    assert walk.one(dict, "files validate", first)["valid"]
    assert walk.one(dict, "files download", first, "-o", folder / "copy")["path"] == str(folder / "copy")
    assert "--json" in CliRunner().invoke(main, ["files", "download", first, "-o", "-", "--json"]).stderr
    # The first is gone although the second was refused.
    partly = walk.run("files delete", second, "file-nope", code=1)
    assert [file["id"] for file in json.loads(partly.stdout)] == [second]
    assert "file-nope" in json.loads(partly.stderr)["error"]["message"]
    return str(first)


def _jobs(walk: Walk, file: str) -> None:
    job = walk.one(dict, "jobs create", "--model", BASE, "--training-file", file)
    assert len(walk.one(list, "jobs list")) == 1
    assert walk.one(dict, "jobs get", job["id"])["id"] == job["id"]
    assert walk.one(dict, "jobs logs", job["id"]) == {"job_id": job["id"], "lines": []}
    assert walk.one(dict, "jobs pause", job["id"])["state"] == "paused"
    assert walk.one(dict, "jobs resume", job["id"])["state"] == "queued"
    assert walk.one(dict, "jobs cancel", job["id"])["state"] == "cancelled"
    events = walk.one(list, "jobs events", job["id"])
    *followed, ended = walk.lines("jobs events", job["id"], "--follow", code=1)
    assert followed == events
    assert (ended["object"], ended["state"]) == ("fine_tuning.job", "cancelled")
    assert walk.lines("jobs logs", job["id"], "--follow") == []


def _batch_jobs(walk: Walk, folder: Path) -> None:
    words = folder / "words.txt"
    words.write_text("io")
    options = [
        "--name",
        "count",
        "-e",
        "MOON=io",
        "--file",
        f"data/words.txt={words}",
        "--memory",
        "64Mi",
    ]
    job = walk.one(dict, "batch-jobs create", *options, "--completions", 2, "wc", "data/words.txt")
    assert (job["object"], job["state"], job["environment_names"]) == ("batch_job", "queued", ["MOON"])
    assert job["resources"] == {"cpus": 1.0, "memory_bytes": 64 << 20, "gpus": 0}
    assert job["files"][0]["path"] == "data/words.txt"
    assert len(walk.one(list, "batch-jobs list")) == 1
    assert walk.one(dict, "batch-jobs get", job["id"])["command"] == ["wc", "data/words.txt"]
    assert walk.one(dict, "batch-jobs logs", job["id"]) == {"job_id": job["id"], "lines": []}
    assert walk.one(dict, "batch-jobs pause", job["id"])["state"] == "paused"
    assert walk.one(dict, "batch-jobs resume", job["id"])["state"] == "queued"
    assert walk.one(dict, "batch-jobs cancel", job["id"])["state"] == "cancelled"
    events = walk.one(list, "batch-jobs events", job["id"])
    *followed, ended = walk.lines("batch-jobs events", job["id"], "--follow", code=1)
    assert followed == events
    assert (ended["object"], ended["state"]) == ("batch_job", "cancelled")
    assert walk.lines("batch-jobs logs", job["id"], "--follow") == []


def _vector_stores(walk: Walk, folder: Path) -> None:
    (folder / "io.md").write_text("Io is a volcanic moon of Jupiter.")
    store = walk.one(dict, "vector-stores create", "--name", "moons", folder / "io.md")
    assert walk.one(dict, "vector-stores add", store["id"], folder / "io.md")["status"] == "completed"
    assert len(walk.one(list, "vector-stores list")) == 1
    assert walk.one(list, "vector-stores search", store["id"], "volcano")[0]["score"] > 0
    assert [gone["deleted"] for gone in walk.one(list, "vector-stores delete", store["id"])] == [True]


def _clusters(walk: Walk) -> None:
    assert walk.one(dict, "clusters create", "gpu")["registration_token"]["token"].startswith("pjreg-")
    assert [cluster["name"] for cluster in walk.one(list, "clusters list")] == ["local", "gpu"]
    assert walk.one(dict, "clusters get", "gpu")["node_list"] == []
    assert walk.one(dict, "clusters rotate", "gpu")["object"] == "cluster.registration_token"
    assert walk.one(dict, "kube-token", "gpu")["kind"] == "ExecCredential"
    assert "https" in json.loads(walk.run("kubeconfig", "gpu", code=1).stderr)["error"]["message"]
    assert walk.one(dict, "clusters revoke", "gpu")["state"] == "revoked"
    assert walk.one(dict, "clusters quota", "gpu", "proj-local", "cpu=8")["resources"] == {"cpu": "8"}
    assert len(walk.one(list, "clusters quota", "gpu")) == 1
    assert [gone["deleted"] for gone in walk.one(list, "clusters delete", "gpu")] == [True]


@pytest.mark.parametrize("line", ["files list --limit nope", "chat"])
def test_a_wrong_command_line_has_no_document(line: str) -> None:
    result = CliRunner().invoke(main, [*line.split(), "--json"], input="")
    assert (result.exit_code, result.stdout) == (2, "")
