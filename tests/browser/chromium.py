"""Find the Chromium that the browser tests drive; as a script, install one where none is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, else of Playwright's own, else `None`."""
    return next(filter(None, map(shutil.which, NAMES)), None) or _playwrights_own()


def _playwrights_own() -> str | None:
    # Playwright returns the path of the build it would download, whether or not the file exists. A
    # process of its own: its event loop must not meet the one that pytest-playwright keeps running.
    code = (
        "from playwright.sync_api import sync_playwright as s; p = s().start(); "
        "print(p.chromium.executable_path); p.stop()"
    )
    path = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    return path.strip() if Path(path.strip()).is_file() else None


def install_chromium() -> None:
    """Install Debian's package where that is possible, else the build that Playwright offers."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        # The notebooks' text needs a font, which a bare machine does not have.
        packages = ["chromium", "fonts-liberation"]
        subprocess.run(["apt-get", "update", "-q"], check=False)
        subprocess.run(["apt-get", "install", "-qy", "--no-install-recommends", *packages], check=False)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__" and find_chromium() is None:
    install_chromium()
    if find_chromium() is None:
        sys.exit("No Chromium was found, and none could be installed: install one, then run this again.")
