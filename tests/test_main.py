"""The `fmwidget` command: its call of JupyterLab, the copy it keeps, and the modules it leaves unimported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from jupyterlab.labapp import LabApp

from fmwidget.__main__ import copy_quickstart, main


@pytest.fixture
def launched(monkeypatch):
    """Collect the arguments of every JupyterLab that would have been started."""
    calls: list[list[str]] = []
    monkeypatch.setattr(LabApp, "launch_instance", calls.append)
    # main() adds to it; the old value comes back afterwards.
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", os.environ.get("JUPYTER_CONFIG_PATH", ""))
    return calls


def test_options_reach_jupyterlab(launched, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    main([f"--folder={tmp_path}", "--no-browser", "--port", "9999", "--ServerApp.quit_button=False"])
    (arguments,) = launched
    assert arguments[-3:] == ["--no-browser", "--port=9999", "--ServerApp.quit_button=False"]
    assert "--allow-root" not in arguments


def test_root_is_allowed(launched, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    main([f"--folder={tmp_path}"])
    assert "--allow-root" in launched[0]


def test_an_edited_copy_is_kept(tmp_path):
    folder = tmp_path / "not" / "there yet"
    copy = copy_quickstart(folder)
    assert "FeatureMapWidget" in copy.read_text(encoding="utf-8")
    copy.write_text("edited", encoding="utf-8")
    assert copy_quickstart(folder) == copy
    assert copy.read_text(encoding="utf-8") == "edited"


@pytest.mark.parametrize("module", ["fmwidget", "fmwidget.__main__"])
def test_nothing_slow_is_imported_before_it_is_needed(module):
    code = (
        f"import {module}, sys; print(*{{'keras', 'tensorflow', 'matplotlib', 'numpy'}} & sys.modules.keys())"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_every_public_name_is_there_and_costs_little_beyond_its_dependencies(tmp_path):
    # The second import finds all dependencies loaded and, as in an installed package, the modules compiled;
    # processor time, as the machine may be busy.
    code = """
import sys, time
from fmwidget import *
for name in [name for name in sys.modules if name.split(".")[0] == "fmwidget"]:
    del sys.modules[name]
start = time.process_time()
from fmwidget import *
print(time.process_time() - start)
"""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 0.1
