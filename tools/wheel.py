"""Builds the wheel from a clean production bundle and checks what is in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
NEEDED = (
    "perijove/__init__.py",
    "perijove_kernels/magics.py",
    "perijove_platform/app.py",
    "perijove_platform/openapi.json",
    "perijove_platform/py.typed",
    "perijove_platform/migrations/script.py.mako",
    "perijove_platform/trainer/trainer.lock",
    "labextensions/@perijove/labextension/package.json",
    "labextensions/@perijove/labextension/install.json",
    "etc/jupyter/jupyter_server_config.d/perijove.json",
)
UNWANTED = (".map", "build_log.json", "__tests__", ".pyc")


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    # The bundle in the tree may be a developer's; a wheel takes a fresh one.
    (ROOT / ".build" / "front-end-bundle").unlink(missing_ok=True)
    subprocess.run([sys.executable, ROOT / "tools" / "bootstrap.py", "lab"], check=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", DIST, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    wheel = next(DIST.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    missing = [needed for needed in NEEDED if not any(name.endswith(needed) for name in names)]
    unwanted = [name for name in names if any(mark in name for mark in UNWANTED)]
    if missing or unwanted:
        sys.exit(f"{wheel.name}: missing {missing}, unwanted {unwanted}")
    print(f"{wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.1f} MB, {len(names)} files")


if __name__ == "__main__":
    main()
