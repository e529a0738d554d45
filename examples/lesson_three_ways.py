"""The same lesson three times: in PyTorch, in funcgrad.torch, and as pure functions in JAX.

    python examples/lesson_three_ways.py

The lesson: a model `y = x @ w`, a loss, its gradient, and one step downhill. The first two columns
below run the very same function; only the module that they are given differs. The third computes the
same numbers without a tensor that remembers anything. Without PyTorch the first column is left out.
"""

from importlib import import_module
from importlib.util import find_spec
from itertools import zip_longest

import jax.numpy as jnp
import numpy as np

from funcgrad import regression


def lesson_with_tensors(torch):
    """PyTorch's way: tensors remember what was done to them, and .backward() walks it back."""
    torch.manual_seed(0)
    x = torch.rand(2, 2)
    y_true = torch.rand(2)
    w = torch.rand(2, requires_grad=True)

    y_pred = x @ w
    loss = ((y_pred - y_true) ** 2).mean()
    loss.backward()  # fills w.grad

    gradient = w.grad.clone()
    w.data -= w.grad  # one step downhill, hidden from the graph
    new_loss = ((x @ w - y_true) ** 2).mean()

    return {
        "x": x,
        "y_true": y_true,
        "y_pred": y_pred,
        "came from": type(loss.grad_fn).__name__,
        "loss": loss,
        "gradient": gradient,
        "w after the step": w,
        "loss after the step": new_loss,
    }


def lesson_with_functions(x, y_true, w):
    """JAX's way: the loss is a function of w, and its gradient is another function of w."""
    loss, gradient = regression.value_and_grad(w, x, y_true)
    new_w = regression.update(w, gradient)  # a new array: w itself stays as it was
    new_loss = regression.loss(new_w, x, y_true)

    return {
        "x": x,
        "y_true": y_true,
        "y_pred": regression.predict(w, x),
        "came from": "a function",
        "loss": loss,
        "gradient": gradient,
        "w after the step": new_w,
        "loss after the step": new_loss,
    }


def as_numpy(value):
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def print_side_by_side(ways):
    print((" " * 20 + "".join(f"{name:26}" for name in ways)).rstrip())
    for what in next(iter(ways.values())):
        values = [way[what] for way in ways.values()]
        cells = [str(v if isinstance(v, str) else as_numpy(v).round(6)) for v in values]
        lines = zip_longest(*(cell.split("\n") for cell in cells), fillvalue="")
        for number, line in enumerate(lines):
            label = "" if number else what
            print((f"{label:20}" + "".join(f"{cell:26}" for cell in line)).rstrip())


def check_agreement(ways):
    first, *others = ways.values()
    for way in others:
        for what, value in first.items():
            if not isinstance(value, str):
                # float32 has seven digits; the ways may differ in the last one.
                np.testing.assert_allclose(as_numpy(way[what]), as_numpy(value), rtol=1e-6)
    assert as_numpy(first["loss after the step"]) < as_numpy(first["loss"])


def main():
    ways = {}
    if find_spec("torch"):
        ways["PyTorch"] = lesson_with_tensors(import_module("torch"))
    else:
        print("PyTorch is not installed: two ways instead of three.\n")
    shim = import_module("funcgrad.torch")
    ways["funcgrad.torch"] = lesson_with_tensors(shim)

    # JAX draws other random numbers, so the functions are given those that the tensors drew.
    shim.manual_seed(0)
    x, y_true, w = (jnp.asarray(shim.rand(*shape).numpy()) for shape in [(2, 2), (2,), (2,)])
    ways["pure functions"] = lesson_with_functions(x, y_true, w)

    print_side_by_side(ways)
    check_agreement(ways)
    print(f"\nAll {len(ways)} ways agree, and the step made the loss smaller.")


if __name__ == "__main__":
    main()
