"""The notebooks and the README's lines run as they stand, without stray output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
TRANSLATIONS = [path for path in NOTEBOOKS if path.parent != FOLDER]  # their code differs in words only
WIDGET = "application/vnd.jupyter.widget-view+json"

READY_TO_TRAIN = """
import numpy
x, y = numpy.zeros((2, 150, 150, 3), "float32"), numpy.array([0, 1])
model.compile(loss="sparse_categorical_crossentropy")
"""

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(FOLDER)))


def read(path):
    return nbformat.read(path, as_version=4)


def with_answers(notebook):
    """Return the notebook with the code in its texts, such as hidden answers, as cells behind them."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cells += [nbformat.v4.new_code_cell(code) for code in CODE.findall(cell.source)]
    notebook.cells = cells
    return notebook


def run(notebook, folder):
    """Return the outputs of every code cell, run in a fresh kernel."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@each_notebook
def test_stored_without_output(path):
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.outputs for cell in notebook.cells if cell.get("outputs")] == []
    assert [cell.execution_count for cell in notebook.cells if cell.get("execution_count")] == []


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path in TRANSLATIONS)) for path in NOTEBOOKS],
    ids=lambda path: str(path.relative_to(FOLDER)),
)
def test_runs_without_noise(path, tmp_path):
    outputs = run(with_answers(read(path)), tmp_path)
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert any(WIDGET in output.get("data", ()) for output in outputs)


def test_the_readmes_lines_run(tmp_path):
    first, *others = CODE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = "\n".join([first, READY_TO_TRAIN, *others])
    subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, check=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "all_layers.pdf",
        "depth.gif",
        "maps.png",
        "run1",
        "training.gif",
    }
