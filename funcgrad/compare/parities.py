"""`parity`: do two functions, each in its own library, have the same value and the same derivatives?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from funcgrad.compare.errors import OptionError
from funcgrad.compare.inputs import Inputs, make_inputs
from funcgrad.compare.leaves import BANDS, Leaf
from funcgrad.compare.libraries import make_sides
from funcgrad.compare.pairs import MOVES, Pair, no_memory
from funcgrad.compare.sides import Derivatives, FindingError
from funcgrad.compare.tables import as_json, prose, table
from funcgrad.display import framed


@dataclass(frozen=True)
class Parity:
    """The result of `parity`; `str()` of it is a page to read.

    Attributes:
        reference, candidate: both functions' names, with their libraries.
        leaves: a verdict for each array of the value and of the derivatives.
        problem: what left nothing to compare, such as results of different shapes; None if nothing did.
        notes: what else a reader should know.
        settings: the dtype, the device, the order, the seed and the number of repeats.
    """

    reference: str
    candidate: str
    leaves: tuple[Leaf, ...]
    problem: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether rounding explains every difference."""
        return self.problem is None and all(leaf.ok for leaf in self.leaves)

    @property
    def worst(self) -> Leaf | None:
        """The leaf with the largest difference in rounding bands, a faulty one before any other."""
        return max(self.leaves, key=lambda leaf: (not leaf.ok, leaf.bands), default=None)

    def assert_ok(self) -> None:
        """Raise an AssertionError with the printed form, unless the sides agree."""
        if not self.ok:
            raise AssertionError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's types; a number that is not finite becomes None."""
        whole = asdict(self) | {"ok": self.ok, "leaves": [leaf.to_dict() for leaf in self.leaves]}
        return as_json(whole)

    def __str__(self) -> str:
        lines = prose(f"{self.candidate} against {self.reference}: {self._verdict()}")
        if self.leaves:
            lines += ["", *leaf_table(self.leaves), "", *prose(self._resolution())]
        lines += [line for each in reasons(self.leaves) for line in prose(each)]
        return "\n".join(
            [*lines, *(line for note in self.notes for line in prose(f"Note: {note}."))]
        )

    def _repr_html_(self) -> str:
        return framed(str(self), good=self.ok)

    def _verdict(self) -> str:
        if self.problem is not None:
            return f"NOT COMPARED. {self.problem}."
        wrong = [leaf.name for leaf in self.leaves if not leaf.ok]
        if wrong:
            undecided = all(leaf.verdict == "undecided" for leaf in self.leaves if not leaf.ok)
            return f"{'UNDECIDED' if undecided else 'A REAL DIFFERENCE'} in {', '.join(wrong)}."
        if all(leaf.verdict == "identical" for leaf in self.leaves):
            return "identical, bit for bit."
        return "they agree; the differences are rounding."

    def _resolution(self) -> str:
        s = self.settings
        if all(leaf.visible == 0 for leaf in self.leaves):
            return f"{s['dtype']} on {s['device']}. Every element must be equal."
        decided = f", and {s['shadow']} decides what {s['dtype']} cannot" if s["shadow"] else ""
        seen = [leaf for leaf in self.leaves if math.isfinite(leaf.visible)]
        sharpness = ""
        if seen:
            coarse = max(seen, key=lambda leaf: leaf.visible)
            sharpness = (
                f" In every leaf this run would have seen a fault of {coarse.visible:.1e} of the leaf's largest element "
                f"({coarse.name} is the least sharp)."
            )
        return (
            f"{s['dtype']} on {s['device']}. A band is how far a leaf of the reference moves when every input moves by one "
            f"unit in the last place (ulp), {s['moves']} times at random; up to {BANDS:g} bands agree{decided}.{sharpness}"
        )


def parity(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    *inputs: Any,
    wrt: str | int | Iterable[str | int] | None = None,
    order: int = 1,
    exact: str | int | Iterable[str | int] = (),
    seed: int = 0,
    directions: int = 2,
    shadow: bool = True,
    device: str | None = None,
) -> Parity:
    """Compare two functions: their values, gradients, and Hessian-vector products.

    Each is written with PyTorch, with `funcgrad.torch`, or with JAX (`funcgrad.pure` makes such a one), which is
    recognised by itself; `on` says it where the code does not. The tolerance is measured: the reference is repeated with
    every input moved by one unit in the last place, and a leaf agrees within 8 of these rounding bands. Both functions are
    repeated in float64 as well, from the same numbers, where a fault stays and rounding vanishes.

    Args:
        reference: takes its library's arrays, and returns them in any pytree.
        candidate: takes the same arguments.
        inputs: the arguments: pytrees of arrays of any library. A `jax.ShapeDtypeStruct` is drawn from the seed.
        wrt: the arguments to differentiate by, by position or name; None for every floating one.
        order: 0 compares values, 1 gradients too, 2 also products of the Hessian with random directions. A result that is
            not one number is weighed with random numbers, so that the gradient is of their sum.
        exact: the arguments that rounding must not move, such as a mask of zeros and ones.
        seed: of the random directions, moves and drawn inputs.
        directions: how many products to compare with order=2.
        shadow: whether to repeat both in float64.
        device: "cpu", "gpu", "tpu", "gpu:1" and so on; None for JAX's default device.

    Returns:
        A report. A fault of a side, such as an error that it raises, is in it as `problem`.

    Raises:
        OptionError: an argument of this function is wrong, or a side needs PyTorch, which is not installed.

    >>> import jax.numpy as jnp, numpy as np
    >>> import funcgrad.torch as torch
    >>> from funcgrad.compare import parity
    >>> def before(w, x):
    ...     return torch.relu(x @ w).mean()
    >>> def after(w, x):
    ...     return jnp.maximum(x @ w, 0).mean()
    >>> x = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    >>> report = parity(before, after, np.float32([1, -2, 3]), x)
    >>> report.ok, [leaf.name for leaf in report.leaves]
    (True, ['value', 'gradient by w', 'gradient by x'])
    >>> parity(before, lambda w, x: jnp.maximum(x @ w, 1e-3).mean(), np.float32([1, -2, 3]), x).ok
    False
    """
    given = make_inputs(reference, inputs, wrt, exact, seed)
    derivatives = Derivatives(check_order(order), directions, seed)
    check_has_gradient(given, order)
    settings = {
        "dtype": given.dtype.name if given.floating else "integers",
        "device": device or "the default device",
        "order": order,
        "seed": seed,
        "moves": MOVES,
        "shadow": None,
    }
    names = [f"{getattr(each, '__name__', 'function')}" for each in (reference, candidate)]
    leaves: tuple[Leaf, ...] = ()
    problem, notes = None, []
    try:
        sides = make_sides(reference, candidate, given, derivatives, device)
        names = [side.name for side in sides]
        settings["device"] = sides[0].device.device_kind
        pair = Pair(*sides, derivatives, np.random.default_rng(seed))
        leaves = pair.leaves(given, shadow)
        settings["shadow"] = "a float64 shadow" if pair.shadowed else None
        notes = pair.notes
    except FindingError as finding:
        problem = str(finding).rstrip(".")
    except MemoryError as error:
        problem = no_memory(error)
    return Parity(names[0], names[1], leaves, problem, tuple(notes), settings)


def check_order(order: int) -> int:
    """Return the order of derivatives.

    Raises:
        OptionError: it is none of 0, 1 and 2.
    """
    if order not in (0, 1, 2):
        raise OptionError(f"the order of derivatives is 0, 1 or 2, not {order!r}")
    return order


def check_has_gradient(inputs: Inputs, order: int) -> None:
    """Check that there is an input to differentiate by.

    Raises:
        OptionError: there is none.
    """
    if order and not inputs.wanted:
        kinds = ", ".join(
            f"{name} is {each.dtype}" if isinstance(each, np.ndarray) else f"{name} is no array"
            for name, each in zip(inputs.names, inputs.leaves, strict=True)
        )
        raise OptionError(
            f"no input is floating ({kinds or 'there are none'}), so there is no gradient to compare; order=0 "
            "compares values"
        )


def reasons(leaves: Iterable[Leaf]) -> list[str]:
    """Return a sentence for each reason that verdicts rest on, with the leaves that it is for."""
    found: dict[str, list[str]] = {}
    for leaf in leaves:
        if leaf.why:
            found.setdefault(leaf.why, []).append(leaf.name)
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} leaves'}: {why}."
        for why, names in found.items()
    ]


def leaf_table(leaves: Iterable[Leaf]) -> list[str]:
    """Return a table of leaves, for reading."""
    head = ["leaf", "difference", "relative", "ulps", "bands", "in float64", "at", "reference", "candidate", "verdict"]  # fmt: skip
    rows = [
        [
            leaf.name,
            f"{leaf.absolute:.1e}",
            f"{leaf.relative:.1e}",
            f"{leaf.ulps:.3g}",
            f"{leaf.bands:.2g}",
            "" if leaf.shadow is None else f"{leaf.shadow:.1e}",
            str(list(leaf.index)) if leaf.index else "",
            _shown(leaf.reference),
            _shown(leaf.candidate),
            leaf.verdict if leaf.ok else leaf.verdict.upper(),
        ]
        for leaf in leaves
    ]
    return table(head, rows, optional=("relative", "ulps", "in float64", "at"))


def _shown(number: Any) -> str:
    return "" if number is None else (str(number) if isinstance(number, (bool, int)) else f"{number:.9g}")  # fmt: skip
