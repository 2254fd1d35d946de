"""What `import perijove` offers and what it costs."""

import subprocess
import sys

import perijove
import perijove_kernels
import pytest


def test_offers_all_of_the_kernels_package() -> None:
    assert set(perijove_kernels.__all__) | {"__version__"} == set(perijove.__all__)
    for name in perijove_kernels.__all__:
        assert getattr(perijove, name) is getattr(perijove_kernels, name)
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = perijove.nonesuch


def test_loads_nothing_heavy() -> None:
    script = "import sys, perijove; perijove._jupyter_server_extension_points(); print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"openai", "fastapi", "sqlalchemy", "numpy", "pandas", "pymilvus", "perijove_kernels", "IPython", "httpx"}
    assert not heavy & set(loaded)
    platform = {name for name in loaded if name.startswith("perijove_platform")}
    assert platform == {"perijove_platform", "perijove_platform.discovery"}


def test_jupyter_finds_both_extensions() -> None:
    (point,) = perijove._jupyter_server_extension_points()
    assert (point["module"], point["app"].name) == ("perijove", "perijove")
    assert perijove._jupyter_labextension_paths() == [{"src": "labextension", "dest": "@perijove/labextension"}]
