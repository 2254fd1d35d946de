"""The commands against a real platform."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from perijove_platform.cli import main, uploads
from perijove_platform.cli.failures import Failed, Lost
from perijove_platform.cli.files import safe_name
from perijove_platform.cli.session import Session, size_text
from perijove_platform.discovery import Connection
from perijove_platform.legible import legible

EXAMPLE = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}


class Cli:
    """Runs `perijove …` against one platform."""

    def __init__(self, platform: Connection) -> None:
        self._environment = {"PERIJOVE_BASE_URL": platform.base_url, "PERIJOVE_API_KEY": platform.api_key}

    def __call__(self, line: str, *more: object, code: int = 0, stdin: str | None = None) -> Result:
        arguments = [*shlex.split(line), *map(str, more)]
        result = CliRunner().invoke(main, arguments, env=self._environment, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def json(self, line: str, *more: object) -> Any:
        return json.loads(self(line, *more, "--json").stdout)


@pytest.fixture
def cli(platform: Connection) -> Cli:
    return Cli(platform)


@pytest.fixture
def training_file(tmp_path: Path) -> Path:
    path = tmp_path / "träin 🦊.jsonl"
    path.write_text(f"{json.dumps(EXAMPLE)}\nbroken\n")
    return path


def test_files(cli: Cli, training_file: Path, tmp_path: Path) -> None:
    [file] = cli.json("files upload", training_file)
    assert (file["filename"], file["purpose"]) == (training_file.name, "fine-tune")
    assert file["id"] in cli("files list --purpose fine-tune").stdout
    assert [found["id"] for found in cli.json("files list --limit 1")] == [file["id"]]
    checked = cli("files validate", file["id"], code=1).stdout
    assert "errors 1" in checked
    assert "line 2: The line is not valid JSON" in checked
    assert cli("files download -o -", file["id"]).stdout == training_file.read_text()
    target = tmp_path / "out"
    cli("files download -o", target, file["id"])
    assert target.read_bytes() == training_file.read_bytes()
    assert "--force" in cli("files download -o", target, file["id"], code=1).stderr
    assert cli("files preview", file["id"]).stdout.splitlines() == [
        f"     1  {json.dumps(EXAMPLE)}",
        "     2  broken",
    ]
    shown = cli("files preview --offset 1 --limit 5", file["id"])
    assert (shown.stdout, shown.stderr) == ("     2  broken\n", "1 of 2 lines\n")
    assert "file-nope" in cli("files preview file-nope", code=1).stderr
    cli("files delete", file["id"])
    gone = cli("files download --json", file["id"], code=1)
    assert json.loads(gone.stderr)["error"]["code"] == "not_found"
    assert gone.stdout == ""


def test_big_files_go_in_parts_and_resume(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IN_PARTS_FROM", 1000)
    monkeypatch.setattr(uploads, "PART_BYTES", 400)
    path = tmp_path / "big.txt"
    path.write_bytes(bytes(range(256)) * 4)
    sent = 0
    call = Session.call

    def breaks(session: Any, method: str, url: str, **request: Any) -> Any:
        nonlocal sent
        if url.endswith("/parts"):
            sent += 1
            if sent == 2:
                raise Failed("The connection broke.")
        return call(session, method, url, **request)

    monkeypatch.setattr(Session, "call", breaks)
    failed = cli("files upload", path, code=1).stderr
    assert "Go on within the hour with --resume upload_" in failed
    upload_id = failed.split()[-1].rstrip(".")
    [file] = cli.json("files upload --resume", upload_id, path)
    assert sent == 4
    assert file["bytes"] == 1024
    assert cli("files download -o -", file["id"]).stdout_bytes == path.read_bytes()
    other = tmp_path / "other"
    other.write_bytes(b"x")
    assert "is completed" in cli("files upload --resume", upload_id, path, code=1).stderr


def test_a_binary_file_has_no_preview(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bytes.bin"
    path.write_bytes(bytes(range(256)))
    [file] = cli.json("files upload", path)
    assert cli.json("files preview", file["id"])["binary"] is True
    assert "is not text" in cli("files preview", file["id"], code=1).stderr


def test_aliases(cli: Cli) -> None:
    model = next(model for model in cli.json("models list") if model["id"] == "SmolLM2-135M-Instruct")
    assert "also called smol" in cli("models alias", model["id"], "smol").stdout
    assert "smol" in cli("models list").stdout
    assert cli("chat --max-tokens 3 smol Hi").stdout.strip()
    assert "'smol'" in cli("models alias wordllama smol", code=1).stderr
    assert "a/b" in cli("models alias", model["id"], "a/b", "--remove", code=1).stderr
    assert cli.json("models alias", model["id"], "smol", "--remove")["aliases"] == []
    assert "no alias 'smol'" in cli("models alias", model["id"], "smol", "--remove", code=1).stderr


def test_models(cli: Cli, tmp_path: Path) -> None:
    model = next(model for model in cli.json("models list") if model["id"] == "SmolLM2-135M-Instruct")
    assert model["id"] in cli("models list").stdout
    assert cli.json("models load", model["id"])["state"] == "loaded"
    assert cli.json("models unload", model["id"])["state"] == "available"
    assert "no model 'nope'" in cli("models load nope", code=1).stderr
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    assert "Error" in cli("models register", broken, code=1).stderr


def test_chat(cli: Cli) -> None:
    assert cli("chat --max-tokens 8 'Say hello'").stdout.strip()
    assert cli("chat --max-tokens 8", stdin="Say hello\n").stdout.strip()
    answer = cli.json("chat --max-tokens 3 SmolLM2-135M-Instruct Hi")
    assert answer["object"] == "chat.completion"
    assert "no chat model 'nope'" in cli("chat nope Hi", code=1).stderr
    assert "no prompt" in cli("chat", stdin="", code=2).stderr


def test_vector_stores(cli: Cli, tmp_path: Path) -> None:
    for name, text in {
        "io.md": "# Io\n\nIo is a volcanic moon of Jupiter.",
        "cake.md": "Bake the cake for an hour.",
    }.items():
        (tmp_path / name).write_text(text)
    store = cli.json("vector-stores create --name moons", tmp_path / "io.md")
    assert store["file_counts"]["completed"] == 1
    cli("vector-stores add", store["id"], tmp_path / "cake.md")
    found = cli.json("vector-stores search", store["id"], "volcano moon")
    assert found[0]["filename"] == "io.md"
    assert "moons" in cli("vector-stores list").stdout
    heading, *rows = cli("vector-stores search", store["id"], "volcano moon").stdout.splitlines()
    assert heading.split() == ["SCORE", "FILE", "PASSAGE"]
    assert len(rows) == len(found)
    stores = len(cli.json("vector-stores list"))
    refused = cli("vector-stores create --embedding-model nope", tmp_path / "io.md", code=1).stderr
    assert "was deleted again." in refused
    assert len(cli.json("vector-stores list")) == stores
    unread = cli("vector-stores create", _broken_pdf(tmp_path), code=1).stderr
    assert "could not be indexed" in unread
    [made] = re.findall(r"The vector store (vs_\w+) was created\.", unread)
    cli("vector-stores delete", made)
    assert "could not be indexed" in cli("vector-stores add", store["id"], _broken_pdf(tmp_path), code=1).stderr
    cli("vector-stores delete", store["id"])


def _broken_pdf(folder: Path) -> Path:
    path = folder / "text.pdf"
    path.write_text("this is no PDF")
    return path


def test_jobs(cli: Cli, training_file: Path) -> None:
    assert isinstance(cli.json("jobs list"), list)
    refused = cli("jobs create --model SmolLM2-135M-Instruct --training-file file-nope", code=1).stderr
    assert "file-nope" in refused
    for action in ("get", "cancel", "pause", "resume", "events", "logs"):
        assert "ftjob-nope" in cli(f"jobs {action} ftjob-nope", code=1).stderr


CREATE = "jobs create --model SmolLM2-135M-Instruct --training-file"


def test_a_refused_job_leaves_no_upload(cli: Cli, training_file: Path) -> None:
    [own] = cli.json("files upload", training_file)
    before = {file["id"] for file in cli.json("files list")}
    refused = cli(CREATE, training_file, "--validation-file", training_file, code=1).stderr
    assert "line 2: The line is not valid JSON" in refused
    assert refused.count("was deleted again.") == 2
    assert ".." not in refused
    as_json = json.loads(cli(CREATE, training_file, "--json", code=1).stderr)["error"]
    assert as_json["code"] == "invalid_training_file"
    assert "was deleted again." in as_json["message"]
    # What was there before is not the command's to delete.
    assert "deleted" not in cli(CREATE, own["id"], code=1).stderr
    assert {file["id"] for file in cli.json("files list")} == before
    refused = cli("vector-stores add vs_nope", training_file, code=1).stderr
    assert "vs_nope" in refused and "was deleted again." in refused
    assert {file["id"] for file in cli.json("files list")} == before


def test_an_upload_whose_job_may_exist_is_kept(cli: Cli, training_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Session.call

    def loses_the_answer(session: Session, method: str, url: str, **request: Any) -> Any:
        if url == "/v1/fine_tuning/jobs":
            raise Lost("The connection broke.")
        return call(session, method, url, **request)

    monkeypatch.setattr(Session, "call", loses_the_answer)
    [kept] = re.findall("The upload (file-\\w+) was kept", cli(CREATE, training_file, code=1).stderr)
    assert kept in {file["id"] for file in cli.json("files list")}


def test_status(cli: Cli, platform: Connection) -> None:
    assert cli.json("status")["base_url"] == platform.base_url
    assert platform.api_key not in cli("status").stdout


def test_no_platform(tmp_path: Path) -> None:
    runner = CliRunner()
    nowhere = {"PERIJOVE_BASE_URL": "http://127.0.0.1:9", "PERIJOVE_API_KEY": "k"}
    for arguments, environment in [
        (["files", "list"], nowhere),
        (["status"], nowhere),
        (["files", "list"], {**nowhere, "PERIJOVE_BASE_URL": "no address"}),
        (["status"], {**nowhere, "PERIJOVE_BASE_URL": "http://[::"}),
        (["files", "list"], {**nowhere, "PERIJOVE_BASE_URL": "http://[::"}),
        (["files", "list", "--data-dir", str(tmp_path)], {}),
        (["status", "--data-dir", str(tmp_path)], {}),
        (["chat", "hi"], {"PERIJOVE_BASE_URL": "http://127.0.0.1:9", "PERIJOVE_API_KEY": None}),
    ]:
        result = runner.invoke(main, arguments, env=environment)
        assert result.exit_code == 4, result.output
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.output


def test_help_of_every_command() -> None:
    runner = CliRunner()
    assert "vector-stores" in runner.invoke(main, ["--help"]).stdout
    for group in ("files", "jobs", "models", "vector-stores"):
        command = main.get_command(None, group)  # type: ignore[arg-type]
        for name in command.commands:  # type: ignore[union-attr]
            shown = runner.invoke(main, [group, name, "--help"])
            assert shown.exit_code == 0
            assert "--json" in shown.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.txt", "a.txt"), ("../../x", "x"), ("a\\b", "b"), ("..", "file-1"), ("a/", "file-1"), ("\x1b[2Jx", "[2Jx")],
)
def test_downloads_stay_in_the_folder(name: str, expected: str) -> None:
    assert safe_name({"id": "file-1", "filename": name}) == expected


def test_what_is_shown() -> None:
    assert [size_text(n) for n in (None, 0, 1023, 1024, 3 * 2**30, 2**50)] == [
        "",
        "0 B",
        "1023 B",
        "1.0 KiB",
        "3.0 GiB",
        "1024.0 TiB",
    ]
    assert legible("a\x1b[31mb\tc\nd\x9b\r") == "a[31mb\tc\nd"
