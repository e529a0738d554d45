"""Whole training programs made up from idioms of public code, on PyTorch and on the shim, and through `funcgrad.pure`.

A program is a model, a loss and a way to train, each with options, all chosen by a seed. `python -m
tests.against_pytorch.fuzz --generator idioms --programs 1000` runs as many as asked. Each trains for several steps on
both sides; then the same loss goes through `pure` under `jax.grad`, and in some programs under `jax.jvp`, both together,
`jax.vmap` and `jax.jit`. It has to have the derivatives that PyTorch's tape has. Programs of the same parts are traced once:
a long run meets all parts in all ways, and costs little more than the trainings.
"""

import random
import warnings
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as ours
from funcgrad.engine.kernels import numpy_kernel
from funcgrad.engine.kernels.table import rule
from tests.engine_modes import mode as engine_mode

Weights = list[Any]
# Takes the namespace, the weights and the data; a vector of results, one a row.
Model = Callable[[Any, Weights, Any], Any]
ROWS, COLUMNS, HIDDEN = 4, 3, 3
SHAPES = (COLUMNS,), (COLUMNS, HIDDEN), (HIDDEN,)
TOLERANCE = 1e-7


# ------------------------------------------------------------------------------------------------- models


def linear(t: Any, w: Weights, x: Any) -> Any:
    return x @ w[0]


def perceptron(t: Any, w: Weights, x: Any) -> Any:
    return t.tanh(x @ w[1] + w[2]) @ w[0]


def tied(t: Any, w: Weights, x: Any) -> Any:
    return ((x @ w[1]).sigmoid() @ w[1].t()) @ w[0]


def recurrent(t: Any, w: Weights, x: Any) -> Any:
    h = t.zeros_like(w[2])
    states = []
    for row in x.unbind(0):
        h = t.tanh(row * w[0] + h @ w[1])
        states.append(h)
    return t.stack(states) @ w[2]


def truncated(t: Any, w: Weights, x: Any) -> Any:
    h = t.zeros_like(w[2])
    states = []
    for k, row in enumerate(x.unbind(0)):
        h = t.tanh(row * w[0] + h @ w[1])
        states.append(h)
        if k == 1:
            h = h.detach()
    return t.stack(states) @ w[2]


def buffered(t: Any, w: Weights, x: Any) -> Any:
    out = t.zeros(x.shape[0], dtype=x.dtype)
    for k in range(x.shape[0]):
        out[k] = (x[k] * w[0]).sum() + w[1][k % HIDDEN, 0]
    return out


def normalised(t: Any, w: Weights, x: Any) -> Any:
    h = x @ w[1]
    h = (h - h.mean(0)) / (h.std(0) + 0.5)
    return h @ w[0]


def attentive(t: Any, w: Weights, x: Any) -> Any:
    scores = (x @ w[1]) @ x.t()
    scores = scores - scores.detach().max()
    weights = scores.exp() / scores.exp().sum(1, keepdim=True)
    return (weights @ x) @ w[0] + w[2].sum()


def residual(t: Any, w: Weights, x: Any) -> Any:
    h = x
    for _ in range(2):
        change = t.tanh(h @ w[1] + w[2])
        h = h * 1
        h += change
    return h @ w[0]


def quantised(t: Any, w: Weights, x: Any) -> Any:
    return x @ rounding(t).apply(w[0] * 2) + x @ w[2]


def detach_quantised(t: Any, w: Weights, x: Any) -> Any:
    v = w[0]
    return x @ (v + ((v * 4).round() / 4 - v).detach()) + x @ w[2]


def gated(t: Any, w: Weights, x: Any) -> Any:
    h = x @ w[1]
    return (h.relu() * (h.detach() > 0.1).to(h.dtype)) @ w[0]


def reversed_gradient(t: Any, w: Weights, x: Any) -> Any:
    return reversing(t).apply(x @ w[1], 0.5) @ w[0] + (x @ w[2])


def scattered(t: Any, w: Weights, x: Any) -> Any:
    h = t.zeros(x.shape[0], HIDDEN + 1, dtype=x.dtype)
    places = t.tensor([[0, 2, 3]]).expand(x.shape[0], HIDDEN)
    return h.scatter_(1, places, x @ w[1])[:, 1:] @ w[0]


def index_added(t: Any, w: Weights, x: Any) -> Any:
    h = t.zeros(x.shape[0], HIDDEN, dtype=x.dtype)
    h.index_add_(1, t.tensor([0, 0, 2]), x @ w[1], alpha=0.5)
    return h.tanh() @ w[0] + x @ w[2]


def einsummed(t: Any, w: Weights, x: Any) -> Any:
    return t.einsum("bi,ij,j->b", x, w[1], w[2]) + t.einsum("bi,i->b", x, w[0])


def broadcast(t: Any, w: Weights, x: Any) -> Any:
    return (x[:, :, None] * w[1] - w[2]).sigmoid().mean(2) @ w[0]


def written_views(t: Any, w: Weights, x: Any) -> Any:
    h = x @ w[1]
    h[:, 1:].mul_(2)
    h.t()[0].add_(w[2].sum())
    h.view(-1)[::2].tanh_()
    return h @ w[0]


def masked_in_place(t: Any, w: Weights, x: Any) -> Any:
    h = x @ w[1]
    h[h < 0] = 0.1
    h.masked_fill_(h.detach() > 1, 0.5)
    return h @ w[0] + t.where(x > 0, x, 0.2 * x) @ w[2]


def hooked_module(t: Any, w: Weights, x: Any) -> Any:
    module = t.nn.Tanh()
    module.register_forward_hook(lambda module, given, made: made * 2)
    module.register_full_backward_hook(lambda module, given, made: (given[0] * 0.5,))
    return module(x @ w[1]) @ w[0]


def chosen(t: Any, w: Weights, x: Any) -> Any:
    h = x @ w[1]
    best = h.detach().argmax(1, keepdim=True)
    return h.gather(1, best)[:, 0] * w[0].sum() + h.sort(1)[0][:, 0]


def layers(t: Any, w: Weights, x: Any) -> Any:
    F = t.nn.functional
    # Without `layer_norm`, whose third derivative is wrong in PyTorch.
    h = F.softmax(F.linear(x, w[1], w[2]), 1) * w[0]
    return F.gelu(h).sum(1) + F.softplus(h[:, 0])


def of_numpy(t: Any, w: Weights, x: Any) -> Any:
    scales = np.linspace(0.5, 1.5, COLUMNS)
    h = x * t.from_numpy(scales) @ w[1]
    scales *= 2
    return h @ w[0] + x @ w[2] * float(scales[0])


MODELS: tuple[Model, ...] = (
    scattered,
    index_added,
    einsummed,
    broadcast,
    written_views,
    masked_in_place,
    hooked_module,
    chosen,
    layers,
    of_numpy,
    linear,
    perceptron,
    tied,
    recurrent,
    truncated,
    buffered,
    normalised,
    attentive,
    residual,
    quantised,
    detach_quantised,
    gated,
    reversed_gradient,
)


def rounding(t: Any) -> Any:
    class Rounding(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.round()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * (x.abs() < 1.5).to(g.dtype)

    return Rounding


def reversing(t: Any) -> Any:
    class Reversing(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float) -> Any:
            ctx.factor = factor
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return -ctx.factor * g, None

    return Reversing


# ------------------------------------------------------------------------------------------------- losses


def squares(t: Any, out: Any, y: Any, w: Weights) -> Any:
    return ((out - y) ** 2).mean()


def logistic(t: Any, out: Any, y: Any, w: Weights) -> Any:
    return (t.log1p((-out.abs()).exp()) + out.clamp(min=0) - out * (y > 0).to(y.dtype)).mean()


def masked(t: Any, out: Any, y: Any, w: Weights) -> Any:
    mask = y > -0.3
    return ((out - y).abs() * mask.to(out.dtype)).sum() / mask.sum()


def indexed(t: Any, out: Any, y: Any, w: Weights) -> Any:
    return ((out[t.tensor([0, 2])] - y[t.tensor([1, 2])]) ** 2).sum()


def huber(t: Any, out: Any, y: Any, w: Weights) -> Any:
    e = (out - y).abs()
    return t.where(e < 0.7, 0.5 * e**2, 0.7 * (e - 0.35)).mean()


def reinforced(t: Any, out: Any, y: Any, w: Weights) -> Any:
    reward = (out * y).sum()
    log_prob = out - out.logsumexp(0)
    with t.no_grad():
        advantage = y - out.mean()
    return -(log_prob * reward.detach() * 0.1).mean() - (log_prob * advantage).sum()


def targeted(t: Any, out: Any, y: Any, w: Weights) -> Any:
    with t.no_grad():
        target = y + 0.9 * out.flip(0)
    return ((out - target) ** 2).mean()


def contrastive(t: Any, out: Any, y: Any, w: Weights) -> Any:
    p, z = out * y.cos(), out.sin()
    return -0.5 * (p * z.detach()).mean() - 0.5 * (z * p.detach()).mean()


def decayed(t: Any, out: Any, y: Any, w: Weights) -> Any:
    return ((out - y) ** 2).sum() + 0.1 * sum([(each**2).sum() for each in w])


def scaled(t: Any, out: Any, y: Any, w: Weights) -> Any:
    loss = ((out - y) ** 2).mean()
    return loss / (1e-3 + loss.detach())


def hooked(t: Any, out: Any, y: Any, w: Weights) -> Any:
    h = out * 1.5
    if h.requires_grad:
        h.register_hook(lambda g: 2 * g)
    return (h - y).pow(2).sum()


def clipped(t: Any, out: Any, y: Any, w: Weights) -> Any:
    h = out * 1.5
    if h.requires_grad:
        h.register_hook(lambda g: g.clamp(-0.3, 0.3))
    return (h - y).pow(2).sum()


Loss = Callable[[Any, Any, Any, Weights], Any]
LOSSES: tuple[Loss, ...] = (
    squares,
    logistic,
    masked,
    indexed,
    huber,
    reinforced,
    targeted,
    contrastive,
    decayed,
    scaled,
    hooked,
    clipped,
)


# ------------------------------------------------------------------------------------------------- objectives
# The program differentiates the loss, or something made of its gradients.

Objective = Callable[[Any, Weights, Callable[[Weights], Any]], Any]


def plain(t: Any, w: Weights, loss: Any) -> Any:
    return loss(w)


def penalised(t: Any, w: Weights, loss: Any) -> Any:
    value = loss(w)
    gradients = t.autograd.grad(value, w, create_graph=True, allow_unused=True)
    return value + 0.1 * sum([(g**2).sum() for g in gradients if g is not None])


def inner_loop(t: Any, w: Weights, loss: Any) -> Any:
    return _adapted(t, w, loss, create_graph=True)


def first_order_inner_loop(t: Any, w: Weights, loss: Any) -> Any:
    return _adapted(t, w, loss, create_graph=False)


def _adapted(t: Any, w: Weights, loss: Any, create_graph: bool) -> Any:
    fast = [each * 1 for each in w]
    for _ in range(2):
        gradients = t.autograd.grad(loss(fast), fast, create_graph=create_graph, allow_unused=True)
        fast = [
            each if g is None else each - 0.1 * g for each, g in zip(fast, gradients, strict=True)
        ]
    return loss(fast)


def newton(t: Any, w: Weights, loss: Any) -> Any:
    (g,) = t.autograd.grad(loss(w), w[:1], create_graph=True)
    (h,) = t.autograd.grad(g.sum(), w[:1], create_graph=True, allow_unused=True)
    h = t.zeros_like(g) if h is None else h
    return ((w[0] - g / (h.abs() + 1)) ** 2).sum()


def averaged(t: Any, w: Weights, loss: Any) -> Any:
    with t.no_grad():
        mean = [0.9 * each for each in w]
        for m, each in zip(mean, w, strict=True):
            m.mul_(0.5).add_(each, alpha=0.5)
    return loss(w) + 0.1 * sum([((a - b) ** 2).sum() for a, b in zip(w, mean, strict=True)])


OBJECTIVES: tuple[Objective, ...] = (
    plain,
    plain,
    penalised,
    inner_loop,
    first_order_inner_loop,
    newton,
    averaged,
)


# ------------------------------------------------------------------------------------------------- training


class Program:
    """The program of a seed: what is differentiated, and how it is trained."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.model, self.loss = rng.choice(MODELS), rng.choice(LOSSES)
        self.objective = rng.choice(OBJECTIVES)
        self.update = rng.choice(sorted(UPDATES))
        self.steps = rng.randint(2, 4)
        self.batches = 1 if self.loss is indexed else rng.choice((1, 2))
        self.clip = rng.choice((None, "norm", "value"))
        self.average = rng.random() < 0.3
        self.clear = rng.choice(("none", "zero"))
        self.twice = rng.random() < 0.2
        whole = self.objective not in (
            plain,
            averaged,
        )  # others ask for the gradient of every weight
        self.frozen = None if whole else rng.choice((None, 1, 2))
        self.rate = rng.choice((0.05, 0.2))
        numbers = np.random.default_rng(seed)
        self.x = numbers.normal(size=(ROWS, COLUMNS))
        self.y = numbers.normal(size=ROWS)
        self.start = [0.7 * numbers.normal(size=shape) for shape in SHAPES]

    def __repr__(self) -> str:
        shown = {
            name: getattr(value, "__name__", value)
            for name, value in vars(self).items()
            if name not in ("x", "y", "start")
        }
        return ", ".join(f"{name} {value}" for name, value in shown.items())

    def moved(self, seed: int) -> "Program":
        """The program with each number that it starts from moved to one of its neighbours."""
        numbers = np.random.default_rng(seed)
        made = copy(self)
        made.x, made.y, *made.start = [
            np.nextafter(each, numbers.choice((-np.inf, np.inf), each.shape))
            for each in (self.x, self.y, *self.start)
        ]
        return made

    def value(self, t: Any, w: Weights, x: Any, y: Any) -> Any:
        """The number that is differentiated."""
        return _value(self.parts, t, w, x, y)

    @property
    def parts(self) -> tuple[Model, Loss, Objective]:
        """The functions that the number is made of."""
        return self.model, self.loss, self.objective

    @property
    def number(self) -> int:
        """The same number for programs of the same parts."""
        places = MODELS.index(self.model), LOSSES.index(self.loss), OBJECTIVES.index(self.objective)
        return places[0] + places[1] + places[2]

    def train(self, t: Any) -> list[Any]:
        """All that can be seen of the training."""
        seen = []
        w = [t.tensor(each, requires_grad=k != self.frozen) for k, each in enumerate(self.start)]
        trained = [each for each in w if each.requires_grad]
        buffers = [t.zeros_like(each) for each in trained]
        mean = [each.detach().clone() for each in trained]
        x, y = t.tensor(self.x), t.tensor(self.y)
        optimizer = UPDATES[self.update]
        made = None if optimizer is None else optimizer(t, trained, self.rate)
        for _ in range(self.steps):
            self._clear(trained)
            size = ROWS // self.batches
            for k in range(self.batches):
                part = slice(k * size, (k + 1) * size)
                loss = self.value(t, w, x[part], y[part])
                part_of_loss = loss / self.batches
                if self.twice:  # a part of the graph goes backward again
                    (0.5 * part_of_loss).backward(retain_graph=True)
                part_of_loss.backward()
                seen.append(loss.detach().numpy().copy())
            self._clip(t, trained)
            if self.update == "LBFGS":
                made.step(lambda: self._again(t, w, x, y, made))
            elif made is not None:
                made.step()
            else:
                self._step(t, trained, buffers)
            if self.average:
                with t.no_grad():
                    for m, each in zip(mean, trained, strict=True):
                        m.mul_(0.9).add_(each, alpha=0.1)
        gradients = [None if each.grad is None else each.grad for each in trained]
        last = [*trained, *buffers, *mean, *gradients]
        return seen + [None if each is None else each.detach().numpy().copy() for each in last]

    def _again(self, t: Any, w: Weights, x: Any, y: Any, optimizer: Any) -> Any:
        """The closure of a step: the loss of all rows and its gradients."""
        optimizer.zero_grad()
        loss = self.value(t, w, x, y)
        loss.backward()
        return loss

    def _clear(self, trained: Weights) -> None:
        for each in trained:
            if self.clear == "none":
                each.grad = None
            elif each.grad is not None:
                each.grad.zero_()

    def _clip(self, t: Any, trained: Weights) -> None:
        gradients = [each.grad for each in trained if each.grad is not None]
        if self.clip == "norm":
            total = t.stack([(g.detach() ** 2).sum() for g in gradients]).sum().sqrt()
            factor = (1.0 / (total + 1e-6)).clamp(max=1.0)
            for g in gradients:
                g.mul_(factor)
        elif self.clip == "value":
            for g in gradients:
                g.clamp_(-0.5, 0.5)

    def _step(self, t: Any, trained: Weights, buffers: Weights) -> None:
        for each, buffer in zip(trained, buffers, strict=True):
            if each.grad is None:
                continue
            if self.update == "data":
                each.data -= self.rate * each.grad
            elif self.update == "data.add_":
                each.data.add_(each.grad, alpha=-self.rate)
            elif self.update == "NumPy":
                weights = each.detach().numpy()  # the tensor's own memory
                weights -= self.rate * each.grad.numpy()
            elif self.update == "from_numpy":
                weights = each.detach().numpy() - self.rate * each.grad.numpy()
                each.data = t.from_numpy(weights)
            elif self.update == "views":
                with t.no_grad():
                    each[:2] -= self.rate * each.grad[:2]
                    each.view(-1)[-1].sub_(self.rate * each.grad.view(-1)[-1])
            elif self.update == "momentum":
                with t.no_grad():
                    buffer.mul_(0.9).add_(each.grad)
                    each -= self.rate * buffer
            elif self.update == "nesterov":
                with t.no_grad():
                    buffer.mul_(0.9).add_(each.grad)
                    each.add_(each.grad + 0.9 * buffer, alpha=-self.rate)
            elif self.update == "root mean square":
                with t.no_grad():
                    buffer.mul_(0.9).addcmul_(each.grad, each.grad, value=0.1)
                    each.addcdiv_(each.grad, buffer.sqrt() + 1e-3, value=-self.rate)
            else:
                with t.no_grad():
                    each.copy_(each - self.rate * each.grad)


def _value(parts: tuple[Model, Loss, Objective], t: Any, w: Weights, x: Any, y: Any) -> Any:
    model, loss, objective = parts
    return objective(t, w, lambda v: loss(t, model(t, v, x), y, v))


UPDATES: dict[str, Any] = {
    "data": None,
    "data.add_": None,
    "momentum": None,
    "nesterov": None,
    "NumPy": None,
    "from_numpy": None,
    "views": None,
    "copy_": None,
    "SGD": lambda t, w, rate: t.optim.SGD(w, lr=rate),
    "SGD with momentum": lambda t, w, rate: t.optim.SGD(w, lr=rate, momentum=0.9, weight_decay=0.1),
    "Adam": lambda t, w, rate: t.optim.Adam(w, lr=rate),
    "LBFGS": lambda t, w, rate: t.optim.LBFGS(w, lr=rate, max_iter=2),
}


# ------------------------------------------------------------------------------------------------- comparing


# Programs whose numbers rounding decides, also in PyTorch.
undecided: set[int] = set()
# PyTorch runs so often with inputs moved by one unit in the last place. A difference of so many times the largest change
# may come of rounding: each op of a program rounds.
MOVES, ROUNDINGS = 8, 10
# A training with a number this large diverges: one with an inner loop went from 6e4 to 4e21 in a step, and beyond the largest
# number in the next. Which of infinity and NaN comes of it follows from the order of operations.
DIVERGING = 1e15
Numbers = list[Any]


def difference(seed: int, mode: str, times: int = 1) -> str | None:
    """How the program of a seed differs between PyTorch and the shim, or through `pure`; None where it does not."""
    theirs = pytest.importorskip("torch")
    program = Program(seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = program.train(theirs)
        with engine_mode(mode):
            for _ in range(times):
                found = _decided(
                    program, program.train(ours), expected, lambda moved: moved.train(theirs)
                )
                if found is not None:
                    return f"trained, {found} ({program!r})"
            found = _transformed(program, theirs)
    return None if found is None else f"{found} ({program!r})"


def _decided(
    program: Program, mine: Numbers, expected: Numbers, run: Callable[[Program], Numbers]
) -> str | None:
    """The first difference that is not decided by rounding; `run` gives PyTorch's numbers for another start."""
    pairs = list(zip(mine, expected, strict=True))
    position = next((k for k, pair in enumerate(pairs) if not _same(*pair)), None)
    if position is None:
        return None
    a, b = pairs[position]
    moves = []
    for k in range(MOVES):
        with rounded_otherwise(k):
            moves.append(run(program.moved(k))[position])
    if _of_rounding(a, b, moves) or _overflowing(a, b, expected[:position]):
        undecided.add(program.seed)
        return None
    return f"item {position}: {a!r} is not {b!r}"


@cache
def _rounding_otherwise() -> Any:
    """A mode of PyTorch in which functions that libraries round in their own ways give a neighbour of their result."""
    theirs = pytest.importorskip("torch")
    names = ("tanh", "sigmoid", "exp", "log", "log1p", "sin", "cos", "gelu", "softplus", "_softmax")
    rounded = {getattr(theirs.ops.aten, name).default for name in names}
    dispatching = pytest.importorskip("torch.utils._python_dispatch")

    class Rounding(dispatching.TorchDispatchMode):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.numbers = np.random.default_rng(seed)

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            if func not in rounded:
                return made
            towards = self.numbers.choice((-np.inf, np.inf), tuple(made.shape))
            return theirs.nextafter(made, theirs.tensor(towards, dtype=made.dtype))

    return Rounding


def rounded_otherwise(seed: int) -> Any:
    """Inside the block PyTorch rounds otherwise: `tanh` near one, say, has a derivative that the last place decides."""
    return _rounding_otherwise()(seed)


def _same(mine: Any, expected: Any) -> bool:
    if expected is None:
        return mine is None or not np.any(mine)
    mine = np.zeros_like(expected) if mine is None else np.asarray(mine)
    if (
        not expected.any()
    ):  # PyTorch has no such gradient; here it is zero, times NaN if the loss is
        mine = np.where(np.isnan(mine), 0, mine)
    return mine.shape == expected.shape and np.allclose(
        mine, expected, TOLERANCE, TOLERANCE, equal_nan=True
    )


def _of_rounding(mine: Any, expected: Any, moves: Numbers) -> bool:
    """Whether PyTorch's own number changes by as much where the inputs move by rounding."""
    if mine is None or expected is None or np.shape(mine) != expected.shape:
        return False
    if all(_same(each, expected) for each in moves):
        return False
    spread = np.max([np.abs(each - expected) for each in moves], 0)
    close = np.isclose(mine, expected, TOLERANCE, TOLERANCE, equal_nan=True)
    return bool(np.all(close | (np.abs(mine - expected) <= ROUNDINGS * spread)))


def _overflowing(mine: Any, expected: Any, before: Numbers) -> bool:
    """Whether both are beyond the largest number, in a training that diverges."""
    if mine is None or expected is None or np.shape(mine) != expected.shape:
        return False
    close = np.isclose(mine, expected, TOLERANCE, TOLERANCE, equal_nan=True)
    diverges = any(each is not None and np.any(np.abs(each) > DIVERGING) for each in before)
    return diverges and bool(np.all(close | ~(np.isfinite(mine) | np.isfinite(expected))))


def _taped(program: Program, t: Any, direction: list[np.ndarray]) -> tuple[list[Any], list[Any]]:
    """Value and gradients by PyTorch's tape, and the derivative of the gradients along a direction."""
    w = [t.tensor(each, requires_grad=True) for each in program.start]
    value = program.value(t, w, t.tensor(program.x), t.tensor(program.y))
    gradients = t.autograd.grad(value, w, create_graph=True, materialize_grads=True)
    along = sum([(g * t.tensor(d)).sum() for g, d in zip(gradients, direction, strict=True)])
    seconds = [None] * len(w)
    if along.requires_grad:
        seconds = t.autograd.grad(along, w, materialize_grads=True)
    numbers = [value.detach().numpy(), *[g.detach().numpy() for g in gradients]]
    return numbers, [
        np.zeros(each.shape) if s is None else s.detach().numpy()
        for s, each in zip(seconds, w, strict=True)
    ]


def _transformed(program: Program, theirs: Any) -> str | None:
    """The difference in the program's derivatives where JAX takes them."""
    numbers = np.random.default_rng(0)
    direction = [numbers.normal(size=each.shape) for each in program.start]

    def taped(program: Program) -> dict[str, Numbers]:
        first, second = _taped(program, theirs, direction)
        pairs = zip(first[1:], direction, strict=True)
        slope = np.asarray(sum([float((g * d).sum()) for g, d in pairs]))
        forward = {"jvp": [first[0], slope], "jvp of grad": [*first, slope, *second]}
        return dict.fromkeys(WAYS, first) | forward

    given = (program.start, direction, program.x, program.y)
    chosen = random.Random(program.seed)
    ways = ["grad", *[way for way, programs in EVERY.items() if not chosen.randrange(programs)]]
    expected = taped(program)
    with jax.enable_x64(True):
        for way in ways:
            if way in ("jvp", "jvp of grad") and program.loss is clipped:
                continue  # the hook is not linear, so there is no tangent
            mine = _found(way, program, given)
            found = _decided(program, mine, expected[way], lambda moved, way=way: taped(moved)[way])
            if found is not None:
                return f"{way}, {found}"
    return None


# Besides the way that each program goes, some go others: one in so many.
EVERY = {"jvp of grad": 4, "jvp": 6, "vmap of grad": 8, "at once": 32, "jit of grad": 128}
WAYS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "grad": lambda loss: lambda w, along: jax.value_and_grad(loss)(w),
    "at once": lambda loss: lambda w, along: jax.value_and_grad(loss)(w),
    "jit of grad": lambda loss: lambda w, along: jax.jit(jax.value_and_grad(loss))(w),
    "jvp": lambda loss: lambda w, along: jax.jvp(loss, (w,), (along,)),
    "jvp of grad": lambda loss: lambda w, along: jax.jvp(jax.value_and_grad(loss), (w,), (along,)),
    "vmap of grad": lambda loss: (
        lambda w, along: jax.tree.map(
            lambda each: each[1],
            jax.vmap(jax.value_and_grad(loss))([jax.numpy.stack([each, each]) for each in w]),
        )
    ),
}


def _found(way: str, program: Program, given: tuple[Any, ...]) -> list[np.ndarray]:
    """The derivatives that JAX takes of a program."""
    if way in ("at once", "jit of grad"):
        return _flat(_derivative(way, program.parts)(*given))
    run = _traced(way, program.parts, tuple([np.shape(each) for each in given[2:]]))
    with np.errstate(all="ignore"):
        return [np.asarray(each) for each in run(*jax.tree.leaves(given))]


@cache
def _traced(
    way: str, parts: tuple[Any, ...], sizes: tuple[tuple[int, ...], ...]
) -> Callable[..., Any]:
    """Programs of the same parts have one trace. It runs as NumPy's calls, since XLA would compile for seconds."""
    weights, data = [np.zeros(size) for size in SHAPES], [np.zeros(size) for size in sizes]
    closed = jax.make_jaxpr(_derivative(way, parts))(weights, weights, *data)
    return numpy_kernel(closed) or jax.jit(
        lambda *arrays: jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *arrays)
    )


@rule("funcgrad_tangent")
def _(source: Any, equation: Any) -> None:
    given = [each.aval for each in equation.invars]
    source.inline(equation, jax.make_jaxpr(equation.params["of"].push)(*given))


def _derivative(way: str, parts: tuple[Any, ...]) -> Callable[..., Any]:
    pure = funcgrad.pure(lambda w, x, y: _value(parts, ours, w, x, y), requires_grad=0)
    return lambda w, along, x, y: WAYS[way](lambda v: pure(v, x, y))(w, along)


def _flat(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
