"""The folder of a run: every value once, and readable after a kill at any moment."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fmwidget import _buffers
from fmwidget.snapshots import store
from fmwidget.snapshots.snapshot import Snapshot
from fmwidget.snapshots.store import SnapshotFolder, StoredWeights, Value, is_same_value, read_values
from tests.support.snapshots import stored


class Killed(BaseException):
    """Stands for the end of the process."""


def snapshot_of(step: int, values: dict[str, Value], **fields: Any) -> Snapshot:
    return Snapshot(step=step, source=StoredWeights(list(values), list(values.values())), **fields)


def array_of(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=(3, 2)).astype(np.float32)


def write(folder: SnapshotFolder, snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        folder.write_values(snapshot.step, stored(snapshot).values)
    folder.write_index(snapshots)


def read(path: Path) -> dict[int, dict[str, np.ndarray]]:
    snapshots = SnapshotFolder(path).read_index()
    return {
        each.step: dict(zip(stored(each).names, read_values(stored(each).values), strict=True))
        for each in snapshots
    }


@pytest.mark.parametrize(
    "dtype",
    [
        *(np.float32, np.float16, np.float64, np.uint32, np.int8, bool, np.complex64),
        *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4),
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 2), (1, 1, 4)])
def test_values_come_back_to_the_byte(tmp_path, dtype, shape):
    array = np.random.default_rng(1).integers(0, 2, shape).astype(dtype)
    write(SnapshotFolder(tmp_path), [snapshot_of(0, {"a/b:0 ä": Value(array)})])
    back = read(tmp_path)[0]["a/b:0 ä"]
    assert is_same_value(back, array)


def test_all_about_a_snapshot_comes_back(tmp_path):
    logs = {"loss": 0.1 + 0.2, "val_loss": float("nan")}
    given = snapshot_of(7, {"a": Value(array_of(0))}, epoch=3, batches=None, label="ä\n", logs=logs)
    write(SnapshotFolder(tmp_path), [given])
    (back,) = SnapshotFolder(tmp_path).read_index()
    assert (back.step, back.epoch, back.batches, back.label) == (7, 3, None, "ä\n")
    assert back.logs["loss"] == logs["loss"]
    assert np.isnan(back.logs["val_loss"])


def test_a_value_that_snapshots_share_is_written_once(tmp_path):
    frozen = Value(np.zeros(100_000, np.float32))
    snapshots = [snapshot_of(step, {"frozen": frozen, "head": Value(array_of(step))}) for step in range(5)]
    write(SnapshotFolder(tmp_path), snapshots)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 500_000
    back = read(tmp_path)
    for step in range(5):
        np.testing.assert_array_equal(back[step]["head"], array_of(step))
        assert back[step]["frozen"].shape == (100_000,)


def test_files_that_nothing_needs_are_deleted_and_no_others(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "snapshot-1.npz").write_text("mine too")
    folder, shared = SnapshotFolder(tmp_path), Value(array_of(9))
    snapshots = [
        snapshot_of(0, {"a": Value(array_of(0))}),
        snapshot_of(1, {"a": Value(array_of(1)), "b": shared}),
        snapshot_of(2, {"a": Value(array_of(2)), "b": shared}),
        snapshot_of(3, {"a": Value(array_of(3))}),
    ]
    write(folder, snapshots)
    write(folder, [snapshots[0], snapshots[2]])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:15] for name in names] == [
        *("index.json", "notes.txt", "snapshot-000000", "snapshot-000001", "snapshot-000002"),
        "snapshot-1.npz",
    ]
    np.testing.assert_array_equal(read(tmp_path)[2]["b"], array_of(9))


@contextlib.contextmanager
def killed_at(operation: int):
    """Let a file operation, and all after it, be the end of the process; yield the number of those done."""
    done = [0]

    def counted(original):
        def call(*args, **kwargs):
            if done[0] >= operation:
                raise Killed
            done[0] += 1
            return original(*args, **kwargs)

        return call

    class File(io.FileIO):
        write = counted(io.FileIO.write)
        flush = counted(io.FileIO.flush)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(Path, "open", counted(File))
        for name in ("replace", "unlink", "mkdir"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        yield done


def test_a_kill_at_any_file_operation_leaves_a_folder_that_can_be_read(tmp_path):
    """Each kill comes in the second half of a run that is thinned and shares values."""

    def rounds(shared: Value) -> list[list[Snapshot]]:
        made = [
            snapshot_of(step, {"a": Value(array_of(step)), "frozen": shared, "s": Value(array_of(step + 50))})
            for step in range(5)
        ]
        return [made[:2], made[:3], [made[0], *made[2:4]], [made[0], made[3], made[4]]]

    def expected(snapshots: list[Snapshot]) -> list[int]:
        return [each.step for each in snapshots]

    operation, total = 0, None
    while total is None or operation < total:
        folder = tmp_path / str(operation)
        shared = Value(array_of(99))
        kept = rounds(shared)
        write(SnapshotFolder(folder), kept[0])
        with killed_at(operation) as done, contextlib.suppress(Killed):
            for snapshots in kept[1:]:
                write(SnapshotFolder(folder), snapshots)
            total = done[0]
        back = read(folder)
        assert list(back) in [expected(snapshots) for snapshots in kept]
        for step, values in back.items():
            np.testing.assert_array_equal(values["a"], array_of(step))
            np.testing.assert_array_equal(values["s"], array_of(step + 50))
            np.testing.assert_array_equal(values["frozen"], array_of(99))
        # What a killed process has left behind is in nobody's way.
        write(SnapshotFolder(folder), kept[-1])
        assert not list(folder.glob("*.part"))
        assert len(list(folder.glob("*.npz"))) == 3
        operation += 1
    assert operation > 20


def test_a_kill_before_the_first_index_leaves_no_run(tmp_path):
    for operation in range(4):
        folder = SnapshotFolder(tmp_path / str(operation))
        with killed_at(operation), pytest.raises(Killed):
            write(folder, [snapshot_of(0, {"a": Value(array_of(0))})])
        assert not folder.holds_a_run


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "gone"])
def test_a_damaged_file_concerns_its_own_snapshot_alone(tmp_path, damage):
    snapshots = [snapshot_of(step, {"a": Value(array_of(step))}) for step in range(3)]
    write(SnapshotFolder(tmp_path), snapshots)
    place = stored(snapshots[1]).values[0].place
    assert place is not None
    path = place.file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        at = content.index(array_of(1).tobytes())
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "flip": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
                "empty": b"",
                "text": b"not a file of numpy",
            }[damage]
        )
    loaded = SnapshotFolder(tmp_path).read_index()
    with pytest.raises(OSError, match=path.name):
        read_values(stored(loaded[1]).values)
    for step in (0, 2):
        np.testing.assert_array_equal(read_values(stored(loaded[step]).values)[0], array_of(step))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"snapshots": [{}], "values": []}', "\0"])
def test_a_damaged_index_is_named(tmp_path, content):
    (tmp_path / store.INDEX).write_text(content)
    with pytest.raises(ValueError, match=r"index\.json is not the index"):
        SnapshotFolder(tmp_path).read_index()


def test_an_index_names_no_file_outside_its_folder(tmp_path):
    write(SnapshotFolder(tmp_path / "other"), [snapshot_of(0, {"a": Value(array_of(0))})])
    (name,) = (path.name for path in (tmp_path / "other").glob("*.npz"))
    folder = tmp_path / "run"
    folder.mkdir()
    index = json.loads((tmp_path / "other" / store.INDEX).read_text())
    index["values"][0]["file"] = f"../other/{name}"
    (folder / store.INDEX).write_text(json.dumps(index))
    (snapshot,) = SnapshotFolder(folder).read_index()
    with pytest.raises(FileNotFoundError):
        read_values(stored(snapshot).values)


def test_is_same_value_tells_apart_what_comparing_numbers_does_not():
    nan = np.float32("nan")
    assert is_same_value(np.array([nan]), np.array([nan]))
    assert not is_same_value(np.array([0.0]), np.array([-0.0]))
    assert not is_same_value(np.zeros(2, np.float32), np.zeros(2, np.int32))
    assert not is_same_value(np.zeros((2, 1)), np.zeros((1, 2)))
    large = np.zeros(3 * _buffers.CHUNK, np.uint8)
    other = large.copy()
    assert is_same_value(large, other)
    other[-1] = 1
    assert not is_same_value(large, other)


WRITER = """
import sys
import numpy as np
from pathlib import Path
from fmwidget.snapshots.snapshot import Snapshot
from fmwidget.snapshots.store import SnapshotFolder, StoredWeights, Value
folder, kept = SnapshotFolder(Path(sys.argv[1])), []
for step in range(10**6):
    value = Value(np.full(20_000, step, np.float32))
    kept.append(Snapshot(step=step, source=StoredWeights(["a"], [value])))
    kept = kept[:1] + kept[1:][-3:]
    for each in kept:
        folder.write_values(each.step, each.source.values)
    folder.write_index(kept)
    print(step, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_folder_that_can_be_read(tmp_path):
    for turn in range(8):
        folder = tmp_path / str(turn)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            time.sleep(0.013 * turn)
            process.kill()
        back = read(folder)
        assert back
        for step, values in back.items():
            np.testing.assert_array_equal(values["a"], np.full(20_000, step, np.float32))
