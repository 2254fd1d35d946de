"""`make lab` starts the platform beside JupyterLab: it is the one that Lab uses, and none is left behind."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import psutil
from perijove.embedded import EmbeddedPlatform
from perijove.leases import Leases

OFFLINE = {"PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}
LAB = Path(__file__).resolve().parents[2] / "tools" / "lab.py"


async def test_a_platform_begun_ahead_is_the_one_that_jupyter_uses(start_jupyter, tmp_path, monkeypatch) -> None:
    data_dir = tmp_path / "data"
    monkeypatch.setenv("PERIJOVE_INSTALL_DEFAULT_MODELS", "false")
    await EmbeddedPlatform(data_dir, stop_with_last=True, log=logging.getLogger()).head_start()
    begun = Leases(data_dir).started()
    jupyter = start_jupyter(OFFLINE, data_dir=str(data_dir))
    jupyter.until("ready")
    assert begun is not None
    assert Leases(data_dir).started() == begun
    jupyter.stop()
    assert not Leases(data_dir).served()
    assert Leases(data_dir).started() is None


def test_a_lab_that_does_not_start_leaves_no_platform(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **OFFLINE,
        "PERIJOVE_DATA_DIR": str(tmp_path),
        "LAB_ARGS": "--no-such-option=1 --port=x",
    }
    done = subprocess.run([sys.executable, LAB], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    assert (tmp_path / "leases" / "platform.pid").exists()
    assert Leases(tmp_path).started() is None


async def test_a_start_that_is_called_off_leaves_no_platform(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PERIJOVE_INSTALL_DEFAULT_MODELS", "false")
    platform = EmbeddedPlatform(tmp_path, stop_with_last=True, log=logging.getLogger())
    for turns in range(12):
        await platform.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await platform.stop()
        assert Leases(tmp_path).started() is None
        assert not running_for(tmp_path)


def running_for(data_dir: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # another test's, that ends just now
            if str(data_dir) in process.cmdline():
                found.append(process)
    return found
