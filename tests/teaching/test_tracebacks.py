"""Tracebacks that reach a user have the user's frames, and the library's on demand."""

import sys
import traceback

import pytest

import funcgrad.torch as torch
from funcgrad.teaching import fold, settings, tracebacks


@pytest.fixture(autouse=True)
def _settings_come_back():
    before = settings.language, settings.tracebacks
    yield
    settings.language, settings.tracebacks = before


def raised(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def wrong_shapes():
    torch.ones(2, 3) @ torch.ones(2, 3)


def names(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_only_the_users_frames_remain():
    error = raised(wrong_shapes)
    assert len(names(error)) > 3
    assert names(fold(error)) == ["raised", "wrong_shapes"]
    assert "Frames of the library left out" in error.__notes__[-1]


def test_a_users_function_that_the_library_called_remains():
    def hook(gradient):
        raise KeyError("mine")

    def run():
        w = torch.ones(1, requires_grad=True)
        w.register_hook(hook)
        (w * w).sum().backward()

    assert names(fold(raised(run))) == ["raised", "run", "hook"]


def test_a_cause_is_folded_too():
    def run():
        try:
            wrong_shapes()
        except RuntimeError as error:
            raise ValueError("mine") from error

    error = fold(raised(run))
    assert names(error) == ["raised", "run"]
    assert names(error.__cause__) == ["run", "wrong_shapes"]


def test_an_error_without_the_library_stays_as_it_is():
    error = raised(lambda: 1 / 0)
    before = names(error)
    assert names(fold(error)) == before
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(("choice", "shown"), [("folded", False), ("full", True)])
def test_an_uncaught_error_is_shown_as_the_setting_says(choice, shown, capsys):
    error = raised(wrong_shapes)
    settings.tracebacks, settings.language = choice, "fr"
    hook = tracebacks._Hook(sys.__excepthook__)
    hook(type(error), error, error.__traceback__)
    printed = capsys.readouterr().err
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)" in printed
    assert ("matmul.py" in printed) is shown
    assert ("omis :" in printed) is not shown
    assert "Avec b transposé" not in printed  # the language when the error was raised
    assert "With b transposed" in printed


def test_importing_the_shim_installs_the_hook_once():
    assert isinstance(sys.excepthook, tracebacks._Hook)
    before = sys.excepthook
    tracebacks.install()
    assert sys.excepthook is before


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("language", "de", ValueError), ("tracebacks", "some", ValueError), ("colour", "red", AttributeError)],
)  # fmt: skip
def test_a_wrong_setting_is_refused(name, value, error):
    with pytest.raises(error, match=name):
        setattr(settings, name, value)
