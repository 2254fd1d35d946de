"""Bytes of the front-end bundle that a browser loads, when JupyterLab starts and in all, against JupyterLab's own."""

import re
from pathlib import Path

import jupyterlab

BUNDLE = Path(__file__).parents[1] / "server_extension" / "perijove" / "labextension" / "static"
BUDGET_KB = {"at start": 100, "all together": 250}
AT_START = ("./extension", "./style")
"""What JupyterLab asks of every extension at once."""


def kilobytes(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1000


def loaded_at_start(folder: Path) -> list[Path]:
    """The entry, and the chunks that it loads for what JupyterLab asks at once."""
    (entry,) = folder.glob("remoteEntry.*.js")
    modules = re.search(r'\{("\./index":.*?)\},', entry.read_text(), re.DOTALL)
    if modules is None:
        raise RuntimeError(f"{entry} does not say what it exposes, or says it in a new way")
    found = {entry}
    for name, load in re.findall(r'"(\./\w+)":(.*?)(?=,"\./|$)', modules[1], re.DOTALL):
        if name in AT_START:
            for chunk in re.findall(r"\.e\(\"?(\w+)\"?\)", load):
                found.update(folder.glob(f"{chunk}.*.js"))
    return sorted(found)


def main() -> None:
    own = kilobytes(list((Path(jupyterlab.__file__).parent / "static").glob("*.js")))
    figures = {"at start": loaded_at_start(BUNDLE), "all together": list(BUNDLE.glob("*.js"))}
    print(f"{'':24}{'kB':>10}")
    print(f"{'JupyterLab':24}{own:10.0f}")
    for name, files in figures.items():
        print(f"{f'Perijove, {name}':24}{kilobytes(files):10.0f}   (budget {BUDGET_KB[name]})")


if __name__ == "__main__":
    main()
