"""Peak memory with and without recording, EfficientNetB7 at 600×600: `python -m tests.support.memory`.

Each of the two runs in a process of its own, since a process reports only the peak of its whole life.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

MIB = 2**20


def peak(mode: str, name: str, size: int) -> tuple[int, int]:
    """Return the bytes that a process needs at its peak to run or record a network of `keras.applications`.

    Args:
        mode: `"run"` for a plain eager forward pass, `"record"` for the maps of three of its layers.
        name: Name of the constructor.
        size: Height and width of the image.

    Returns:
        The peak, and the bytes of maps in the cache at the end.
    """
    command = [sys.executable, "-m", "tests.support.memory", mode, name, str(size)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    most, held = map(int, done.stdout.split())
    return most, held


def _measure(mode: str, name: str, size: int) -> None:
    import keras
    import numpy as np

    from fmwidget import ActivationModel

    held = 0
    model = getattr(keras.applications, name)(weights=None)
    batch = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype("float32")
    if mode == "run":
        for _ in range(2):
            model(batch, training=False)
    else:
        am = ActivationModel(model)
        layers = am.layers
        for layer in (layers[0], layers[len(layers) // 2], layers[-1]):
            am.activations(batch, layer.path)
        held = am.stats.bytes
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(f"{most} {held}\n")


def main() -> None:
    """Print both peaks."""
    for mode in ("run", "record"):
        most, held = peak(mode, "EfficientNetB7", 600)
        sys.stdout.write(
            f"{mode}: {most / MIB:.0f} MiB at the peak, {held / MIB:.0f} MiB of maps held at the end\n"
        )


if __name__ == "__main__":
    if sys.argv[1:]:
        _measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
