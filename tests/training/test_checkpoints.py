"""A checkpoint is whole or not there; what is truncated, damaged or of another run is refused."""

import errno
import hashlib
import io
import json
import os
import signal
import stat
import subprocess

import numpy as np
import pytest

from funcgrad.files import writing
from funcgrad.training import Checkpoint, CheckpointError, CheckpointWarning
from tests.processes import Program

MINE = {"seed": 0, "batches": ["a", 1]}


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "run")


def save(checkpoint, step, identity=MINE):
    assert checkpoint.save({"step": step, "weights": np.full(3, float(step))}, identity)


def test_arrays_come_back_as_they_were(checkpoint):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.float32(0.1),
        "c": np.empty((0, 2), np.int8),
    }
    checkpoint.save(arrays, MINE)
    loaded = checkpoint.load(MINE)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_nothing_saved_is_nothing_loaded(checkpoint):
    assert checkpoint.load(MINE) is None
    assert not checkpoint.exists()


def test_the_last_is_loaded_and_the_one_before_kept(checkpoint):
    for step in (1, 2, 3):
        save(checkpoint, step)
    assert checkpoint.load(MINE)["step"] == 3
    assert sorted(path.name for path in checkpoint.path.parent.iterdir()) == ["run", "run.previous"]
    checkpoint.path.unlink()
    assert checkpoint.load(MINE)["step"] == 2
    checkpoint.remove()
    assert not checkpoint.exists()


def damage_middle(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {
    "empty": (lambda content: b"", "truncated"),
    "first bytes only": (lambda content: content[:10], "truncated"),
    "half": (lambda content: content[: len(content) // 2], "truncated or damaged"),
    "last byte gone": (lambda content: content[:-1], "truncated or damaged"),
    "one bit": (damage_middle, "truncated or damaged"),
    "another file": (lambda content: b"PK\x03\x04" * 100, "not a funcgrad checkpoint"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_refused_and_the_one_before_is_used(checkpoint, case):
    damage, message = DAMAGE[case]
    save(checkpoint, 1)
    save(checkpoint, 2)
    checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
    with pytest.warns(CheckpointWarning, match=f"{message}.*going on from the one before"):
        assert checkpoint.load(MINE)["step"] == 1
    checkpoint.previous.write_bytes(damage(checkpoint.previous.read_bytes()))
    with pytest.raises(CheckpointError, match=f"run: .*{message}.*run.previous: .*{message}"):
        checkpoint.load(MINE)


def test_a_checkpoint_of_another_run_is_refused_by_what_differs(checkpoint):
    save(checkpoint, 1)
    with pytest.raises(CheckpointError, match="another run: there, seed is 0; here, 1"):
        checkpoint.load(MINE | {"seed": 1})
    save(checkpoint, 2, {**MINE, "seed": 1})
    with pytest.warns(CheckpointWarning, match="another run"):
        assert checkpoint.load(MINE)["step"] == 1


def full_disk(call):
    def failing(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return call, failing


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_on_a_full_disk_the_run_is_told_and_the_ones_before_stay(checkpoint, monkeypatch, call):
    save(checkpoint, 1)
    save(checkpoint, 2)
    monkeypatch.setattr(writing.os, *full_disk(call))
    with pytest.warns(CheckpointWarning, match="not written: No space left on device"):
        assert not checkpoint.save({"step": 3}, MINE)
    monkeypatch.undo()
    assert checkpoint.load(MINE)["step"] == 2
    assert checkpoint.previous.exists()
    assert not list(checkpoint.path.parent.glob("*.partial"))
    save(checkpoint, 4)
    assert checkpoint.load(MINE)["step"] == 4


def test_a_write_that_ends_half_way_leaves_no_trace(checkpoint, monkeypatch):
    """The disk fills up within the file, not at its end."""
    save(checkpoint, 1)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.warns(CheckpointWarning, match="not written: File too large"):
            assert not checkpoint.save({"step": 2, "weights": np.ones(100_000)}, MINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["run"]
    assert checkpoint.load(MINE)["step"] == 1


def sealed(archive):
    """A file whose checksum fits, whatever it holds."""
    return b"funcgrad checkpoint 1\n" + hashlib.sha256(archive).digest() + archive


def archived(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


IDENTITY = np.frombuffer(json.dumps(MINE).encode(), np.uint8)
BROKEN = {
    "no archive": b"noise",
    "no identity": archived(weights=np.ones(2)),
    "identity that is no JSON": archived(identity=np.frombuffer(b"{", np.uint8)),
    "identity that is no UTF-8": archived(identity=np.frombuffer(b"\xff\xff", np.uint8)),
    "identity that is a list": archived(identity=np.frombuffer(b"[]", np.uint8)),
    "pickled": archived(identity=IDENTITY, weights=np.array([None, 1], object)),
    "a bomb": archived(np.savez_compressed, identity=IDENTITY, weights=np.zeros(1 << 23)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_under_a_good_checksum_is_refused(checkpoint, case):
    checkpoint.path.write_bytes(sealed(BROKEN[case]))
    with pytest.raises(CheckpointError, match="run: it is damaged: "):
        checkpoint.load(MINE)


@pytest.mark.skipif(os.name == "nt", reason="POSIX's kinds of files")
def test_a_checkpoint_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CheckpointError, match="not a regular file"):
        Checkpoint(tmp_path / "fifo").load(MINE)
    for path in (tmp_path / "fifo", "/dev/null"):
        with pytest.warns(CheckpointWarning, match="not written: not a regular file"):
            assert not Checkpoint(path).save({"step": 1}, MINE)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_stands_for_the_file_that_it_names(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    true, link = Checkpoint(tmp_path / "elsewhere" / "run"), tmp_path / "link"
    save(true, 1)
    link.symlink_to(true.path)
    save(Checkpoint(link), 2)
    assert link.is_symlink()
    assert true.load(MINE)["step"] == 2
    assert true.previous.exists()
    link.unlink()
    link.symlink_to(tmp_path / "nothing")
    with pytest.warns(CheckpointWarning, match="not written: a symbolic link to nothing"):
        assert not Checkpoint(link).save({"step": 1}, MINE)


def test_one_run_holds_a_checkpoint_and_another_is_refused(checkpoint):
    with checkpoint.held():
        with (
            pytest.raises(CheckpointError, match=r"another run is using the checkpoint .*run"),
            Checkpoint(checkpoint.path).held(),
        ):
            pass
        with Checkpoint(checkpoint.path.with_name("other")).held():
            pass
    with checkpoint.held():
        pass
    assert not list(checkpoint.path.parent.iterdir())


def test_a_process_that_was_killed_holds_nothing(checkpoint):
    script = (
        "import sys, time; from funcgrad.training import Checkpoint\n"
        "with Checkpoint(sys.argv[1]).held():\n print('held', flush=True); time.sleep(600)"
    )
    process = Program("-c", script, checkpoint.path)
    process.wait_for("held")
    with pytest.raises(CheckpointError, match="another run"), checkpoint.held():
        pass
    process.kill()
    process.wait()
    with checkpoint.held():
        pass


SAVE_FOR_EVER = """
import sys
import numpy as np
from funcgrad.training import Checkpoint

checkpoint = Checkpoint(sys.argv[1])
step = 0
while True:
    step += 1
    checkpoint.save({"step": step, "weights": np.full(50_000, float(step))}, {"seed": 0})
    if step == 2:
        print("ready", flush=True)
"""


def test_killed_in_the_middle_of_saving_at_any_moment_something_whole_is_left(checkpoint):
    moments = np.random.default_rng(0).uniform(0, 0.05, size=4)
    for moment in moments:
        checkpoint.remove()
        process = Program("-c", SAVE_FOR_EVER, checkpoint.path)
        process.wait_for("ready")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moment)
        process.kill()
        process.wait()
        arrays = checkpoint.load({"seed": 0})
        assert arrays["step"] >= 2
        assert (arrays["weights"] == arrays["step"]).all()
        checkpoint.remove()
        assert not list(checkpoint.path.parent.iterdir())
