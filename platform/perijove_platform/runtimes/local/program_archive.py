"""Our programs as one file each, so that they run in an environment that must not see the platform's packages."""

import hashlib
import os
import zipfile
from io import BytesIO
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
_MAIN = "import sys\nfrom perijove_platform.{name}.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def archive_program(name: str, folder: Path) -> Path:
    """``folder/<name>-<hash>.pyz`` with the modules of `perijove_platform.<name>`, written unless it is there.

    A running program keeps the modules it was started with, whatever happens to the checkout meanwhile.
    """
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN.format(name=name))
        archive.writestr(zipfile.ZipInfo("perijove_platform/__init__.py", _EPOCH), "")
        for module in sorted((_PACKAGE / name).glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"perijove_platform/{name}/{module.name}", _EPOCH), module.read_bytes())
    target = folder / f"{name}-{hashlib.sha256(content.getvalue()).hexdigest()[:16]}.pyz"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        building = target.with_name(f"{target.name}.{os.getpid()}.part")
        building.write_bytes(content.getvalue())
        building.replace(target)
    return target
