"""Fixtures and settings of all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# Set before TensorFlow is imported: its start-up messages bury those of a failed test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BROWSER_TESTS = Path(__file__).parent / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if BROWSER_TESTS in item.path.parents:
            item.add_marker(pytest.mark.browser)
    # The slow ones last; and once Playwright has started, its event loop stays in the main thread.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="module")
def model() -> Any:
    """A small model for tests that leave it unchanged; others build their own."""
    import keras  # TensorFlow takes seconds to import, and many tests do without

    from tests.support import zoo

    keras.utils.set_random_seed(7)
    return zoo.sequential()
