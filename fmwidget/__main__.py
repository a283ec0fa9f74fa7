"""`python -m fmwidget` and the `fmwidget` command: JupyterLab, open on a copy of the quickstart notebook."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from jupyterlab.labapp import LabApp


def main(argv: list[str] | None = None) -> None:
    """Copy the quickstart into a working folder and open JupyterLab on it.

    Args:
        argv: The command's arguments, `sys.argv[1:]` by default. Unknown ones are passed on to JupyterLab.
    """
    parser = argparse.ArgumentParser(
        prog="fmwidget",
        description="Open JupyterLab on your own copy of the fmwidget quickstart.",
        epilog="Any other argument is passed on to JupyterLab.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home() / "fmwidget-quickstart",
        help="folder of the copy; an existing copy is opened unchanged (default: %(default)s)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--port", type=int, help="port of the server (default: the first free one from 8888)")
    options, for_jupyterlab = parser.parse_known_args(argv)

    copy = copy_quickstart(options.folder)
    # As the default URL, the notebook is also in the address that is printed for the user to open.
    arguments = [f"--ServerApp.root_dir={copy.parent}", f"--LabApp.default_url=/lab/tree/{copy.name}"]
    if options.no_browser:
        arguments.append("--no-browser")
    if options.port is not None:
        arguments.append(f"--port={options.port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # JupyterLab refuses to serve root, the user of most containers.
        arguments.append("--allow-root")
    _disable_news()
    LabApp.launch_instance([*arguments, *for_jupyterlab])


def copy_quickstart(folder: Path) -> Path:
    """Copy the quickstart into a folder, unless it holds a copy already.

    Args:
        folder: The working folder; created if it does not exist.

    Returns:
        The path of the copy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder.resolve() / "quickstart.ipynb"
    if not copy.exists():
        shutil.copyfile(_quickstart(), copy)
    return copy


def _disable_news() -> None:
    # JupyterLab shows new users a question about news, and some releases check for a newer one; both use the
    # network, and no option of the command line stops the question (seen in 4.6). Other default settings stop
    # both; the user's own settings take precedence.
    folders = [str(Path(__file__).parent / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))


def _quickstart() -> Path:
    package = Path(__file__).parent
    in_wheel = package / "notebooks" / "quickstart.ipynb"
    # In an editable install the notebook lies beside the package.
    return in_wheel if in_wheel.exists() else package.parent / "notebooks" / "quickstart.ipynb"


if __name__ == "__main__":
    main()
