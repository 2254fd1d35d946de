"""`python -m perijove_platform` is the `perijove` command."""

from perijove_platform.cli import main

if __name__ == "__main__":
    main(prog_name="perijove")
