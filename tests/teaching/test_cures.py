"""Errors carry a cure, in English or in French, and each cure's code mends what was wrong."""

import textwrap
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcgrad
import funcgrad.torch as torch
from funcgrad import fit, regression
from funcgrad.teaching import CURES, settings

START = """
w = torch.tensor([1.0, 2.0], requires_grad=True)
x = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
lr = 0.5
"""
# For each cure: what comes before, the line that raises, then what follows the cure's code, and the value of the last line.
# {cure} is the code as the note shows it.
CASES = {
    "second backward": (
        "loss = (w * w).sum()",
        "loss.backward(); loss.backward()",
        "w.grad = None\nloss = (w * w).sum()\n{cure}",
        "w.grad",
        [4.0, 8.0],
    ),
    "leaf in place": ("(w * w).sum().backward()", "w -= lr * w.grad", "{cure}", "w", [0.0, 0.0]),
    "view of a leaf in place": ("", "w[0] = 0.0", "{cure}\n(y * y).sum().backward()", "(w, w.grad)", ([0.0, 2.0], [0.0, 4.0])),
    "result changed": (
        "y = w.exp()",
        "y *= 2; y.sum().backward()",
        "y = w.exp()\n{cure}\ny.sum().backward()",
        "w.grad",
        [2 * np.exp(1), 2 * np.exp(2)],
    ),
    "leaf changed": (
        "loss = (w * w).sum()",
        "with torch.no_grad(): w.mul_(3.0)\nloss.backward()",
        "w = torch.tensor([1.0, 2.0], requires_grad=True)\nloss = (w * w).sum()\n{cure}",
        "w",
        [0.0, 0.0],
    ),
    "nothing asked": (
        "w = w.detach()",
        "(w * w).sum().backward()",
        "{cure}\n(w * w).sum().backward()",
        "w.grad",
        [2.0, 4.0],
    ),
    "not a scalar": ("y = w * w", "y.backward()", "{cure}", "w.grad", [2.0, 4.0]),
    "integers": ("w = torch.tensor([1, 2])", "w.requires_grad_()", "{cure}\n(w * w).sum().backward()", "w.grad", [2.0, 4.0]),
    "product": ("a, b = x, torch.ones(5, 5)", "a @ b", "{cure}", "0.0", 0.0),
    "product by a transpose": ("a, b = x, x", "a @ b", "y = {cure}", "y", [[5.0, 2.0], [2.0, 10.0]]),
    "product of a transpose": ("a, b = x, w", "a @ b", "y = {cure}", "y", [1.0, 4.0, 6.0]),
    "linear": (
        "out_features = 4",
        "torch.nn.Linear(2, 4)(x)",
        "{cure}\ny = layer(x) - layer.bias - x @ layer.weight.T",
        "y.abs().max() < 1e-6",
        True,
    ),
    "broadcast": ("", "x + torch.ones(5)", "{cure}", "0.0", 0.0),
    "broadcast a row": ("small = w", "x * small", "y = x * {cure}", "y", [[1.0, 2.0, 0.0], [0.0, 2.0, 6.0]]),
    "two dtypes": ("a, b = x, torch.ones(3, dtype=torch.float64)", "a @ b", "y = {cure}", "y", [3.0, 4.0]),
    "an array in an op": (
        "loss = lambda w: torch.sum(w * w)",
        "jax.grad(loss)(jnp.ones(2))",
        "{cure}",
        "jax.grad(loss)(jnp.ones(2))",
        [2.0, 2.0],
    ),
    "a tensor in a function of JAX": (
        "jax_function = lambda w: jnp.sum(w * w)",
        "jax.grad(funcgrad.pure(jax_function))(jnp.ones(2))",
        "{cure}",
        "jax.grad(funcgrad.pure(op))(jnp.ones(2))",
        [2.0, 2.0],
    ),
    "a module in a pure function": (
        "module = torch.nn.Linear(3, 1)",
        "fit(regression.loss, module, X, Y, optimizer=SGD, steps=1)",
        "{cure}\nprediction, _ = forward(params, forward.buffers(), X)",
        "prediction.shape == (2, 1)",
        True,
    ),
    "tensors in a pure function": (
        "",
        "fit(regression.loss, START, x.requires_grad_(), Y, optimizer=SGD, steps=1)",
        "result = fit(regression.loss, START, {cure}, Y, optimizer=SGD, steps=1)",
        "int(result.steps)",
        1,
    ),
    "an optimizer of PyTorch": (
        "",
        "fit(regression.loss, START, X, Y, optimizer=torch.optim.SGD([w], lr=0.1), steps=1)",
        "{cure}\nresult = fit(regression.loss, START, X, Y, optimizer=optimizer, steps=1)",
        "int(result.steps)",
        1,
    ),
    "two libraries": (
        "",
        "type(w).__torch_function__(sum, (type(w),), (w,))",
        "{cure}\nlayer = nn.Linear(2, 1)",
        "layer(w).shape",
        (1,),
    ),
    # These two are warnings, which the tests make errors.
    "not a leaf": (
        "(w * w).sum().backward()",
        "w2 = w - lr * w.grad\nw2.grad",
        "{cure}",
        "w",
        [0.0, 0.0],
    ),
    "gradients add up": (
        "torch.autograd.set_detect_anomaly(True)",
        "for _ in range(2):\n    (w * w).sum().backward()\n    w.data -= 0.25 * w.grad",
        "w = torch.tensor([1.0, 2.0], requires_grad=True)\n"
        "for _ in range(2):\n    {cure}\n    (w * w).sum().backward()\n    w.data -= 0.25 * w.grad",
        "w",
        [0.25, 0.5],
    ),
}  # fmt: skip


@pytest.fixture
def scope():
    before = settings.language
    found = {"funcgrad": funcgrad, "torch": torch, "jax": jax, "jnp": jnp, "np": np, "optax": optax}
    found |= {"fit": fit, "regression": regression, "SGD": optax.sgd(0.1), "START": jnp.zeros(3)}
    found |= {"X": np.ones((2, 3), np.float32), "Y": np.ones(2, np.float32)}
    exec(START, found)
    yield found
    settings.language = before
    torch.autograd.set_detect_anomaly(False)


def note_of(name, scope, language):
    """The note of the error that the case raises."""
    settings.language = language
    before, wrong, *_ = CASES[name]
    exec(before, scope)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Anomaly Detection")
        warnings.filterwarnings("ignore", message="Error detected in")
        with pytest.raises(Exception) as caught:  # noqa: PT011
            exec(wrong, scope)
    note, *_ = caught.value.__notes__  # JAX adds one of its own
    return note


@pytest.mark.parametrize("name", CURES)
def test_the_code_of_each_cure_mends_what_was_wrong(scope, name):
    english = note_of(name, scope, "en")
    lines = [line for line in english.splitlines() if line.startswith("    ") or not line]
    cure = textwrap.dedent("\n".join(lines))
    assert bool(cure) == bool(CURES[name].code)
    *_, then, asked, value = CASES[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Anomaly Detection")
        exec(then.format(cure=cure), scope)
    found = eval(asked, scope)
    pairs = zip(found, value, strict=True) if isinstance(value, tuple) else [(found, value)]
    for mine, expected in pairs:
        mine = mine.detach().tolist() if isinstance(mine, torch.Tensor) else mine
        np.testing.assert_allclose(mine, expected, rtol=1e-6)


@pytest.mark.parametrize("name", CURES)
def test_each_cure_is_told_in_french(scope, name):
    cure = CURES[name]
    note = note_of(name, scope, "fr")
    assert note.startswith(cure.fr)
    assert cure.fr != cure.en
    assert cure.code.splitlines() == [line[4:] for line in note.splitlines()[1:]]


def test_a_graph_of_a_linear_layer_is_not_told_to_transpose():
    with pytest.raises(RuntimeError, match=r"mat1 and mat2") as caught:
        torch.nn.Linear(4, 3)(torch.ones(2, 3))
    assert ".T" not in caught.value.__notes__[0]


def test_a_stack_of_matrices_is_not_told_to_transpose():
    # `a.T` of a 3-d tensor reverses all its dimensions.
    with pytest.raises(RuntimeError, match=r"mat1 and mat2") as caught:
        torch.ones(2, 2, 3) @ torch.ones(2, 3)
    assert ".T" not in caught.value.__notes__[0]


def test_gradients_that_add_up_on_purpose_are_no_fault():
    w = torch.tensor([1.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Anomaly Detection")
        with torch.autograd.detect_anomaly():
            for _ in range(2):
                for _ in range(2):  # two micro-batches to a step
                    (w * w).sum().backward()
                w.data -= 0.1 * w.grad
                w.grad.zero_()
    assert w.item() == pytest.approx(0.6 * 0.6)


def test_a_warning_prints_its_note_and_its_text_is_pytorchs_alone():
    w = torch.tensor([1.0], requires_grad=True) * 2
    with pytest.warns(UserWarning, match=r"pull/30531 for more information\.$") as caught:
        _ = w.grad
    shown = warnings.formatwarning(caught[0].message, caught[0].category, "a.py", 1, line="")
    assert "UserWarning: The .grad attribute" in shown
    assert shown.rstrip().endswith("w -= lr * w.grad")


def test_a_module_in_place_of_a_loss_is_told_so():
    with pytest.raises(
        TypeError, match=r"loss must be a function .*, got a module, Linear"
    ) as caught:
        fit(
            torch.nn.Linear(3, 1),
            jnp.zeros(3),
            jnp.ones((2, 3)),
            jnp.ones(2),
            optimizer=optax.sgd(0.1),
        )
    assert "funcgrad.pure(module)" in caught.value.__notes__[0]
