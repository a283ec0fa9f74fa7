"""A filter for the messages that TensorFlow's C++ code logs while it is imported."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOISE = re.compile(
    rb"[IW]\d{4} [\d:]+\.\d+ |"  # a line of information or a warning, as absl writes it
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |"  # the same before absl's log is set up
    rb"WARNING: All log messages before absl::InitializeLog|"
    rb"To enable the following instructions:|"
    rb".*Unable to register cu\w+ factory|"  # older TensorFlow registers them twice, on every machine
    rb".*failed call to cuInit.*\(303\)"  # there is no CUDA driver at all
)

# Two threads that swap descriptor 2 at once would restore it in the wrong order, and lose it.
_lock = threading.RLock()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Drop C++ start-up messages while modules are imported; everything else written to stderr still shows.

    TensorFlow writes them to file descriptor 2 before its own log level counts, so neither
    `TF_CPP_MIN_LOG_LEVEL` nor `%%capture` keeps them out of a notebook.
    """
    with _lock:
        try:
            stderr = os.dup(2)
        except OSError:  # a program without a stderr
            yield
            return
        with tempfile.TemporaryFile() as written, warnings.catch_warnings():
            # Keras looks for `np.object`, which numpy before 2.4 warns of.
            warnings.filterwarnings("ignore", r"In the future `np\.object`", FutureWarning)
            os.dup2(written.fileno(), 2)
            try:
                yield
                _list_devices()
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                written.seek(0)
                if rest := b"".join(line for line in written if not _NOISE.match(line)):
                    os.write(2, rest)


def _list_devices() -> None:
    # On a machine without a GPU the first operation logs an error. Listing the devices logs it here instead
    # and, unlike an operation, still allows the user to configure them afterwards.
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.list_physical_devices()
