"""`funcgrad fit` and `funcgrad predict` as a user runs them: answers, the model's file, bad input, kills."""

import errno
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from funcgrad import regression
from funcgrad.cli import main
from funcgrad.datasets import correct_digits, load_diabetes, load_nist
from funcgrad.training import checkpoints
from tests.processes import Program
from tests.rational import ridge_exactly

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

DATA = load_diabetes()
NAMES = [*DATA.feature_names, "progression"]
TABLE = np.column_stack([DATA.x, DATA.y])
EXACT = np.linalg.lstsq(np.column_stack([DATA.x, np.ones(len(DATA.y))]), DATA.y)[0]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with the diabetes study as CSV, Parquet and a folder of both halves."""
    monkeypatch.chdir(tmp_path)
    lines = [",".join(NAMES), *(",".join(map(repr, row)) for row in TABLE.tolist())]
    (tmp_path / "study.csv").write_text("\n".join(lines))
    columns = dict(zip(NAMES, TABLE.T, strict=True))
    pq.write_table(pa.table(columns), tmp_path / "study.parquet", row_group_size=100)
    (tmp_path / "halves").mkdir()
    for half in range(2):
        part = pa.table({name: column[half::2] for name, column in columns.items()})
        pq.write_table(part, tmp_path / "halves" / f"{half}.parquet")
    np.savez(tmp_path / "study.npz", **columns)
    return tmp_path


def fit(data, *more, target="progression"):
    return main(["fit", data, "--target", target, "--out", "model", *more])


@pytest.mark.parametrize("data", ["study.csv", "study.parquet", "study.npz", "halves"])
def test_the_model_is_the_exact_answer_and_numpy_reads_it(here, data):
    assert fit(data, "--quiet") == 0
    model = np.load("model")
    np.testing.assert_allclose([*model["weights"], model["bias"]], EXACT, rtol=1e-10)
    assert model["feature_names"].tolist() == list(DATA.feature_names)
    assert str(model["target_name"]) == "progression"
    assert int(model["rows"]) == 442
    assert float(model["r_squared"]) == pytest.approx(0.51774842222035, abs=1e-12)
    assert float(model["loss"]) == pytest.approx(2859.69634758675, rel=1e-12)
    assert str(model["format"]) == "funcgrad linear model 1"
    leftover = {path.name for path in here.iterdir()} - {"study.csv", "study.parquet", "study.npz"}
    assert leftover == {"halves", "model"}


def test_predictions_are_the_models_for_each_row_in_order(here, capsys):
    assert fit("study.csv", "--quiet") == 0
    expected = DATA.x @ EXACT[:-1] + EXACT[-1]
    assert main(["predict", "study.parquet", "--model", "model"]) == 0
    name, *values = capsys.readouterr().out.split()
    assert name == "progression"
    np.testing.assert_allclose(np.array(values, float), expected, rtol=1e-10)
    assert main(["predict", "study.csv", "--model", "model", "--out", "p.csv"]) == 0
    assert Path("p.csv").read_text().split() == [name, *values]
    assert "442 predictions written to p.csv" in capsys.readouterr().err


def test_the_report_names_every_coefficient(here, capsys):
    assert fit("study.csv") == 0
    printed = capsys.readouterr().out
    assert "442 rows, 0 dropped for missing values; target progression" in printed
    assert f"bmi          {EXACT[2]: .10g}" in printed
    assert "R² 0.517748" in printed


def test_features_may_be_chosen(here):
    assert fit("study.csv", "--features", "bmi,bp", "--quiet") == 0
    design = np.column_stack([DATA.x[:, [2, 3]], np.ones(442)])
    answer = np.linalg.lstsq(design, DATA.y)[0]
    np.testing.assert_allclose(np.load("model")["weights"], answer[:2], rtol=1e-11)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_on_batches_comes_to_the_same_fit(here, capsys, optimizer):
    arguments = ["--optimizer", optimizer, "--epochs", "60", "--batch-size", "64", "--quiet"]
    assert fit("study.csv", *arguments) == 0
    assert float(np.load("model")["r_squared"]) > 0.517748 - 0.005
    assert not capsys.readouterr().err


def test_a_training_that_ends_far_from_the_answer_says_so(here, capsys):
    assert fit("study.csv", "--optimizer", "adam", "--epochs", "2", "--quiet") == 0
    told = capsys.readouterr().err
    assert "the training has not converged: its mean squared error is" in told
    assert "that of the exact answer 2859.7. More --epochs" in told


def test_ridge_is_that_of_scikit_learn(here):
    linear_model = pytest.importorskip("sklearn.linear_model")
    assert fit("study.csv", "--ridge", "100", "--quiet") == 0
    ridge = linear_model.Ridge(alpha=100).fit(DATA.x, DATA.y)
    np.testing.assert_allclose(np.load("model")["weights"], ridge.coef_, rtol=1e-8)
    np.testing.assert_allclose(float(np.load("model")["bias"]), ridge.intercept_, rtol=1e-8)


def test_rows_with_missing_values_are_dropped_and_counted_where_asked(here, capsys):
    lines = Path("study.csv").read_text().splitlines()
    gap = lines[1].replace(lines[1].split(",")[2], "NA", 1)
    Path("gaps.csv").write_text("\n".join([lines[0], gap, *lines[1:], ",".join([""] * 11)]))
    assert fit("gaps.csv") == 2
    assert "data row 1, column 'bmi': the value is missing" in capsys.readouterr().err
    assert fit("gaps.csv", "--missing", "drop", "--resume") == 0
    assert "442 rows, 2 dropped for missing values" in capsys.readouterr().out
    np.testing.assert_allclose(np.load("model")["weights"], EXACT[:-1], rtol=1e-10)


def test_dependent_features_are_warned_of_and_the_fit_is_as_good(here, capsys):
    twice = [*(f"{line},{line.split(',')[2]},7" for line in Path("study.csv").read_text().split())]
    twice[0] = twice[0].removesuffix("bmi,7") + "copy,constant"
    Path("twice.csv").write_text("\n".join(twice))
    assert fit("twice.csv", "--quiet") == 0
    assert "2 of the 12 features depend on the others or are constant" in capsys.readouterr().err
    model = np.load("model")
    assert float(model["r_squared"]) == pytest.approx(0.51774842222035, abs=1e-10)
    assert abs(model["weights"][-1]) < 1e-6


@pytest.mark.parametrize(
    ("name", "digits"), [("norris", 12), ("pontius", 12), ("longley", 11), ("wampler4", 13)]
)
def test_the_model_has_nists_digits(tmp_path, monkeypatch, capsys, name, digits):
    monkeypatch.chdir(tmp_path)
    problem = load_nist(name)
    x = problem.x if problem.degree is None else problem.x ** np.arange(1, problem.degree + 1)
    np.save("data.npy", np.column_stack([x, problem.y]))
    assert fit("data.npy", "--quiet", target=f"x{x.shape[1]}") == 0
    model = np.load("model")
    assert correct_digits([model["bias"], *model["weights"]], problem.coefficients) > digits
    assert not capsys.readouterr().err


def test_digits_that_are_lost_for_want_of_memory_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(0, 1, 20_000)[:, None] ** np.arange(1, 7)
    np.save("data.npy", np.column_stack([x, x @ np.ones(6)]))
    assert fit("data.npy", "--memory", "1", "--quiet", target="x6") == 0
    told = capsys.readouterr().err
    assert (
        "the features nearly depend on one another: about 7 digits of the weights are sure" in told
    )
    assert 6 < correct_digits(np.load("model")["weights"], ["1"] * 6) < 12
    needed = told.split("--memory ")[1].split()[0]
    assert fit("data.npy", "--memory", needed, "--quiet", target="x6") == 0
    assert not capsys.readouterr().err
    np.testing.assert_allclose(np.load("model")["weights"], np.ones(6), rtol=1e-13)


@pytest.mark.parametrize(
    ("rate", "epochs", "message"),
    [
        ("50", "400", "the loss or its gradient turned non-finite after"),
        ("10", "10", "mean squared error is .*e.*, where that of the mean is 5930"),
        ("1e30", "2", "the training diverged"),
    ],
)
def test_a_training_that_diverges_ends_with_status_1_and_no_model(
    here, capsys, rate, epochs, message
):
    arguments = ["--optimizer", "sgd", "--learning-rate", rate, "--epochs", epochs]
    before = sorted(here.iterdir())
    assert fit("study.csv", *arguments) == 1
    printed = capsys.readouterr()
    assert re.search(message, printed.err)
    assert "no model was saved. A smaller --learning-rate may help" in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(here.iterdir()) == before


FILES = {
    "text.csv": "a,city,y\n1,Rome,2\n2,Bari,4\n",
    "changes.csv": "a,y\n" + "1,2\n2,3\n" * 5000 + "none at all,2\n",
    "infinite.csv": "a,y\n1,2\ninf,4\n",
    "huge.csv": "a,y\n1e200,2\n-1e200,4\n",
    "one-row.csv": "a,y\n1,2\n",
    "all-missing.csv": "a,y\n,2\n1,\n",
    "folder/1.csv": "a,y\n1,2\n",
    "folder/2.csv": "b,y\n1,2\n",
    "mixed/1.csv": "a,y\n1,2\n",
    "mixed/2.parquet": "noise",
    "noise.parquet": "noise",
    "noise.npz": "noise",
    "good.csv": "a,y\n1,2\n2,4\n3,7\n",
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("missing.csv", "there is no file or folder missing.csv"),
        ("text.csv", "data row 1, column 'city': 'Rome' is not a number"),
        ("changes.csv", "data row 10001, column 'a': 'none at all' is not a number"),
        ("infinite.csv", "data row 2, column 'a': the value is infinite"),
        ("huge.csv", "too large to square in float64"),
        ("one-row.csv", "at least two rows, and there is 1"),
        ("all-missing.csv", "column 'a': the value is missing"),
        ("all-missing.csv --missing drop", "no rows are left to fit"),
        ("folder", "2.csv has no column 'a', which 1.csv has"),
        ("mixed", "several kinds: .csv, .parquet"),
        ("noise.parquet", "noise.parquet: not a Parquet file"),
        ("noise.npz", "noise.npz: not an array that NumPy saved"),
        ("good.csv --target z", "there is no column 'z'; the columns are: a, y"),
        ("good.csv --features a,y", "the target 'y' is also among the features"),
        ("good.csv --features a,b", "there is no column 'b'"),
        ("good.csv --epochs 0", "--epochs must be at least 1, not 0"),
        ("good.csv --batch-size 0", "--batch-size must be at least 1, not 0"),
        ("good.csv --memory 0", "--memory must be at least 1, not 0"),
        ("good.csv --seed -1", "--seed must not be negative"),
        ("good.csv --learning-rate nan", "--learning-rate must be positive and finite, not nan"),
        ("good.csv --ridge -1", "--ridge must be 0 or more"),
        ("good.csv --epochs 3", "--epochs: for a training only, so name its --optimizer"),
        ("good.csv --seed 3 --batch-size 2", "--batch-size, --seed: for a training only"),
        ("good.csv --learning-rate 0.1 --ridge 1", "--learning-rate: for a training only"),
        ("good.csv --ridge 1 --optimizer sgd", "--ridge is for the exact answer"),
        ("good.csv --optimizer sgd --batch-size 100000000", "batch_rows must be from 1 to"),
        ("good.csv --out nowhere/model", "there is no folder nowhere"),
        ("good.csv --out folder", "folder is a folder: name a file"),
        ("good.csv --out good.csv", "--out good.csv is good.csv, which is read"),
    ],
)
def test_bad_input_is_explained_on_stderr_with_status_2(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    data, *options = arguments.split()
    assert main(["fit", data, "--target", "y", "--out", "model", *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("funcgrad fit: error: ")
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("good.csv --model absent", "there is no file absent"),
        ("good.csv --model good.csv", "good.csv is not a model that funcgrad fit wrote"),
        ("good.csv --model other.npz", "other.npz is not a model that funcgrad fit wrote"),
        ("folder/2.csv --model model", "there is no column 'a'; the columns are: b, y"),
        ("all-missing.csv --model model", "data row 1, column 'a': the value is missing"),
        ("good.csv --model model --out nowhere/p.csv", "nowhere/p.csv"),
    ],
)
def test_bad_input_to_predict_is_explained_too(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    np.savez(tmp_path / "other.npz", weights=np.ones(1))
    assert fit("good.csv", "--quiet", target="y") == 0
    data, *options = arguments.split()
    assert main(["predict", data, *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("funcgrad predict: error: ")
    assert printed.err.count("\n") == 1


def test_a_file_that_shrinks_while_it_is_read_is_status_2(here, monkeypatch, capsys):
    from funcgrad.datasets import csv_parts

    read_content = csv_parts.CsvPart._content

    def shrink_then_read(self, span):
        os.truncate("study.csv", 5000)
        return read_content(self, span)

    monkeypatch.setattr(csv_parts.CsvPart, "_content", shrink_then_read)
    assert fit("study.csv") == 2
    assert "study.csv shrank while it was read: from " in capsys.readouterr().err


def full_disk(path, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_full_while_checkpointing_is_told_and_the_run_goes_on(here, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "replacing", full_disk)
    assert fit("study.csv", "--quiet") == 0
    told = capsys.readouterr().err
    assert "model.checkpoint.sums was not written: No space left on device" in told
    assert not Path("model.checkpoint.sums").exists()
    np.testing.assert_allclose(np.load("model")["weights"], EXACT[:-1], rtol=1e-10)


def test_a_disk_full_at_the_end_keeps_the_checkpoint_to_resume_from(here, monkeypatch, capsys):
    def full(source, destination):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(destination))

    monkeypatch.setattr("funcgrad.cli.fitting.save_model", full)
    assert fit("study.csv") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert Path("model.checkpoint.sums").exists()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert fit("study.csv") == 2
    assert "there is a checkpoint already, model.checkpoint.sums" in capsys.readouterr().err
    assert fit("study.csv", "--resume", "--quiet") == 0
    np.testing.assert_allclose(np.load("model")["weights"], EXACT[:-1], rtol=1e-10)


SGD = ["--optimizer", "sgd", "--epochs", "2"]


def interrupted(monkeypatch, *arguments):
    """Run to the end but for the model, so that the checkpoints stay."""

    def full(path, model):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr("funcgrad.cli.fitting.save_model", full)
        assert fit("study.csv", *arguments) == 2
    assert Path("model.checkpoint.sums").exists()


def rewrite(path):
    """Change a digit of the first row, and nothing that a listing of the folder shows."""
    before, lines = path.stat(), path.read_text().splitlines()
    lines[1] = lines[1][:-1] + ("1" if lines[1][-1] != "1" else "2")
    path.write_text("\n".join(lines))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def replace(path):
    other = path.with_name("other")
    shutil.copy2(path, other)
    os.replace(other, path)


def touch(path):
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("training", [[], SGD], ids=["sums", "training"])
@pytest.mark.parametrize(
    ("cheap", "change", "message"),
    [
        (1 << 26, rewrite, "there, batches, files, study.csv, sha256 is "),
        (0, replace, "there, batches, files, study.csv, inode is "),
        (0, touch, "there, batches, files, study.csv, modified is .*; here, 0"),
    ],
)
def test_a_run_is_not_resumed_on_data_that_was_replaced(
    here, monkeypatch, capsys, training, cheap, change, message
):
    monkeypatch.setattr("funcgrad.datasets.folder._CHEAP", cheap)
    interrupted(monkeypatch, *training)
    change(Path("study.csv"))
    capsys.readouterr()
    assert fit("study.csv", "--resume", *training) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not Path("model").exists()


@pytest.mark.parametrize("change", [replace, touch])
def test_small_data_is_known_by_its_content(here, monkeypatch, change):
    interrupted(monkeypatch)
    change(Path("study.csv"))
    assert fit("study.csv", "--resume", "--quiet") == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--learning-rate", "0.02"], "learning rate is 0.01; here, 0.02"),
        (["--optimizer", "momentum"], "state is"),
        (["--optimizer", "adam"], "state is"),
        (["--seed", "1"], "seed is 0; here, 1"),
        (["--batch-size", "64"], "batch_rows is 1024; here, 64"),
        (["--features", "bmi,bp"], "columns is"),
        (["--missing", "drop"], "missing is refuse; here, drop"),
        (["--epochs", "1"], "in epoch 3, which is more than the 1 to take"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(here, monkeypatch, capsys, changes, message):
    interrupted(monkeypatch, *SGD)
    capsys.readouterr()
    assert fit("study.csv", "--resume", *SGD, *changes) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_run_goes_on_with_more_epochs_to_where_as_many_at_once_come(here, monkeypatch):
    interrupted(monkeypatch, *SGD)
    assert fit("study.csv", "--resume", *SGD, "--epochs", "5", "--quiet") == 0
    resumed = Path("model").read_bytes()
    assert fit("study.csv", *SGD, "--epochs", "5", "--quiet") == 0
    assert Path("model").read_bytes() == resumed


@pytest.mark.parametrize("text", ["a,y\n1,2\n", "a,y\n1,2\n3,4\n5,red\n"], ids=["short", "text"])
@pytest.mark.parametrize("training", [[], SGD], ids=["sums", "training"])
def test_a_run_that_is_refused_leaves_nothing_in_the_way(here, text, training):
    Path("bad.csv").write_text(text)
    before = sorted(here.iterdir())
    assert fit("bad.csv", *training, "--checkpoint-every", "0", target="y") == 2
    assert sorted(here.iterdir()) == before
    assert fit("study.csv", *training, "--quiet") == 0


def test_a_refusal_leaves_the_checkpoint_of_the_run_before(here, monkeypatch):
    interrupted(monkeypatch)
    before = Path("model.checkpoint.sums").read_bytes()
    Path("bad.csv").write_text("a,y\n1,2\n")
    assert fit("bad.csv", target="y") == 2
    assert fit("bad.csv", "--resume", target="y") == 2
    assert Path("model.checkpoint.sums").read_bytes() == before
    assert fit("study.csv", "--resume", "--quiet") == 0


def test_two_runs_on_one_checkpoint_are_told_apart(here, capsys):
    from funcgrad.training import Checkpoint

    for name, options in (("model.checkpoint.sums", []), ("model.checkpoint", SGD)):
        with Checkpoint(name).held():
            assert fit("study.csv", *options) == 2
        assert f"another run is using the checkpoint {name}" in capsys.readouterr().err
        Path("model.checkpoint.sums").unlink(missing_ok=True)
    assert fit("study.csv", *SGD, "--quiet") == 0


def test_another_runs_checkpoint_is_refused(here, monkeypatch, capsys):
    Path("model.checkpoint.sums").write_bytes(b"something else entirely")
    assert fit("study.csv", "--resume") == 2
    assert "not a funcgrad checkpoint" in capsys.readouterr().err


TRAINING = {
    "sums": [],
    "training": ["--optimizer", "adam", "--epochs", "2", "--batch-size", "1024"],
}
KILLS = int(os.environ.get("FUNCGRAD_KILLS", "2"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("way", TRAINING)
def test_killed_at_any_moment_and_resumed_the_model_is_the_same_bytes(tmp_path, monkeypatch, way):
    """Kills at moments spread over the whole run, start and end included.

    `FUNCGRAD_KILLS=50 python -m pytest tests/cli -k killed` takes minutes.
    """
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(KILLS)
    x = rng.normal(size=(40_000, 8))
    np.save(tmp_path / "data.npy", np.column_stack([x, x.sum(axis=1) + rng.normal(size=len(x))]))
    command = [
        "-m", "funcgrad", "fit", "data.npy", "--target", "x8", "--memory", "2",
        "--checkpoint-every", "0", "--resume", *TRAINING[way],
    ]  # fmt: skip

    def end(process):
        _, told = process.communicate()
        assert process.returncode == 0, told

    began = time.perf_counter()
    end(Program(*command, "--out", "whole"))
    duration = time.perf_counter() - began
    kills = completed = 0
    while kills < KILLS:
        process = Program(*command, "--out", "cut")
        try:
            process.wait(duration * rng.uniform(0, 1.05))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        else:
            end(process)
            completed += 1
            assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
            (tmp_path / "cut").unlink()
    end(Program(*command, "--out", "cut"))
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
    print(f"{way}: {kills} kills, {completed} runs ended on the way")


@pytest.mark.parametrize(
    "more", [[], ["--optimizer", "momentum", "--epochs", "400"]], ids=["exact", "trained"]
)
def test_the_error_of_a_good_fit_is_the_rows(tmp_path, monkeypatch, capsys, more):
    """By the sums it is 0: the squares of residuals near 1 are lost beside those of targets near 1e8."""
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_text("x,y\n0,0\n1,1e8\n2,2e8\n3,300000001\n")
    assert fit("good.csv", *more, target="y") == 0
    model = np.load("model")
    x, y = np.arange(4.0), np.array([0, 1e8, 2e8, 300000001])
    squares = np.square(y - x * float(model["weights"][0]) - float(model["bias"])).mean()
    np.testing.assert_allclose(float(model["loss"]), squares, rtol=1e-6)
    if not more:
        np.testing.assert_allclose(float(model["loss"]), 0.075, rtol=1e-6)
        assert "root mean squared error 0.273861" in capsys.readouterr().out


def test_the_error_of_a_line_with_a_little_noise_is_that_of_the_noise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(0, 1, 1000)
    y = 1e6 * x + 1e-3 * np.random.default_rng(0).normal(size=1000)
    np.save("line.npy", np.column_stack([x, y]))
    assert fit("line.npy", "--quiet", target="x1") == 0
    exact = regression.least_squares(x[:, None], y, intercept=True)
    np.testing.assert_allclose(float(np.load("model")["loss"]), exact.loss, rtol=1e-6)


@pytest.mark.parametrize("penalty", ["1e-6", "10"])
def test_ridge_of_columns_that_nearly_depend_is_that_of_rational_arithmetic(
    tmp_path, monkeypatch, penalty
):
    monkeypatch.chdir(tmp_path)
    problem = load_nist("filip")
    x = problem.x ** np.arange(1, 11)
    np.save("filip.npy", np.column_stack([x, problem.y]))
    assert fit("filip.npy", "--ridge", penalty, "--quiet", target="x10") == 0
    weights, bias = ridge_exactly(x, problem.y, float(penalty))
    np.testing.assert_allclose(np.load("model")["weights"], weights, rtol=1e-12)
    np.testing.assert_allclose(np.load("model")["bias"], bias, rtol=1e-12)
