"""The trainer's environment: found by its lock, made once, failures that say why. Small locks, real installers."""

import base64
import hashlib
import threading
import zipfile
from pathlib import Path

import pytest
from perijove_platform.runtimes.local import trainer_environment as environment
from perijove_platform.runtimes.local.trainer_environment import InstallationFailed, PipProgress, UvProgress


def write_wheel(folder: Path) -> str:
    """A package "perijove-probe" of one module; returns its SHA-256."""
    folder.mkdir()
    path = folder / "perijove_probe-1.0-py3-none-any.whl"
    info = "perijove_probe-1.0.dist-info"
    files = {
        "perijove_probe.py": "VALUE = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: perijove-probe\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of the one package, which pip's settings say where to find; no index is asked."""
    digest = write_wheel(tmp_path / "wheels")
    path = tmp_path / "trainer.lock"
    path.write_text(f"perijove-probe==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(environment, "LOCK", path)
    monkeypatch.setattr(environment, "NEEDED_BYTES", 0)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return path


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_it_is_made_once(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str) -> None:
    if installer == "pip":
        monkeypatch.setattr(environment, "find_uv", lambda: None)
    said: list[str] = []
    cache = tmp_path / "cache"
    python = environment.install(cache, said.append)
    assert python == environment.environment_python(cache)
    assert list(python.parents[1].glob("lib/*/site-packages/perijove_probe.py"))
    assert said[-1] == "The training stack is installed"
    said.clear()
    assert environment.install(cache, said.append) == python
    assert said == []


def test_two_platforms_install_it_once(lock: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    threads = [threading.Thread(target=environment.install, args=(cache, said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("The training stack is installed") == 1
    assert not list(cache.glob("trainer/*.part"))


def test_a_changed_package_is_refused(lock: Path, tmp_path: Path) -> None:
    lock.write_text(f"perijove-probe==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(InstallationFailed, match="could not be installed"):
        environment.install(tmp_path / "cache", lambda _: None)
    assert environment.environment_python(tmp_path / "cache") is None
    assert not list((tmp_path / "cache").glob("trainer/*.part"))


def test_too_little_disk_is_said_before_the_download(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(InstallationFailed, match="PERIJOVE_CACHE_DIR"):
        environment.install(tmp_path / "cache", lambda _: None)


def test_another_lock_is_another_environment(lock: Path, tmp_path: Path) -> None:
    before = environment.environment_folder(tmp_path)
    lock.write_text("")
    assert environment.environment_folder(tmp_path) != before


def test_pips_settings_in_uvs_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example/simple")
    settings = {"index-url": "https://pip.example/simple", "find-links": "/a /b", "cert": "/ca.pem"}
    assert environment.uv_environment(settings) == {"UV_FIND_LINKS": "/a,/b", "SSL_CERT_FILE": "/ca.pem"}


def test_uvs_progress() -> None:
    said: list[str] = []
    progress = UvProgress(said.append)
    for line in (
        "Resolved 74 packages in 227ms",
        "Downloading torch (512.0MiB)",
        "Downloading triton (1.5GiB)",
        " Downloaded torch",
    ):
        progress(line)
    assert said == ["Installing the training stack: 1 of 2 large packages downloaded (0.5 of 2.0 GiB)"]


def test_pips_progress(lock: Path) -> None:
    said: list[str] = []
    progress = PipProgress(said.append)
    progress("Collecting perijove-probe==1.0 (from -r trainer.lock (line 1))")
    assert said == ["Installing the training stack: 1 of at most 1 packages, perijove-probe"]
