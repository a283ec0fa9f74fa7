"""Fixtures: Chromium, and a JupyterLab to drive with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import find_chromium
from tests.browser.jupyterlab import JupyterLab, running_jupyterlab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.browser.jupyterlab import Notebook


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    path = find_chromium()
    if path is None:
        message = "no Chromium here; `python -m tests.browser.chromium` installs one"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    # No background requests to Google's servers.
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    plain = ["--disable-gpu", "--disable-quic", "--no-first-run"]
    # Chromium's sandbox refuses to run as root, the user of tests in most containers.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return browser_type_launch_args | {"executable_path": path, "args": [*quiet, *plain, *sandbox]}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    # The window the design is made for: JupyterLab leaves 848 px of it for output.
    return browser_context_args | {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    with running_jupyterlab(tmp_path_factory.mktemp("jupyterlab")) as lab:
        yield lab


@pytest.fixture
def open_notebook(page: Page, jupyterlab: JupyterLab) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook, a path or a list of cells' sources, and shut its kernel down after the test."""
    opened: list[Notebook] = []

    def open_(source: Any) -> Notebook:
        opened.append(jupyterlab.open(page, source))
        return opened[-1]

    yield open_
    for notebook in opened:
        notebook.shut_down()
