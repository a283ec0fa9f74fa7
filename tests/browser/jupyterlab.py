"""A real JupyterLab server, and its notebooks on screen in Chromium.

```python
def test_something(open_notebook):
    notebook = open_notebook(["1 + 1"])
    notebook.run_all()
    assert notebook.output(0).inner_text() == "2"
    notebook.check_no_complaints()
```
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import nbformat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Locator, Page

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
START_SECONDS = 90
RUN_SECONDS = 180


@dataclass
class JupyterLab:
    """A server that serves `folder`."""

    url: str
    token: str
    folder: Path
    _opened: int = field(default=0, init=False)

    def open(self, page: Page, source: Path | str | Sequence[str]) -> Notebook:
        """Open a copy of a notebook, or a new one made of cells, and wait for its kernel."""
        self._opened += 1
        name = f"test_{self._opened}.ipynb"
        if isinstance(source, (Path, str)):
            shutil.copyfile(source, self.folder / name)
        else:
            cells = [nbformat.v4.new_code_cell(cell) for cell in source]
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
            nbformat.write(made, self.folder / name)
        # A workspace of its own: no tab of an earlier test comes back.
        page.goto(f"{self.url}/lab/workspaces/{name[:-6]}/tree/{name}?token={self.token}")
        notebook = Notebook(page, self, name)
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=START_SECONDS * 1000)
        notebook.wait_until_idle()
        return notebook


@dataclass
class Notebook:
    """An open notebook; cells are counted from 0, markdown cells among them."""

    page: Page
    lab: JupyterLab
    name: str

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the outputs of a cell, one element for each."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def run_all(self) -> None:
        """Run all cells and wait until the last has finished."""
        self._command("notebook:run-all-cells")

    def run_cell(self, index: int) -> None:
        """Run one cell and wait until it has finished."""
        self._evaluate("panel.content.activeCellIndex = argument", index)
        self._command("notebook:run-cell")

    def start_all(self) -> None:
        """Start all cells and return at once, to test a notebook while it runs."""
        self._evaluate("app.commands.execute('notebook:run-all-cells')")

    def start_cell(self, index: int) -> None:
        """Start one cell and return at once."""
        self._evaluate(
            "panel.content.activeCellIndex = argument; app.commands.execute('notebook:run-cell')", index
        )

    def set_source(self, index: int, source: str) -> None:
        """Replace the source of a cell."""
        self._evaluate(
            "panel.content.widgets[argument[0]].model.sharedModel.setSource(argument[1])", [index, source]
        )

    def interrupt(self) -> None:
        """Press the Interrupt button."""
        self._evaluate("await app.commands.execute('notebook:interrupt-kernel')")

    def save(self) -> None:
        """Save the notebook with its outputs."""
        self._evaluate("await panel.context.save()")

    def is_running(self, index: int) -> bool:
        """Return whether a cell has not finished; the kernel's own status includes work beside the cells."""
        return "[*]" in self.cell(index).locator(".jp-InputPrompt").inner_text()

    def wait_until_idle(self) -> None:
        """Wait until the kernel is idle."""
        self._evaluate(
            "await panel.sessionContext.ready;"
            "while (panel.sessionContext.session?.kernel?.status !== 'idle')"
            "  await new Promise(wake => setTimeout(wake, 50));"
        )

    def outputs(self) -> list[dict[str, Any]]:
        """Return all cells' outputs, as the saved notebook would hold them."""
        cells = self._evaluate("return panel.content.model.toJSON().cells")
        return [output for cell in cells for output in cell.get("outputs", ())]

    def check_no_complaints(self) -> None:
        """Fail where a cell raised, wrote to stderr, or a widget could not be shown."""
        complaints = [
            output
            for output in self.outputs()
            if output["output_type"] == "error" or output.get("name") == "stderr"
        ]
        assert not complaints, json.dumps(complaints, indent=1)[:3000]
        text = self.page.locator(".jp-NotebookPanel").inner_text()
        assert "Error displaying widget" not in text
        assert "Loading widget" not in text

    def screenshot(self, name: str) -> Path:
        """Save a screenshot of the page for inspection, in a folder that git ignores."""
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def shut_down(self) -> None:
        """End the kernel, and with it the memory it holds."""
        headers = {"Authorization": f"token {self.lab.token}"}
        sessions = self.page.request.get(f"{self.lab.url}/api/sessions", headers=headers).json()
        for session in sessions:
            if session["path"].endswith(self.name):
                self.page.request.delete(f"{self.lab.url}/api/sessions/{session['id']}", headers=headers)

    def _command(self, name: str) -> None:
        self._evaluate("await app.commands.execute(argument)", name)
        self.wait_until_idle()

    def _evaluate(self, body: str, argument: Any = None) -> Any:
        # Page.evaluate waits for ever; a kernel that hangs must fail the test instead.
        return self.page.evaluate(
            """([body, argument, seconds]) => {
                const app = window.jupyterapp, panel = app.shell.currentWidget;
                const run = new Function("app", "panel", "argument", `return (async () => { ${body} })()`);
                const late = new Promise((_, reject) => setTimeout(
                    () => reject(new Error(`not done after ${seconds} s: ${body}`)), seconds * 1000));
                return Promise.race([run(app, panel, argument), late]);
            }""",
            [body, argument, RUN_SECONDS],
        )


@contextmanager
def running_jupyterlab(folder: Path) -> Iterator[JupyterLab]:
    """Start the `fmwidget` command on a free port, with settings of its own, and stop it afterwards."""
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    # The page's colour scheme chooses the theme, so that a test can ask for light or dark.
    (settings / "themes.jupyterlab-settings").write_text('{"adaptive-theme": true}')
    environment = os.environ | {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    # Notebooks must be clean without what the tests' own process sets.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    port, token = _free_port(), secrets.token_hex(16)
    lab = JupyterLab(f"http://127.0.0.1:{port}", token, folder / "notebooks")
    arguments = [f"--folder={lab.folder}", "--no-browser", f"--port={port}", "--expose-app-in-browser"]
    for_server = ["--ip=127.0.0.1", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    log = folder / "server.log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "fmwidget", *arguments, *for_server],
            env=environment,
            stdout=written,
            stderr=written,
        )
        try:
            _wait_for(lab, server, log)
            yield lab
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(lab: JupyterLab, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except URLError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
