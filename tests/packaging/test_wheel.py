"""The wheel, installed into an environment that has never seen the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path) -> str:
    # No Node and no checkout: what the wheel needs, it brings.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "PERIJOVE_DATA_DIR")}
    environment["PATH"] = "/usr/bin:/bin"
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel and its locked dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=ROOT)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    uv = [BIN / "uv", "pip", "install", "-q", "--python", python]
    run(*uv, "--require-hashes", "-r", ROOT / "requirements" / "lab.lock", cwd=folder)
    run(*uv, "--no-deps", next(folder.glob("*.whl")), cwd=folder)
    return python.parent


def test_both_extensions_are_enabled(environment: Path, tmp_path: Path) -> None:
    server = run(environment / "python", "-m", "jupyter", "server", "extension", "list", cwd=tmp_path)
    after = server[server.index("perijove") :]
    assert "OK" in after
    assert "rror" not in after
    lab = run(environment / "python", "-m", "jupyter", "labextension", "list", cwd=tmp_path)
    line = next(line for line in lab.splitlines() if "@perijove/labextension" in line)
    assert "OK" in line
    assert "enabled" in line


def test_the_platform_starts_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [environment / "perijove", "serve", "--data-dir", tmp_path / "data", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PERIJOVE_INSTALL_DEFAULT_MODELS": "false", "PYTHONPATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        shown = run(
            environment / "perijove", "status", "--data-dir", tmp_path / "data", "--wait", "60", "--json", cwd=tmp_path
        )
        status = json.loads(shown)
        assert status["base_url"].startswith("http://127.0.0.1:")
        assert status["api_key"].startswith("sk-perijove-")
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_importing_the_client_needs_no_training_stack(environment: Path, tmp_path: Path) -> None:
    code = "import sys, perijove; perijove.client; print(sorted({'torch', 'transformers', 'trl'} & set(sys.modules)))"
    assert run(environment / "python", "-c", code, cwd=tmp_path).strip() == "[]"
