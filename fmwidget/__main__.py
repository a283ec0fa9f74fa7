"""`python -m fmwidget` and the `fmwidget` command: JupyterLab, open on a copy of the quickstart notebook."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from jupyterlab.labapp import LabApp


def main(argv: list[str] | None = None) -> None:
    """Copies the quickstart into a working folder and opens JupyterLab on it.

    Args:
        argv: The command's arguments, `sys.argv[1:]` by default. Those not known here go to JupyterLab.
    """
    parser = argparse.ArgumentParser(
        prog="fmwidget",
        description="Open JupyterLab on your own copy of the fmwidget quickstart.",
        epilog="Any other argument is handed to JupyterLab.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home() / "fmwidget-quickstart",
        help="where the copy is kept; one that is there already is opened as it is (default: %(default)s)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--port", type=int, help="where to listen (default: the first free port from 8888)")
    options, for_jupyterlab = parser.parse_known_args(argv)

    copy = copy_quickstart(options.folder)
    # Given as the default address, the notebook is also in the address that is printed for a person to open.
    arguments = [f"--ServerApp.root_dir={copy.parent}", f"--LabApp.default_url=/lab/tree/{copy.name}"]
    if options.no_browser:
        arguments.append("--no-browser")
    if options.port is not None:
        arguments.append(f"--port={options.port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # JupyterLab refuses to serve root, which is who you are in most containers.
        arguments.append("--allow-root")
    _without_news()
    LabApp.launch_instance([*arguments, *for_jupyterlab])


def copy_quickstart(folder: Path) -> Path:
    """Copies the quickstart into `folder`, unless a copy is there already.

    Args:
        folder: The working folder; made when it does not exist.

    Returns:
        The path of the copy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder.resolve() / "quickstart.ipynb"
    if not copy.exists():
        shutil.copyfile(_quickstart(), copy)
    return copy


def _without_news() -> None:
    # JupyterLab asks every newcomer about news and some releases look for a newer one; both call home, and no
    # option of the command line stops the question (seen in 4.6). Changed default settings stop both; what
    # people set themselves still wins.
    folders = [str(Path(__file__).parent / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))


def _quickstart() -> Path:
    package = Path(__file__).parent
    in_wheel = package / "notebooks" / "quickstart.ipynb"
    # An editable install has no copy of its own: there the notebook lies beside the package.
    return in_wheel if in_wheel.exists() else package.parent / "notebooks" / "quickstart.ipynb"


if __name__ == "__main__":
    main()
