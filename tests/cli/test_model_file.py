"""A model's file is checked whole when it is loaded: what is not a model gives one line, and no numbers."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from funcgrad.cli import main
from funcgrad.datasets import DataError
from funcgrad.models import Model, load_model, save_model
from tests.files.hostile import bomb, many_members, zipped

pytest.importorskip("pyarrow")

MODEL = Model(np.array([1.5, -2.0]), 0.25, ("a", "b"), "y", 7, 0.5, 0.75)
ARRAYS = {
    "format": np.asarray("funcgrad linear model 1"),
    "weights": MODEL.weights,
    "bias": np.asarray(0.25),
    "feature_names": np.asarray(["a", "b"]),
    "target_name": np.asarray("y"),
    "rows": np.asarray(7),
    "loss": np.asarray(0.5),
    "r_squared": np.asarray(0.75),
}

CLASSES = {
    "format": np.asarray("funcgrad linear model 4"),
    "weights": np.ones((2, 2)),
    "bias": np.ones(2),
    "classes": np.asarray(["x", "y"]),
    "family": np.asarray("multinomial"),
    "link": np.asarray("softmax"),
    "categories": np.empty(0, "U1"),
    "level_counts": np.empty(0, np.int64),
    "levels": np.empty(0, "U1"),
}

OFFSETS = {name: CLASSES[name] for name in ("categories", "level_counts", "levels")} | {
    "format": np.asarray("funcgrad linear model 5"),
    "family": np.asarray("poisson"),
    "link": np.asarray("log"),
    "exposure": np.asarray("years"),
    "offset": np.asarray(""),
}


def saved(save=np.savez, **changes):
    file = io.BytesIO()
    arrays = {name: array for name, array in (ARRAYS | changes).items() if array is not None}
    save(file, **arrays)
    return file.getvalue()


def surrogate(text):
    return np.frombuffer(
        np.asarray([text, "b"]).tobytes().replace(b"a\0\0\0", b"\0\xd8\0\0"), "<U1"
    )


def beyond_unicode():
    return np.frombuffer(b"\xff\xff\xff\x7fb\0\0\0", "<U1")


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


BROKEN = {
    "weights in two dimensions": saved(weights=np.ones((2, 1))),
    "weights that are one number": saved(weights=np.asarray(1.0)),
    "too many weights": saved(weights=np.ones(3)),
    "no weights": saved(weights=np.ones(0), feature_names=np.empty(0, "U1")),
    "complex weights": saved(weights=np.ones(2) * 1j),
    "whole weights": saved(weights=np.ones(2, int)),
    "weights that are text": saved(weights=np.asarray(["1", "2"])),
    "weights that are objects": saved(weights=np.array([1.0, None], object)),
    "weights that are records": saved(weights=np.zeros(2, [("a", float)])),
    "NaN in the weights": saved(weights=np.array([1.0, np.nan])),
    "an infinite weight": saved(weights=np.array([1.0, np.inf])),
    "an infinite bias": saved(bias=np.asarray(-np.inf)),
    "a bias in one dimension": saved(bias=np.ones(2)),
    "a complex bias": saved(bias=np.asarray(1j)),
    "names that are numbers": saved(feature_names=np.arange(2)),
    "one name": saved(feature_names=np.asarray("ab")),
    "a name twice": saved(feature_names=np.asarray(["a", "a"])),
    "names that are no text": saved(feature_names=surrogate("a")),
    "names beyond Unicode": saved(feature_names=beyond_unicode()),
    "two targets": saved(target_name=np.asarray(["y", "z"])),
    "rows that are a fraction": saved(rows=np.asarray(1.5)),
    "rows in one dimension": saved(rows=np.asarray([7])),
    "a loss that is text": saved(loss=np.asarray("small")),
    "another format": saved(format=np.asarray("funcgrad linear model 2")),
    "a format that is a number": saved(format=np.asarray(1)),
    "classes of other weights": saved(**CLASSES | {"classes": np.asarray(["x", "y", "z"])}),
    "a class twice": saved(**CLASSES | {"classes": np.asarray(["x", "x"])}),
    "classes of another family": saved(**CLASSES | {"family": np.asarray("poisson")}),
    "two exposures": saved(**OFFSETS | {"exposure": np.asarray(["x", "y"])}),
    "an exposure and no offset": saved(**OFFSETS | {"offset": None}),
    "classes without a family": saved(**CLASSES | {"family": None}),
    "classes of one bias": saved(**CLASSES | {"bias": np.asarray(0.25)}),
    **{f"no {name}": saved(**{name: None}) for name in ARRAYS},
    "nothing": b"",
    "noise": bytes(range(256)) * 8,
    "a CSV file": b"a,b,y\n1,2,3\n",
    "cut": saved()[:-100],
    "a damaged weight": flipped(saved(), saved().find(MODEL.weights.tobytes())),
    "a damaged header": flipped(saved(), saved().find(b"'shape'")),
    "a damaged list": flipped(saved(), saved().rfind(b"PK\x01\x02") + 2),
    "another archive": zipped(("document.xml", b"<a/>")),
    "a bomb": lambda: bomb(1 << 28),
    "many members": lambda: many_members(20_000),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_model_is_refused_in_one_line(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a,b,y\n1,2,3\n")
    content = BROKEN[case]
    Path("model").write_bytes(content() if callable(content) else content)
    assert main(["predict", "rows.csv", "--model", "model"]) == 2
    printed = capsys.readouterr()
    message = "funcgrad predict: error: model is not a model that funcgrad fit wrote: "
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert len(message) < len(printed.err) < 300
    assert not printed.out


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_model_comes_back_however_numpy_packs_it(tmp_path, save):
    (tmp_path / "model").write_bytes(saved(save))
    assert str(load_model(tmp_path / "model")) == str(MODEL)
    (tmp_path / "classes").write_bytes(saved(save, **CLASSES))
    assert load_model(tmp_path / "classes").predict(np.ones((1, 2))).tolist() == [[0.5, 0.5]]
    (tmp_path / "offsets").write_bytes(saved(save, **OFFSETS))
    assert load_model(tmp_path / "offsets").prediction_name == "y per years"
    save_model(tmp_path / "again", MODEL)
    assert str(load_model(tmp_path / "again")) == str(MODEL)


def test_a_model_of_a_constant_target_has_no_share_and_is_one(tmp_path):
    save_model(tmp_path / "model", MODEL._replace(loss=0.0, r_squared=float("nan")))
    assert np.isnan(load_model(tmp_path / "model").r_squared)


def test_a_byte_changed_anywhere_gives_the_model_or_is_refused(tmp_path):
    """Some bytes do not matter, such as those of a time stamp."""
    content, path = saved(), tmp_path / "model"
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        changed = bytearray(content)
        changed[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(changed)
        try:
            assert str(load_model(path)) == str(MODEL)
        except DataError:
            refused += 1
    assert refused > 200


def test_names_too_long_to_be_read_back_are_not_saved(tmp_path):
    names = (*map(str, range(1999)), "x" * 10_000)
    long = MODEL._replace(weights=np.ones(2000), feature_names=names)
    with pytest.raises(DataError, match="shorten the names"):
        save_model(tmp_path / "model", long)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="POSIX's kinds of files")
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_only_a_regular_file_is_a_model(tmp_path, kind):
    path = tmp_path / "model"
    {"fifo": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": Path.mkdir}[
        kind
    ](path)
    with pytest.raises(
        DataError, match=r"model cannot be read: (not a regular file|Is a directory)"
    ):
        load_model(path)
