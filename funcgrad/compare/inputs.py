"""Inputs of compared functions: pytrees of NumPy arrays, drawn, named, moved by one unit, cast."""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import ml_dtypes
import numpy as np

from funcgrad.compare.errors import OptionError
from funcgrad.compare.referring import PYTORCH, SHIM, owner


def is_floating(leaf: Any) -> bool:
    """Whether a leaf is an array of floating or complex numbers."""
    return isinstance(leaf, np.ndarray) and jax.dtypes.issubdtype(leaf.dtype, np.inexact)


@dataclass(frozen=True)
class Inputs:
    """The positional arguments of a call, as leaves.

    Attributes:
        leaves: NumPy arrays; anything else is passed as it is.
        tree: their structure, a tuple with one entry for each argument.
        names: the leaves' names, such as `w` or `params['w1']`.
        places: the position of the argument that each leaf belongs to.
        wanted: the indices of the leaves to differentiate by.
        moving: the indices of the leaves that rounding may move.
    """

    leaves: tuple[Any, ...]
    tree: Any
    names: tuple[str, ...]
    places: tuple[int, ...]
    wanted: tuple[int, ...]
    moving: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """The widest floating dtype; the leaves have at least one."""
        return max((self.leaves[k].dtype for k in self.floating), key=lambda each: each.itemsize)

    @property
    def floating(self) -> tuple[int, ...]:
        """The indices of the floating leaves."""
        return tuple(k for k, leaf in enumerate(self.leaves) if is_floating(leaf))

    def moved(self, random: np.random.Generator, like: "Inputs | None" = None) -> "Inputs":
        """Return them with every element one unit in the last place away, up or down.

        Args:
            random: chooses the directions.
            like: the inputs that give the units; None for these themselves. With float32 inputs here, float64
                inputs move by a unit of float32.
        """
        units = self if like is None else like
        leaves = [
            move(leaf, random, units.leaves[k].dtype) if k in self.moving else leaf
            for k, leaf in enumerate(self.leaves)
        ]
        return replace(self, leaves=tuple(leaves))

    def likely_exact(self) -> str:
        """Return the name of an argument that could be exact data: the last one of whole numbers, such as labels."""
        whole = [k for k in self.moving if np.array_equal(self.leaves[k], np.round(self.leaves[k]))]
        return re.split(r"[.\[]", self.names[[*self.moving, *whole][-1]])[0]

    def wide(self) -> "Inputs":
        """Return them in double precision, with exactly the same values."""
        return replace(self, leaves=tuple(map(_wide, self.leaves)))


def make_inputs(
    function: Callable[..., Any],
    args: Sequence[Any],
    wrt: str | int | Iterable[str | int] | None = None,
    exact: str | int | Iterable[str | int] = (),
    seed: int = 0,
) -> Inputs:
    """Take the arguments of a call apart.

    Args:
        function: its signature names the arguments.
        args: pytrees of arrays or tensors; a `jax.ShapeDtypeStruct` is drawn from the seed.
        wrt: the arguments to differentiate by, by position or name; None for all that are floating.
        exact: the arguments that rounding must not move, by position or name.
        seed: of the inputs that are drawn.

    Raises:
        OptionError: `wrt` or `exact` names no argument, or one without floating numbers.

    >>> import numpy as np
    >>> inputs = make_inputs(lambda w, at: w[at], [np.ones(3, np.float32), np.array([0, 2])])
    >>> inputs.names, inputs.wanted
    (('w', 'at'), (0,))
    """
    random = np.random.default_rng(seed)
    named, tree = jax.tree_util.tree_flatten_with_path(tuple(args), is_leaf=_is_leaf)
    arguments = _argument_names(function, len(args))
    leaves = tuple(_leaf(leaf, random) for _, leaf in named)
    names = tuple(arguments[path[0].idx] + jax.tree_util.keystr(path[1:]) for path, _ in named)
    positions = tuple(path[0].idx for path, _ in named)

    def chosen(which: Any, what: str) -> set[int]:
        asked = [which] if isinstance(which, (str, int)) else list(which)
        places = {_position(each, arguments, what) for each in asked}
        return {k for k, at in enumerate(positions) if at in places}

    floating = {k for k, leaf in enumerate(leaves) if is_floating(leaf)}
    wanted = floating if wrt is None else chosen(wrt, "wrt")
    if wrt is not None and not wanted & floating:
        kinds = ", ".join(f"{names[k]} is {_kind(leaves[k])}" for k in sorted(wanted)) or "nothing"
        raise OptionError(f"wrt names no floating input ({kinds}), so there is no gradient by it")
    return Inputs(
        leaves=leaves,
        tree=tree,
        names=names,
        places=positions,
        wanted=tuple(sorted(wanted & floating)),
        moving=tuple(sorted(floating - chosen(exact, "exact"))),
    )


def to_numpy(leaf: Any) -> Any:
    """Return the elements of an array or a tensor as a NumPy array of its own; other leaves as they are."""
    if owner(leaf) in (PYTORCH, SHIM) and hasattr(leaf, "detach"):
        if str(leaf.dtype) == "torch.bfloat16":  # NumPy has no such dtype of its own
            return leaf.float().numpy(force=True).astype(ml_dtypes.bfloat16)
        return np.array(leaf.numpy(force=True))
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf  # it has no elements
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        return np.array(leaf)
    return leaf


def move(
    array: np.ndarray, random: np.random.Generator, dtype: np.dtype | None = None
) -> np.ndarray:
    """Return an array with each element one unit in the last place away, up or down; a zero stays.

    Args:
        array: of floating or complex numbers.
        random: chooses the directions.
        dtype: the dtype that gives the unit; None for the array's own.

    >>> import numpy as np
    >>> one, zero = move(np.float32([1.0, 0.0]), np.random.default_rng(0)).tolist()
    >>> one in (1 + 2**-23, 1 - 2**-24), zero
    (True, 0.0)
    """
    dtype = array.dtype if dtype is None else dtype
    if np.iscomplexobj(array):
        real = np.zeros((), dtype).real.dtype
        return np.asarray(move(array.real, random, real) + 1j * move(array.imag, random, real))
    up = random.integers(0, 2, array.shape, np.int8).astype(bool)
    with np.errstate(all="ignore"):
        if dtype == array.dtype:
            # A zero's neighbour is no rounding of anything that was computed.
            ends = np.where(up, np.array(np.inf, dtype), np.array(-np.inf, dtype))
            moved = np.nextafter(array, ends).astype(dtype)
        else:
            unit = units(dtype, array)
            moved = array + np.where(up, unit, -unit)
        return np.where(array == 0, array, moved)


def units(dtype: np.dtype, values: Any) -> np.ndarray:
    """Return the spacing of a dtype's numbers at each value, in float64; of complex numbers at their size.

    >>> import numpy as np
    >>> units(np.dtype("float32"), 1.0).item() == 2**-23
    True
    """
    real = np.zeros((), dtype).real.dtype
    with np.errstate(all="ignore"):
        sizes = np.minimum(np.abs(np.asarray(values)), np.float64(ml_dtypes.finfo(real).max))
        return np.spacing(sizes.astype(real)).astype(np.float64)


def _leaf(leaf: Any, random: np.random.Generator) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return to_numpy(leaf)
    if jax.dtypes.issubdtype(leaf.dtype, np.inexact):
        drawn = random.standard_normal(leaf.shape)
        if jax.dtypes.issubdtype(leaf.dtype, np.complexfloating):
            drawn = drawn + 1j * random.standard_normal(leaf.shape)
        return np.asarray(drawn).astype(leaf.dtype)
    raise OptionError(
        f"only floating inputs are drawn from the seed; give the {leaf.dtype} input as an array"
    )


def _is_leaf(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, jax.ShapeDtypeStruct) or hasattr(leaf, "requires_grad")


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]  # fmt: skip
    return [*named[:count], *(f"argument {k}" for k in range(len(named), count))]


def _position(which: str | int, names: list[str], what: str) -> int:
    if isinstance(which, str) and which in names:
        return names.index(which)
    if isinstance(which, int) and 0 <= which < len(names):
        return which
    raise OptionError(f"{what} names the argument {which!r}; there are: {', '.join(names)}")


def _kind(leaf: Any) -> str:
    return str(leaf.dtype) if isinstance(leaf, np.ndarray) else f"a {type(leaf).__name__}"


def _wide(leaf: Any) -> Any:
    if not is_floating(leaf):
        return leaf
    return leaf.astype(np.complex128 if np.iscomplexobj(leaf) else np.float64)
