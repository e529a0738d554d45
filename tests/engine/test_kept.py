"""Traces are kept on disk: a second process traces nothing and gives the same; a doubtful file is left alone."""

import os
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad.engine import kept as module
from funcgrad.engine.fingerprints import NoFingerprintError, fingerprint
from funcgrad.engine.kept import MISSING, Kept
from funcgrad.engine.kernels import sums
from funcgrad.engine.ops import Op, add
from funcgrad.engine.values import Aval
from tests.processes import output_of

SCRIPT = """
import os, sys
import funcgrad.torch as torch
from funcgrad.engine import derivatives, ops, templates

traced = []
for module in (derivatives, ops, templates):
    trace = module.jaxpr_of
    module.jaxpr_of = lambda *given, trace=trace: traced.append(given) or trace(*given)
w = torch.linspace(-1.0, 1.0, 12).reshape(3, 4).requires_grad_()
for n in (5, 6, 7):
    x = torch.linspace(0.0, 2.0, 3 * n).reshape(n, 3)
    y = torch.tanh(x @ w).log_softmax(1)
    y = torch.cat([y, y.flip(0)])[y.new_ones(2 * n) > 0].cumsum(0)
    y[:, 0] = 0.5
    y.neg_().relu_()
    (slope,) = torch.autograd.grad((y.std(0) + y.sort(0).values[1]).sum() * y[n - 1, 1] ** 2, w, create_graph=True)
    (slope**2).sum().backward()
print(len(traced), w.grad.numpy().tobytes().hex())
"""


def run(cache):
    given = {"FUNCGRAD_CACHE": str(cache), "FUNCGRAD_ENGINE": "eager"}
    traced, digits = output_of("-c", SCRIPT, **given).split()
    return int(traced), digits


def test_a_second_process_traces_nothing_and_gives_the_same_digits(tmp_path):
    first, digits = run(tmp_path / "cache")
    assert first > 30
    assert run(tmp_path / "cache") == (0, digits)
    assert run("off") == (first, digits)


def shifted(by):
    return lambda x, scale=2.0: (x + by) * scale


TOLD_APART = [
    1,
    1.0,
    True,
    "1",
    None,
    (1,),
    ((1,), ()),
    [1],
    -0.0,
    0.0,
    slice(1),
    np.float32(1),
    np.float64(1),
    np.dtype("int32"),
    np.int32,
    {"a": 1},
    np.add,
    np.subtract,
    jnp.add,
    jnp.matmul,
    partial(jnp.sum, axis=0),
    partial(jnp.sum, axis=1),
    sums.sum_in_pieces,
    Aval((2,), np.dtype("float32")),
    add,
]


def test_things_that_differ_have_different_fingerprints_and_equal_ones_the_same():
    found = [fingerprint(each) for each in TOLD_APART]
    assert len(set(found)) == len(found)
    assert found == [fingerprint(each) for each in TOLD_APART]
    assert fingerprint(partial(jnp.sum, axis=0)) == fingerprint(partial(jnp.sum, axis=0))


def test_functions_differ_by_their_code_and_by_all_that_they_hold(monkeypatch):
    monkeypatch.setattr("funcgrad.engine.fingerprints._ROOTS", (os.path.dirname(__file__),))
    pair = (lambda x: x + 1, lambda x: x - 1)
    closures = (shifted(1), shifted(2), shifted(1.0))
    wider = shifted(1)
    wider.__defaults__ = (3.0,)
    functions = [*pair, *closures, wider]
    assert len({fingerprint(each) for each in functions}) == len(functions)
    assert fingerprint(shifted(1)) == fingerprint(shifted(1))


@pytest.mark.parametrize(
    "thing",
    [shifted(1), object(), {1, 2}, np.ones(3)],
    ids=["a function", "an object", "a set", "an array"],
)
def test_functions_of_the_users_and_unknown_things_have_none(thing, tmp_path, monkeypatch):
    with pytest.raises(NoFingerprintError):
        fingerprint(thing)
    monkeypatch.setattr("funcgrad.engine.ops.kept", Kept(str(tmp_path)))
    mine = Op("mine", partial(jnp.add, thing))
    assert Op("the library's", partial(jnp.add, 1)).key() is not None
    assert mine.key() is None


def test_things_are_found_by_another_instance_after_they_are_written(tmp_path):
    one, other = Kept(str(tmp_path)), Kept(str(tmp_path))
    one.put("key", (1, "thing"))
    one.put("none", None)
    one.put("cannot be written", lambda: None)
    assert other.find("key") is MISSING
    one.write()
    assert other.find("key") == (1, "thing")
    assert other.find("none") is None
    assert other.find("cannot be written") is MISSING


def test_a_broken_file_counts_as_none_and_is_written_anew(tmp_path):
    kept = Kept(str(tmp_path))
    kept.put("key", 1)
    kept.write()
    (file,) = kept.folder.iterdir()
    for text in (b"", file.read_bytes()[:-3], b"no pickle"):
        file.write_bytes(text)
        assert Kept(str(tmp_path)).find("key") is MISSING
    kept.put("key", 2)
    kept.write()
    assert Kept(str(tmp_path)).find("key") == 2


def test_a_file_of_another_key_is_not_taken(tmp_path, monkeypatch):
    kept = Kept(str(tmp_path))
    kept.put("key", 1)
    kept.write()
    (file,) = kept.folder.iterdir()
    monkeypatch.setattr(Kept, "_file", lambda self, key: str(file))
    assert kept.find("another") is MISSING


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX permissions")
def test_a_folder_that_others_may_write_to_is_left_alone(tmp_path):
    tmp_path.chmod(0o777)
    kept = Kept(str(tmp_path))
    kept.put("key", 1)
    kept.write()
    assert kept.folder is None
    assert kept.find("key") is MISSING
    assert list(tmp_path.rglob("*")) == [] or not any(p.is_file() for p in tmp_path.rglob("*"))


def test_off_keeps_nothing_and_a_path_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    for where in ("off", str(tmp_path / "file" / "below")):
        kept = Kept(where)
        kept.put("key", 1)
        kept.write()
        assert kept.find("key") is MISSING


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(module.Path, "home", home)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    kept = Kept("")
    kept.put("key", 1)
    kept.write()
    assert kept.find("key") is MISSING


def test_changed_code_finds_nothing_of_the_code_before(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "ops.py").write_text("one")
    monkeypatch.setattr(module, "LIBRARY", str(library))
    kept = Kept(str(tmp_path / "cache"))
    kept.put("key", 1)
    kept.write()
    assert Kept(str(tmp_path / "cache")).find("key") == 1
    (library / "ops.py").write_text("another")
    assert Kept(str(tmp_path / "cache")).find("key") is MISSING


def test_files_and_folders_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 8)
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    kept = Kept(str(tmp_path))
    for k in range(50):
        kept.put(str(k), k)
        assert len(list(kept.folder.iterdir())) <= 8
    assert kept.find("49") is MISSING  # it waits
    kept.write()
    assert kept.find("49") == 49
    for k in range(9):
        (tmp_path / f"older{k}").mkdir()
    assert Kept(str(tmp_path)).folder == kept.folder
    monkeypatch.setattr(module, "_version", lambda: "new")
    assert Kept(str(tmp_path)).folder.name == "new"
    assert len(list(tmp_path.iterdir())) <= module.MOST_FOLDERS
