"""Start-up noise of TensorFlow is dropped, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from fmwidget._quiet_imports import quiet_imports

NOISE = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795492256.157015    7258 port.cc:153] oneDNN custom operations are on.
2024-05-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:182] This binary is optimized
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
E0000 00:00:1795492258.817749    7258 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
2024-05-01 10:00:00.123456: E external/cuda_fft.cc:477] Unable to register cuFFT factory
"""
NEWS = b"""\
E0000 00:00:1795492258.817749    7258 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_NO_DEVICE (100)
numpy could not be loaded
"""


def test_only_noise_is_dropped(capfd):
    with quiet_imports():
        os.write(2, NOISE + NEWS)
    assert capfd.readouterr().err.encode() == NEWS


def test_threads_do_not_lose_stderr(capfd):
    def load():
        for _ in range(50):
            with quiet_imports():
                os.write(2, NOISE)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, NEWS)
    assert capfd.readouterr().err.encode() == NEWS


def test_an_import_that_fails_says_why(capfd):
    def fail():
        os.write(2, NEWS)
        raise ImportError("no such thing")

    with pytest.raises(ImportError, match="no such thing"), quiet_imports():
        fail()
    assert capfd.readouterr().err.encode() == NEWS


def test_nothing_is_printed_from_import_to_first_prediction():
    code = """
import numpy as np
from fmwidget import sample_model
sample_model().predict(np.zeros((1, 150, 150, 3)), verbose=0)
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
