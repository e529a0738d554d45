"""Programs made up at random and transformed by `torch.func` at random, on PyTorch and on the shim.

`python -m tests.against_pytorch.transformed_programs --programs 1000 --first 0` runs as many as asked, by their seeds.
"""

import argparse
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.both_sides import ours, theirs


def in_place_parts(t: Any, v: Any, x: Any, c: Any) -> Any:
    v = v.clone()
    v[1:] *= 0.5
    v[:2].mul_(x[1:])
    return v


def under_no_grad(t: Any, v: Any, x: Any, c: Any) -> Any:
    with t.no_grad():
        w = v * 2
    return v * w


def gathered_in(make: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def step(t: Any, v: Any, x: Any, c: Any) -> Any:
        w = make(t, v)
        w += v
        return w * x

    return step


# Each takes the namespace, the vector so far, the argument and a captured vector.
STEPS: dict[str, Callable[..., Any]] = {
    "sin": lambda t, v, x, c: v.sin(),
    "times captured": lambda t, v, x, c: v * c,
    "plus argument": lambda t, v, x, c: v + x,
    "in place": lambda t, v, x, c: (v * 1).mul_(x),
    "in place, captured": lambda t, v, x, c: v.clone().add_(c),
    "square": lambda t, v, x, c: v**2,
    "times its sum": lambda t, v, x, c: v * v.sum(),
    "detached": lambda t, v, x, c: v + x.detach() * v,
    "under no_grad": under_no_grad,
    "where": lambda t, v, x, c: t.where(v > 0, v, v * 0.1),
    "compared": lambda t, v, x, c: v * (x > c).to(v.dtype) + v,
    "flipped": lambda t, v, x, c: v.flip(0),
    "parts in place": in_place_parts,
    "gathered in zeros_like": gathered_in(lambda t, v: t.zeros_like(v)),
    "gathered in new_zeros": gathered_in(lambda t, v: v.new_zeros(3)),
    "exp": lambda t, v, x, c: (v * 0.3).exp(),
    "product": lambda t, v, x, c: (v.unsqueeze(1) * x.unsqueeze(0)) @ c,
    "joined": lambda t, v, x, c: t.cat([v[1:], x[:1]]),
    "expanded": lambda t, v, x, c: (v.unsqueeze(0).expand(3, 3).t() * x).sum(1),
    "quotient": lambda t, v, x, c: v / (1 + c * c),
    "indexed": lambda t, v, x, c: v[t.tensor([2, 0, 1])],
}
Vector = Callable[[Any], Any]
# Each makes of a function from vectors to vectors another one.
TRANSFORMS: dict[str, Callable[[Any, Vector], Vector]] = {
    "grad": lambda f, g: lambda x: f.grad(lambda a: g(a).sum())(x),
    "grad, captured": lambda f, g: lambda x: f.grad(lambda a: (g(x) * a).sum())(x),
    "vjp": lambda f, g: lambda x: f.vjp(g, x)[1](x)[0],
    "jvp": lambda f, g: lambda x: f.jvp(g, (x,), (x * 0.5,))[1],
    "jacrev": lambda f, g: lambda x: f.jacrev(g)(x).sum(0),
    "jacfwd": lambda f, g: lambda x: f.jacfwd(g)(x).sum(0),
    "hessian": lambda f, g: lambda x: f.hessian(lambda a: g(a).sum())(x).sum(0),
    "vmap": lambda f, g: lambda x: f.vmap(g)(x.unsqueeze(0).expand(2, 3) * 1).sum(0),
    "vmap, columns": lambda f, g: (
        lambda x: f.vmap(g, in_dims=1, out_dims=1)(x.unsqueeze(1).expand(3, 2) * 1).sum(1)
    ),
}


def outcome(t: Any, steps: list[str], transforms: list[str], wanted: tuple[bool, bool]) -> Any:
    """The values of a program and its gradients by what requires grad outside; or the error."""
    x = t.tensor([0.3, -0.7, 1.1], dtype=t.float64, requires_grad=wanted[0])
    c = t.tensor([0.5, 0.2, -0.4], dtype=t.float64, requires_grad=wanted[1])

    def program(a: Any) -> Any:
        v = a * 1
        for step in steps:
            v = STEPS[step](t, v, a, c)
        return v

    function: Vector = program
    for name in transforms:
        function = TRANSFORMS[name](t.func, function)
    try:
        result = function(x)
        values = result.detach().numpy(force=True).copy()
        if result.requires_grad:
            result.sum().backward()
        # A gradient of zeros and none at all are the same here: what depends on nothing differs in that.
        gradients = [np.zeros(3) if leaf.grad is None else leaf.grad.tolist() for leaf in (x, c)]
    except Exception as error:
        return error
    return [values, *gradients]


def disagreement(seed: int) -> str | None:
    """The difference between both sides in the program of this seed; None if nothing, or if PyTorch cannot run it."""
    rng = random.Random(seed)
    steps = rng.choices(list(STEPS), k=rng.randint(1, 5))
    transforms = rng.choices(list(TRANSFORMS), k=rng.randint(1, 3))
    wanted = (rng.random() < 0.5, rng.random() < 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = outcome(theirs, steps, transforms, wanted)
        if isinstance(expected, Exception):
            return None
        mine = outcome(ours, steps, transforms, wanted)
    about = f"program {seed}: {steps} under {transforms}, requiring grad {wanted}: {mine} for {expected}"
    if isinstance(mine, Exception):
        return about
    close = [
        np.allclose(a, b, 1e-8, 1e-9, equal_nan=True) for a, b in zip(mine, expected, strict=True)
    ]
    return None if all(close) else about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    found = 0
    for seed in range(arguments.first, arguments.first + arguments.programs):
        different = disagreement(seed)
        if different is not None:
            found += 1
            print(different, flush=True)
    print(f"{arguments.programs} programs, {found} disagreements")
    raise SystemExit(found > 0)


if __name__ == "__main__":
    main()
