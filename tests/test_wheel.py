"""The wheel: complete, and independent of the repository."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKS = """
import importlib.resources, pathlib, sys
import fmwidget
from fmwidget.__main__ import copy_quickstart
assert pathlib.Path(fmwidget.__file__).is_relative_to(sys.argv[1]), fmwidget.__file__
assert copy_quickstart(pathlib.Path("copy")).stat().st_size > 1000
widget = fmwidget.FeatureMapWidget(fmwidget.sample_model())
assert widget.png.startswith(b"\\x89PNG")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={folder}"]
    subprocess.run([*build, ROOT], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    files = [path for path in (ROOT / "fmwidget").rglob("*") if path.is_file()]
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if not name.startswith("fmwidget-")}
    assert package == expected | {"fmwidget/notebooks/quickstart.ipynb"}
    assert {"fmwidget/py.typed", "fmwidget/frontend/js/picture_view.js"} <= package


def test_the_wheel_works_away_from_the_repository(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, sys.argv[1])\n{WORKS}"
    command = [sys.executable, "-c", code, tmp_path / "site"]
    subprocess.run(command, cwd=tmp_path, check=True)


@pytest.mark.slow
def test_the_wheel_brings_all_it_needs_into_an_empty_environment(wheel, tmp_path):
    environment = tmp_path / "empty"
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    subprocess.run([python, "-I", "-c", WORKS, environment], cwd=tmp_path, check=True)
