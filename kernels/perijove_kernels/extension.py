"""`%load_ext perijove`."""

from typing import Any

from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add `%%chat` and `%perijove` to the shell."""
    from perijove_kernels.magics import PerijoveMagics

    magics = PerijoveMagics(shell=shell)
    shell.register_magics(magics)
    # What `%config` lists; IPython types the list by its first member.
    configurables: list[Any] = shell.configurables
    configurables.append(magics)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again."""
    for kind in ("line", "cell"):
        for name in ("chat", "perijove"):
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__module__ != "perijove_kernels.magics"]
