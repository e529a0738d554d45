"""Programs for both sides: how one is written down, and what can be seen of it when it runs.

A program is a list of instructions, each a pair (kind, number). The number chooses, digit by digit, the tensors and
options that the instruction takes from those there are, so every list of pairs is a program, and whatever shrinks the
list or the numbers gives a simpler one.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

Program = Sequence[tuple[int, int]]

UNARY = ("sin", "cos", "tanh", "sigmoid", "relu", "neg", "square", "exp2", "abs", "clone", "log1p")
BINARY = ("add", "sub", "mul", "div")
REDUCTIONS = ("sum", "mean", "logsumexp")
NUMBERS = (0.5, -1.5, 2, -0.0)
MOST_TENSORS = 40


class Digits:
    """A number read digit by digit, each digit in the base asked for."""

    def __init__(self, number: int) -> None:
        self.left = number

    def below(self, bound: int) -> int:
        """The next digit."""
        self.left, digit = divmod(self.left, bound)
        return digit

    def of(self, options: Sequence[Any]) -> Any:
        """One of these, by the next digit."""
        return options[self.below(len(options))]


def _root(tensor: Any) -> Any:
    return tensor if tensor._base is None else tensor._base


class Machine:
    """One side of a run: the module, the tensors made so far, and what was seen."""

    def __init__(self, torch: Any, start: Sequence[np.ndarray]) -> None:
        self.torch = torch
        first, second, third, plain = start
        self.tensors = [
            torch.tensor(first, requires_grad=True),
            torch.tensor(second, requires_grad=True),
            torch.tensor(third, requires_grad=True),
            torch.tensor(plain),
        ]
        self.tensors.append(self.tensors[0] * 1)
        self.leaves = self.tensors[:3]
        self.handles: list[Any] = []
        # While set, hooks do nothing: of some ops PyTorch saves the result, and then a gradient of a gradient comes to
        # the result's hooks, where here it comes to the argument's.
        self.quiet = False
        # Whether an op was called whose derivative PyTorch takes from argument and result.
        self.saves_both = False
        # Whether a tensor was detached in place: the derivative of `tanh`, say, saves the argument again here.
        self.detaches = False
        # Known differences that came up.
        self.differing: dict[str, bool] = {}
        self.seen: list[Any] = []

    def _index(self, digits: Digits) -> int:
        """Which tensor: mostly one of the last few, since what happened to them is of interest."""
        among = len(self.tensors) if digits.below(3) == 0 else min(6, len(self.tensors))
        return len(self.tensors) - 1 - digits.below(among)

    def at(self, digits: Digits) -> Any:
        """A tensor."""
        return self._checked(self._index(digits))

    def _checked(self, index: int) -> Any:
        """A tensor, asked for its node first, since a view may be one that must not be used any more.

        Otherwise it says so when an op comes to it, which need not be at the same point on both sides.
        """
        found = self.tensors[index]
        found.grad_fn  # noqa: B018
        return found

    def target(self, digits: Digits) -> Any:
        """A tensor to be written: mostly no leaf that requires grad."""
        index = self._index(digits)
        if index < 3 and digits.below(8):
            index = 4
        return self.written(self._checked(index))

    def written(self, target: Any) -> Any:
        """A tensor that is written, noted where several of its elements are one place."""
        lengths = zip(target.shape, target.stride(), strict=True)
        if any(length > 1 and not step for length, step in lengths):
            self.differing["an expanded tensor is written"] = True
            self.differing["an expanded tensor is written by indices"] = True
        return target

    def root(self, digits: Digits) -> Any:
        """A tensor to walk back from: mostly one that has a graph."""
        found = self.at(digits)
        if not found.requires_grad and digits.below(8):
            graphs = [tensor for tensor in self.tensors if tensor.requires_grad]
            found = graphs[-1 - digits.below(min(4, len(graphs)))] if graphs else found
            found.grad_fn  # noqa: B018
        return found

    def beside(self, target: Any, operand: Any, reordered: bool = False) -> Any:
        """An operand of a write, noted where it lies in the target's memory in another order."""
        reordered = reordered or target.stride() != operand.stride()
        together = _root(target) is _root(operand)
        repeated = together and target.shape != operand.shape
        shifted = together and target.storage_offset() != operand.storage_offset()
        if repeated or shifted or (reordered and target.data_ptr() == operand.data_ptr()):
            self.differing["an operand overlaps what is written"] = True
        return operand

    def positive(self, x: Any) -> Any:
        """Where a tensor is positive, noted where rounding may decide, or NaN that a gradient of a gradient left."""
        elements = x.detach()
        if self.torch.__name__ == "torch" and not bool((elements.abs() >= 1e-12).all()):
            self.differing["rounding decides what is positive"] = True
        return elements > 0

    def see(self, *things: Any) -> None:
        """Note what both sides have to agree on."""
        self.seen.extend(things)

    def hear(self, where: str, number: int, gradients: Sequence[Any]) -> None:
        """Note that a hook was called with gradients; where all are zero the other side may have none."""
        arrays = [none_for_zero(gradient) for gradient in gradients]
        if not self.quiet and any(array is not None for array in arrays):
            self.see(where, number, arrays)


def none_for_zero(gradient: Any) -> np.ndarray | None:
    """The elements; None where all are zero, but for rounding."""
    array = None if gradient is None else (gradient.detach() + 0).numpy()
    return None if array is None or np.all(np.abs(array) < 1e-9) else array


# -- the instructions: each takes the machine and the digits, and returns the tensor it made, if it made one -----------

Instruction = Callable[[Machine, Digits], Any]


def unary(m: Machine, d: Digits) -> Any:
    return getattr(m.torch, d.of(UNARY))(m.at(d))


def binary(m: Machine, d: Digits) -> Any:
    return getattr(m.torch, d.of(BINARY))(m.at(d), m.at(d))


def with_number(m: Machine, d: Digits) -> Any:
    return getattr(m.torch, d.of(BINARY))(m.at(d), d.of(NUMBERS))


def power(m: Machine, d: Digits) -> Any:
    return m.at(d) ** d.of((2, 3, -1, 1.5))


def product(m: Machine, d: Digits) -> Any:
    left, right = m.at(d), m.at(d)
    if left.dim() > 2 or right.dim() > 2:
        return None  # PyTorch decides by strides and flags which nodes, views even, such a product leaves behind
    return left @ (right.t() if d.below(2) else right)


def reduction(m: Machine, d: Digits) -> Any:
    name, x, dim = d.of(REDUCTIONS), m.at(d), d.of((None, 0, -1, 1))
    function = getattr(m.torch, name)
    m.saves_both |= name == "logsumexp"
    if dim is None:
        return function(x, 0) if name == "logsumexp" else function(x)
    return function(x, dim, keepdim=d.of((False, True)))


def detach(m: Machine, d: Digits) -> Any:
    m.differing["a tensor was detached"] = True
    return m.at(d).detach()


def no_grad(m: Machine, d: Digits) -> Any:
    with d.of((m.torch.no_grad, m.torch.enable_grad))():
        return noted_view(m, d.of(PLAIN)(m, d))


def in_place(m: Machine, d: Digits) -> Any:
    x = m.target(d)
    match d.below(6):
        case 0 | 1:
            getattr(x, d.of(("add_", "mul_", "sub_", "div_")))(m.beside(x, m.at(d)))
        case 2:
            getattr(x, d.of(("add_", "mul_")))(d.of(NUMBERS))
        case 3:
            if x._is_view():
                m.differing["a result is written to a view"] = True
            getattr(x, d.of(("sin_", "exp2_", "tanh_", "relu_", "neg_")))()
        case 4:
            d.of((lambda: x.zero_(), lambda: x.fill_(2.0)))()
        case _:
            x.copy_(m.beside(x, m.at(d)))


def no_grad_in_place(m: Machine, d: Digits) -> Any:
    with m.torch.no_grad():
        return in_place(m, d)


def data(m: Machine, d: Digits) -> Any:
    # Not a result: PyTorch takes some derivatives from results as they are now, and so says the page of known differences.
    if m.saves_both:
        return
    target = m.tensors[d.below(4)]
    if target.grad_fn is not None:
        m.differing["a result may be written through .data"] = True
    target.data.mul_(m.at(d).detach().mean())


def look(m: Machine, d: Digits) -> Any:
    m.see(m.at(d).detach().numpy().copy())


def branch(m: Machine, d: Digits) -> Any:
    return m.at(d) * 2 if m.at(d).detach().sum() > 0.123 else m.at(d) * 3


def backward(m: Machine, d: Digits) -> Any:
    root, retain = m.root(d), d.of((True, True, True, False))
    if d.below(4) == 0:
        root.sum().backward(inputs=[m.leaves[d.below(3)]], retain_graph=retain)
    else:
        root.sum().backward(retain_graph=retain)


def gradient(m: Machine, d: Digits) -> Any:
    """A gradient, or a gradient of one, and so on: without a graph, since those of gradients differ."""
    y, to, levels = m.root(d), m.root(d) if d.below(4) == 0 else m.leaves[d.below(3)], d.below(3)
    if m.detaches or any(tensor.retains_grad for tensor in m.tensors):
        levels = 0
    m.quiet = levels > 0
    if levels:
        m.differing["a gradient of a gradient"] = True
    try:
        return derivative(m, y, to, levels)
    finally:
        m.quiet = False


def derivative(m: Machine, y: Any, to: Any, levels: int) -> Any:
    for level in range(levels + 1):
        (made,) = m.torch.autograd.grad(
            y.sum(), to, create_graph=level < levels, allow_unused=True, retain_graph=True
        )
        if made is None or (level < levels and not made.requires_grad):
            # Where it does not depend on `to`, PyTorch has no gradient, and here it is zero.
            return m.torch.zeros_like(to)
        y = made * made
    # A gradient's strides are known to differ.
    return made.detach().clone().contiguous()


def clear(m: Machine, d: Digits) -> Any:
    m.leaves[d.below(3)].grad = None


def requires_grad(m: Machine, d: Digits) -> Any:
    m.at(d).requires_grad_(d.of((True, False)))


def retain_grad(m: Machine, d: Digits) -> Any:
    x = m.root(d)
    x.retain_grad()
    m.see(x.retains_grad)


def tensor_hook(m: Machine, d: Digits) -> Any:
    replaces, number = d.of((True, False)), len(m.handles)

    def hook(gradient: Any) -> Any:
        m.hear("hook", number, [gradient])
        return gradient * 2 if replaces and not m.quiet else None

    x = m.root(d)
    x.grad_fn  # noqa: B018 - PyTorch crashes in `register_hook` where this raises
    if x._is_view() and x.is_leaf:
        return  # such a view requires grad for its base's sake; PyTorch keeps the hook for when it does for its own
    m.handles.append(x.register_hook(hook))


def node_hook(m: Machine, d: Digits) -> Any:
    node, before, number = m.root(d).grad_fn, d.of((True, False)), len(m.handles)
    if node is None:
        return

    def prehook(outputs: Any) -> Any:
        m.hear("before", number, outputs)
        if m.quiet:
            return None
        return tuple(None if g is None else g * 3 for g in outputs)

    def posthook(inputs: Any, outputs: Any) -> Any:
        m.hear("after", number, outputs)

    m.handles.append(node.register_prehook(prehook) if before else node.register_hook(posthook))


def remove_hook(m: Machine, d: Digits) -> Any:
    if m.handles:
        d.of(m.handles).remove()


def packed(m: Machine, d: Digits) -> Any:
    hooks = m.torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda tensor: tensor.clone(), lambda tensor: tensor):
        return d.of(PLAIN)(m, d)


def custom_function(m: Machine, d: Digits) -> Any:
    return d.of(FUNCTIONS)(m.torch).apply(m.target(d))


def scaling(torch: Any) -> Any:
    class Scaling(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * 2 * x

    return Scaling


def saving_result(torch: Any) -> Any:
    class SavingResult(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            result = torch.tanh(x)
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, gradient):
            (result,) = ctx.saved_tensors
            return gradient * (1 - result * result)

    return SavingResult


def returning_argument(torch: Any) -> Any:
    class Returning(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 5

    return Returning


def writing_argument(torch: Any) -> Any:
    class Writing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    return Writing


FUNCTIONS = (scaling, saving_result, returning_argument, writing_argument)


def view(m: Machine, d: Digits) -> Any:
    kind = d.of(VIEWS)
    if kind is data_of:
        m.differing["a result may be written through .data"] = True
    return kind(m.at(d), d)


def data_of(x: Any, d: Digits) -> Any:
    return x.data


VIEWS: tuple[Callable[[Any, Digits], Any], ...] = (
    lambda x, d: x[d.of((0, 1, -1))],
    lambda x, d: x[d.of((slice(0, 2), slice(1, None), slice(None, None, 2), slice(None)))],
    lambda x, d: x[..., d.of((0, -1))],
    lambda x, d: x[:, d.of((0, 1))],
    lambda x, d: x[None],
    lambda x, d: x[..., d.of((slice(0, 2), slice(1, 3)))],
    lambda x, d: x.t(),
    lambda x, d: x.transpose(0, -1),
    lambda x, d: x.view(-1),
    lambda x, d: x.view(d.of(((3, 2), (2, 3), (6,), (1, 3), (3, 1)))),
    lambda x, d: x.reshape(d.of(((-1,), (3, -1), (2, -1)))),
    lambda x, d: x.flatten(),
    lambda x, d: x.squeeze(),
    lambda x, d: x.unsqueeze(d.of((0, -1))),
    lambda x, d: x.expand(d.of(((2, 3), (3, 3), (2, 1, 3)))),
    lambda x, d: x.narrow(0, d.of((0, 1)), 1),
    lambda x, d: x.diagonal(),
    lambda x, d: x.permute(d.of(((1, 0), (0, 1)))),
    lambda x, d: x.unbind()[0],
    lambda x, d: x.split(d.of((1, 2)))[0],
    lambda x, d: x.chunk(2)[0],
    lambda x, d: x.view_as(x),
    lambda x, d: x.contiguous(),
    data_of,
)


def indexed(m: Machine, d: Digits) -> Any:
    x = m.at(d)
    match d.below(4):
        case 0:
            return x[d.of(([0], [1, 0], [0, 0, -1]))]
        case 1:
            return x[m.positive(x)]
        case 2:
            return x[m.torch.tensor(d.of(([0], [1, 0])))]
        case _:
            return x * m.positive(x)


def assigned(m: Machine, d: Digits) -> Any:
    x = m.target(d) if d.below(4) else m.written(m.at(d))
    index = d.of((0, -1, slice(0, 2), slice(None, None, 2), (..., 0), [0], [1, 0], "mask"))
    if index == "mask":
        index = m.positive(x)
    match d.below(4):
        case 0:
            x[index] = d.of(NUMBERS)
        case 1 | 2:
            x[index] = m.beside(x, m.at(d), reordered=isinstance(index, list))
        case _:
            x[index] += d.of(NUMBERS)


def no_grad_view(m: Machine, d: Digits) -> Any:
    with m.torch.no_grad():
        return noted_view(m, view(m, d))


def noted_view(m: Machine, made: Any) -> Any:
    """The result, noted where it is a view that requires grad for its base's sake alone."""
    without_grad = made is not None and not m.torch.is_grad_enabled()
    if without_grad and made.requires_grad:
        m.differing["a view made without grad requires grad"] = True
    return made


def detached_in_place(m: Machine, d: Digits) -> Any:
    x = m.target(d)
    if (
        not x.retains_grad
    ):  # PyTorch fails an assertion of its own when such a tensor is written next
        x.detach_()
        m.detaches = True


# These may run within another instruction.
PLAIN: tuple[Instruction, ...] = (unary, binary, with_number, power, reduction, view)

INSTRUCTIONS: tuple[Instruction, ...] = (
    unary,
    binary,
    with_number,
    power,
    product,
    reduction,
    detach,
    no_grad,
    in_place,
    in_place,
    no_grad_in_place,
    data,
    look,
    branch,
    backward,
    backward,
    gradient,
    gradient,
    clear,
    requires_grad,
    retain_grad,
    tensor_hook,
    node_hook,
    remove_hook,
    packed,
    custom_function,
    view,
    view,
    view,
    indexed,
    assigned,
    assigned,
    no_grad_view,
    detached_in_place,
)

START = (
    np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -1.3]]),
    np.array([1.2, 0.4, -0.6]),
    np.array(0.8),
    np.array([[0.5, 1.5, 2.5], [-0.5, 0.25, 1.0]]),
)


def run(torch: Any, program: Program, start: Sequence[np.ndarray] = START) -> list[Any]:
    """Run a program on one side; all that can be seen of it."""
    return run_machine(torch, program, start).seen


def run_machine(torch: Any, program: Program, start: Sequence[np.ndarray] = START) -> Machine:
    """Run a program on one side."""
    machine = Machine(torch, start)
    seen, tensors = machine.seen, machine.tensors
    with ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for position, (kind, number) in enumerate(program):
            instruction = INSTRUCTIONS[kind]
            try:
                made = instruction(machine, Digits(number))
            except Exception as error:
                seen.append(
                    (position, instruction.__name__, type(error).__name__, gist(str(error)))
                )
                continue
            if made is not None:
                seen.append((position, instruction.__name__, *flags(made)))
                if len(tensors) < MOST_TENSORS and made.numel() <= 64:
                    tensors.append(made)
        if any(not tensor.numel() for tensor in tensors):
            machine.differing["there are no elements"] = True
        seen += [(index, *flags(tensor), tensor._version) for index, tensor in enumerate(tensors)]
        seen += [tensor.detach().numpy() for tensor in tensors]
        seen += [none_for_zero(tensor.grad) for tensor in tensors]
    return machine


def flags(tensor: Any) -> tuple[Any, ...]:
    """A tensor without its elements."""
    shape = tuple(tensor.shape)
    try:
        name = None if tensor.grad_fn is None else type(tensor.grad_fn).__name__
    except RuntimeError as error:
        return shape, gist(str(error))
    return shape, tensor.requires_grad, tensor.is_leaf, name, tensor._is_view()


def gist(message: str) -> str:
    """The content of a message: without known differences, and without its place in the source."""
    return message.split("\n")[0][:250]
