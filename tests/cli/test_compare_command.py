"""`funcgrad compare` from the shell: what it prints, its exit status, and every bad input."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from funcgrad.cli import main
from funcgrad.compare import BACKENDS, OPTIMIZERS, Backend, Session
from funcgrad.compare.functional import prepare_steps
from funcgrad.datasets import load_diabetes

pytestmark = pytest.mark.usefixtures("short_warm_up")

QUICK = ["--backends", "jax", "--steps", "10", "--rounds", "1"]


def python_m_funcgrad(*arguments, **options):
    command = [sys.executable, "-m", "funcgrad", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


@pytest.mark.slow
def test_default_run_is_the_diabetes_study_on_all_backends(capsys):
    assert main(["compare", "--steps", "20", "--rounds", "1"]) == 0
    printed = capsys.readouterr()
    assert "'progression' from 10 features of 442 rows" in printed.out
    for name in BACKENDS:
        assert f"\n{name}" in printed.out
    assert "backends agree as far as float32 allows." in printed.out
    assert not printed.err


def test_json_is_alone_on_stdout(capsys):
    assert main(["compare", *QUICK, "--json", "--dtype", "float64", "--optimizer", "adam"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["settings"]["optimizer"] == "adam"
    assert report["settings"]["dtype"] == "float64"
    assert not printed.err


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_own_file_gives_what_the_shipped_data_gives(tmp_path, capsys, suffix):
    data = load_diabetes()
    path = tmp_path / f"study.{suffix}"
    names = [*data.feature_names, data.target_name]
    table = np.column_stack([data.x, data.y])
    if suffix == "csv":
        rows = [",".join(map(repr, row)) for row in table.tolist()]
        path.write_text("\n".join([",".join(names), *rows]))
    else:
        np.savez(path, **dict(zip(names, table.T, strict=True)))

    def losses(*source):
        assert main(["compare", *source, *QUICK, "--json"]) == 0
        return [row["final_loss"] for row in json.loads(capsys.readouterr().out)["rows"]]

    assert losses(str(path), "--target", "progression") == losses()


def test_the_page_is_written_in_the_language_asked_for(tmp_path, capsys):
    file = tmp_path / "page.html"
    assert main(["compare", *QUICK, "--html", str(file), "--lang", "fr"]) == 0
    text = file.read_text(encoding="utf-8")
    assert "Une seule implémentation a tourné" in text
    assert "Les pertes des entraînements" in text
    if find_spec("fast_sugiyama") is not None:
        assert "MeanBackward0" in text
        assert "reduce_sum" in text


def test_target_can_be_another_measurement(capsys):
    assert main(["compare", *QUICK, "--target", "bmi"]) == 0
    assert "'bmi' from 10 features" in capsys.readouterr().out


def test_seed_changes_the_start_and_is_reproducible(capsys):
    def gap(seed):
        assert main(["compare", *QUICK, "--steps", "1", "--json", "--seed", seed]) == 0
        return json.loads(capsys.readouterr().out)["gap"]["loss"]

    assert gap("1") == gap("1") != gap("2")


FILES = {
    "empty.csv": b"",
    "header.csv": b"a,b\n",
    "text.csv": b"a,y\n1,2\nred,4\n5,7\n",
    "missing.csv": b"a,y\n1,2\n3,\n5,7\n",
    "ragged.csv": b"a,y\n1,2\n3,4,5\n",
    "one-row.csv": b"a,y\n1,2\n",
    "constant.csv": b"a,b,y\n1,5,2\n2,5,4\n3,5,5\n4,5,9\n",
    "constant-target.csv": b"a,y\n1,2\n2,2\n3,2\n",
    "wide.csv": b"a,b,c,y\n1,2,4,1\n2,5,1,0\n",
    "nan.csv": b"a,y\n1,2\nnan,3\n5,7\n",
    "infinite.csv": b"a,y\n1,2\n3,-inf\n5,7\n",
    "huge.csv": b"a,y\n1,2e30\n3,4e30\n5,7\n",
    "binary.csv": bytes(range(256)) * 4,
    "no-archive.npz": b"a,y\n1,2\n",
    "good.csv": b"a,y\n1,2\n2,1\n3,5\n4,4\n",
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.csv", "there is no file nowhere.csv"),
        ("folder", "the folder folder holds no files"),
        ("empty.csv --target y", "the file is empty"),
        ("header.csv --target b", "no rows below"),
        ("good.csv", "which column is the target? Name one of: a, y"),
        ("good.csv --target z", "there is no column 'z'; the columns are: a, y"),
        ("--target z", "there is no column 'z'; the columns are: age, sex, bmi"),
        ("text.csv --target y", "data row 2, column 'a': 'red' is not a number"),
        ("missing.csv --target y", "data row 2, column 'y': the value is missing"),
        ("ragged.csv --target y", "data row 2 has 3 values, but there are 2 columns"),
        ("one-row.csv --target y", "at least two rows"),
        ("constant.csv --target y", "constant columns cannot be told from the intercept: 'b'"),
        ("constant-target.csv --target y", "the target is the same in every row (2)"),
        ("wide.csv --target y", "more parameters (3 features and an intercept) than rows (2)"),
        ("nan.csv --target y", "data row 2, column 'a' is NaN"),
        ("infinite.csv --target y", "data row 2, column 'y' is infinite"),
        ("huge.csv --target y", "too large for float32"),
        ("binary.csv --target y", "is not text in UTF-8"),
        ("no-archive.npz", "no-archive.npz: not an array that NumPy saved"),
        ("--learning-rate 0.25", "diverges with a learning rate of 0.25; the largest stable rate"),
        ("--learning-rate 1 --optimizer momentum", "for this data is 0.472"),
        ("--learning-rate 1e30 --optimizer adam --backends jax", "adam diverges"),
        ("--learning-rate 1e30 --optimizer adam --backends jax-loop", "adam diverges"),
        ("--learning-rate 0", "the learning rate must be positive and finite, not 0"),
        ("--learning-rate inf", "the learning rate must be positive and finite, not inf"),
        ("--backends jax,jaxx", "unknown backend 'jaxx'; there are: pytorch, shim, jax, jax-loop"),
        ("--backends ,", "unknown backend ''; there are: pytorch"),
        ("--device abacus", "there is no device 'abacus' here; there are: "),
        ("--device cpu:99", "there is no device 'cpu:99' here; there are: "),
        ("--optimizer lbfgs", "unknown optimizer 'lbfgs'; there are: sgd, momentum, adam"),
        ("--dtype float16", "unknown dtype 'float16'; there are: float32, float64"),
        ("--steps 0", "steps must be at least 1, not 0"),
        ("--rounds 0", "rounds must be at least 1, not 0"),
        ("--seed -1", "the seed must not be negative"),
        ("--html nowhere/page.html --steps 2 --rounds 1 --backends jax", "nowhere/page.html"),
        ("--trajectory", "--trajectory is for two functions"),
        ("--order 2", "--order is for two functions"),
    ],
)
def test_bad_input_is_explained_on_stderr_with_status_2(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    assert main(["compare", *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("funcgrad compare: error: ")
    assert printed.err.count("\n") == 1
    assert not printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["train"], "invalid choice: 'train'"),
        (["compare", "--learning-rate", "fast"], "'fast' is neither a number nor auto"),
        (["compare", "--steps", "many"], "invalid int value: 'many'"),
        (["compare", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_mistyped_command_is_explained_with_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_help_names_every_choice(capsys):
    with pytest.raises(SystemExit) as left:
        main(["compare", "--help"])
    assert left.value.code == 0
    help_text = capsys.readouterr().out
    assert all(name in help_text for name in [*BACKENDS, *OPTIMIZERS, "float32", "float64"])


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_with_status_130_and_no_traceback(monkeypatch, capsys):
    def interrupted(problem):
        session = prepare_steps(problem)
        return Session(lambda steps: signal.raise_signal(signal.SIGINT), session.value_and_grad)

    monkeypatch.setitem(BACKENDS, "stopped", Backend("stopped", lambda device: None, interrupted))
    assert main(["compare", "--backends", "stopped"]) == 130
    printed = capsys.readouterr()
    assert printed.err == "interrupted\n"
    assert not printed.out


def test_python_m_funcgrad_is_the_command(tmp_path):
    version = python_m_funcgrad("--version")
    assert version.returncode == 0
    assert version.stdout.startswith("funcgrad ")
    refused = python_m_funcgrad("compare", str(tmp_path))
    assert refused.returncode == 2
    assert "holds no files" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture(scope="module")
def alone():
    """A comparison in a process of its own, which takes seconds, where float64 is JAX's default."""
    arguments = ["compare", *QUICK, "--backends", "jax,jax-loop"]
    script = (
        "import sys; from funcgrad.cli import main; "
        "assert 'jax' not in sys.modules; "
        f"status = main({arguments}); "
        "print('loaded:', *sys.modules); sys.exit(status)"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_it_runs_where_the_user_has_made_float64_the_default(alone):
    assert (alone.returncode, alone.stderr) == (0, "")
    assert "All 2 backends agree as far as float32 allows" in alone.stdout


@pytest.mark.slow
def test_pytorch_is_imported_only_if_it_is_compared(alone):
    assert alone.returncode == 0, alone.stderr
    loaded = alone.stdout.splitlines()[-1].split()
    assert "jax" in loaded
    assert "torch" not in loaded


@pytest.mark.slow
def test_reader_that_leaves_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "funcgrad", "compare", *QUICK]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=600)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
