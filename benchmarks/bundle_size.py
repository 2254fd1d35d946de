"""Bytes of the front-end bundle that a browser loads, against JupyterLab's own."""

from pathlib import Path

import jupyterlab

BUNDLE = Path(__file__).parents[1] / "server_extension" / "perijove" / "labextension" / "static"
BUDGET_KB = 250


def kilobytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("*.js")) / 1000


def main() -> None:
    own = Path(jupyterlab.__file__).parent / "static"
    print(f"{'':20}{'kB':>10}")
    print(f"{'JupyterLab':20}{kilobytes(own):10.0f}")
    print(f"{'Perijove':20}{kilobytes(BUNDLE):10.0f}   (budget {BUDGET_KB})")


if __name__ == "__main__":
    main()
