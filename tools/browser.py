"""Sees to Chromium for the tests of the panels: takes the machine's, else asks Debian for it where that is allowed."""

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    if any(shutil.which(name) for name in NAMES):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("perijove: Chromium from Debian …", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], check=False)
    if not any(shutil.which(name) for name in NAMES):
        print("perijove: no Chromium here; the tests of the panels will say that they could not run.", flush=True)


if __name__ == "__main__":
    main()
