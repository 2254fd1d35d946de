"""The commands against a real platform."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from perijove_platform.cli import files as files_module
from perijove_platform.cli import main
from perijove_platform.cli.files import safe_name
from perijove_platform.cli.session import plain, size_text
from perijove_platform.discovery import Connection

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
    cli("files delete", file["id"])
    gone = cli("files download --json", file["id"], code=1)
    assert json.loads(gone.stderr)["error"]["code"] == "not_found"
    assert gone.stdout == ""


def test_big_files_go_in_parts_and_resume(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "IN_PARTS_FROM", 1000)
    monkeypatch.setattr(files_module, "PART_BYTES", 400)
    path = tmp_path / "big.txt"
    path.write_bytes(bytes(range(256)) * 4)
    sent = 0
    call = files_module.Session.call

    def breaks(session: Any, method: str, url: str, **request: Any) -> Any:
        nonlocal sent
        if url.endswith("/parts"):
            sent += 1
            if sent == 2:
                raise files_module.Failed("The connection broke.")
        return call(session, method, url, **request)

    monkeypatch.setattr(files_module.Session, "call", breaks)
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


def test_models(cli: Cli, tmp_path: Path) -> None:
    [model] = [model for model in cli.json("models list") if model["kind"] == "chat"]
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
    for name, text in {"io.md": "Io is a volcanic moon of Jupiter.", "cake.md": "Bake the cake for an hour."}.items():
        (tmp_path / name).write_text(text)
    store = cli.json("vector-stores create --name moons", tmp_path / "io.md")
    assert store["file_counts"]["completed"] == 1
    cli("vector-stores add", store["id"], tmp_path / "cake.md")
    found = cli.json("vector-stores search", store["id"], "volcano moon")
    assert found[0]["filename"] == "io.md"
    assert "moons" in cli("vector-stores list").stdout
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
    line = "jobs create --model SmolLM2-135M-Instruct --training-file"
    assert "line 2" in cli(line, training_file, code=1).stderr


def test_status(cli: Cli, platform: Connection) -> None:
    assert cli.json("status")["base_url"] == platform.base_url
    assert platform.api_key not in cli("status").stdout


def test_no_platform(tmp_path: Path) -> None:
    runner = CliRunner()
    nowhere = {"PERIJOVE_BASE_URL": "http://127.0.0.1:9", "PERIJOVE_API_KEY": "k"}
    for arguments, environment in [
        (["files", "list"], nowhere),
        (["status"], nowhere),
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
    assert plain("a\x1b[31mb\tc\nd\x9b\r") == "a[31mb\tc\nd"
