"""Whole programs, made up by hypothesis, run on PyTorch and on the shim: the same values, gradients, flags and errors.

FUNCGRAD_PROGRAMS sets how many a mode gets; the programs come from hypothesis, which shrinks what it finds.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import funcgrad.torch as ours
from funcgrad import engine

theirs = pytest.importorskip("torch")

PROGRAMS = int(os.environ.get("FUNCGRAD_PROGRAMS", "60"))
LENGTH = 3
UNARY = ("sin", "cos", "tanh", "sigmoid", "relu", "neg", "square", "exp2", "sum", "mean", "clone")
BINARY = ("add", "sub", "mul", "div")

# A program is a list of instructions; numbers in them choose among the tensors there are.
choice = st.integers(0, 40)
instruction = st.one_of(
    st.tuples(st.just("unary"), st.sampled_from(UNARY), choice),
    st.tuples(st.just("binary"), st.sampled_from(BINARY), choice, choice),
    st.tuples(
        st.just("number"), st.sampled_from(BINARY), choice, st.sampled_from([0.5, -1.5, 2, -0.0])
    ),
    st.tuples(st.just("power"), choice, st.sampled_from([2, 3, -1, 1.5])),
    st.tuples(st.just("detach"), choice),
    st.tuples(st.just("no_grad"), st.sampled_from(UNARY), choice),
    st.tuples(st.just("in place"), st.sampled_from(("add_", "mul_", "sub_")), choice, choice),
    st.tuples(st.just("data"), choice, choice),
    st.tuples(st.just("look"), choice),
    st.tuples(st.just("branch"), choice, choice, choice),
    st.tuples(st.just("backward"), choice, st.booleans()),
    st.tuples(st.just("grad"), choice, choice, st.booleans()),
    st.tuples(st.just("clear"), choice),
)
programs = st.lists(instruction, min_size=1, max_size=25)


def run(torch, program):
    """Run a program; what can be seen of it, step by step."""
    tensors = [
        torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64, requires_grad=True),
        torch.tensor([1.2, 0.4, -0.6], dtype=torch.float64, requires_grad=True),
        torch.tensor(0.8, dtype=torch.float64, requires_grad=True),
        torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64),
    ]
    leaves = tensors[:3]
    seen, gradients = [], set()

    def at(number):
        return tensors[number % len(tensors)]

    def step(kind, *rest):
        match kind, rest:
            case "unary", (name, a):
                tensors.append(getattr(torch, name)(at(a)))
            case "binary", (name, a, b):
                tensors.append(getattr(torch, name)(at(a), at(b)))
            case "number", (name, a, number):
                tensors.append(getattr(torch, name)(at(a), number))
            case "power", (a, exponent):
                tensors.append(at(a) ** exponent)
            case "detach", (a,):
                tensors.append(at(a).detach())
            case "no_grad", (name, a):
                with torch.no_grad():
                    tensors.append(getattr(torch, name)(at(a)))
            case "in place", (name, a, b):
                # A gradient may be an expanded view in PyTorch, which it then refuses to write to.
                if a % len(tensors) not in gradients:
                    getattr(at(a), name)(at(b))
            case "data", (a, b):
                # Not a result: PyTorch takes some derivatives from results as they are now, and the README says so.
                tensors[a % 4].data.mul_(at(b).detach().mean())
            case "look", (a,):
                seen.append(at(a).detach().numpy().copy())
            case "branch", (a, b, c):
                tensors.append(at(b) * 2 if at(a).detach().sum() > 0 else at(c) * 3)
            case "backward", (a, retain):
                at(a).sum().backward(retain_graph=retain)
            case "grad", (a, b, create):
                (made,) = torch.autograd.grad(
                    at(a).sum(),
                    leaves[b % 3],
                    create_graph=create,
                    allow_unused=True,
                    retain_graph=True,
                )
                if made is not None:
                    gradients.add(len(tensors))
                    tensors.append(made)
            case "clear", (a,):
                leaves[a % 3].grad = None

    for number, (kind, *rest) in enumerate(program):
        before = len(tensors)
        try:
            step(kind, *rest)
        except RuntimeError as error:
            seen.append((number, kind, gist(str(error))))
        if len(tensors) > before:
            made = tensors[-1]
            name = type(made.grad_fn).__name__
            # The graph of a gradient has other nodes here.
            seen.append((made.requires_grad, made.is_leaf, None if kind == "grad" else name))
    # How often PyTorch wrote into a gradient while it summed it up is its own business.
    seen += [tensor._version for k, tensor in enumerate(tensors) if k not in gradients]
    seen += [tensor.detach().numpy() for tensor in tensors]
    seen += [None if leaf.grad is None else leaf.grad.detach().numpy() for leaf in leaves]
    return seen


def gist(message):
    """What a message is about."""
    for words in (
        "second time",
        "modified by an inplace operation",
        "leaf Variable that requires grad",
        "does not require grad and does not have a grad_fn",
        "doesn't match the broadcast shape",
        "must match the size",
        "implicitly created only for scalar",
    ):
        if words in message:
            return words
    return message


def same(mine, reference):
    if isinstance(reference, np.ndarray):
        return (
            isinstance(mine, np.ndarray)
            and mine.shape == reference.shape
            and np.allclose(mine, reference, rtol=1e-9, atol=1e-9, equal_nan=True)
        )
    return mine == reference


@pytest.mark.parametrize("mode", ["auto", "op_by_op", "compiled"])
def test_a_program_does_what_it_does_in_pytorch(mode):
    # Compiling every program takes its time, so there are fewer.
    @settings(
        max_examples=PROGRAMS if mode != "compiled" else max(PROGRAMS // 6, 1),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="FUNCGRAD_PROGRAMS" not in os.environ,
    )
    @given(programs)
    def check(program):
        with np.errstate(all="ignore"), engine.mode(mode):
            expected = run(theirs, program)
            # Twice: the second time, what was recorded is known, and walks backward are replayed.
            for _ in range(2):
                mine = run(ours, program)
                assert len(mine) == len(expected)
                for position, (a, b) in enumerate(zip(mine, expected, strict=True)):
                    assert same(a, b), f"item {position}: {a} is not {b}"

    check()
