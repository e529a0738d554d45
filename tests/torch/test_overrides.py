"""A class with `__torch_function__`, a subclass of `Tensor` and a mode answer the calls that they answer in PyTorch."""

import copy
import io
import pickle
from importlib import import_module

import pytest

import funcgrad.torch as ours
from tests.both_sides import assert_same, theirs


def functional(torch):
    return import_module(f"{torch.__name__}.nn.functional")


def overrides(torch):
    return import_module(f"{torch.__name__}.overrides")


# ------------------------------------------------------------------------------------------------- subclasses

# Expressions of a subclass's tensor `m` and a plain one `p`, both 2x2.
RESULTS = [
    *("m + 1", "1 + m", "1 - m", "p + m", "m / 2", "1 / m", "m ** 2", "2 ** m", "m // 2", "m % 2"),
    *("m @ m", "p @ m", "-m", "m == m", "m > 1", "m[0]", "m[:, 1]", "m.T", "m.mT", "m.data", "m.clone()", "m.detach()"),
    *("m.sum()", "torch.sum(m)", "torch.mean(m, 0)", "torch.max(m, 1)", "m.max(1)", "m.topk(1)", "m.sort()"),
    *("torch.stack([m, p])", "torch.cat([p, m])", "torch.where(m > 0, m, p)", "torch.einsum('ij,jk->ik', m, m)"),
    *("F.relu(m)", "F.linear(p, m)", "F.mse_loss(m, p)", "F.softmax(m, 1)", "F.cross_entropy(m, torch.tensor([0, 1]))"),
    *("torch.zeros_like(m)", "m.new_zeros(2)", "m.to(torch.float64)", "m.double()", "m.reshape(-1)", "m.split(1)"),
    *("torch.linalg.inv(m)", "torch.linalg.norm(m)", "torch.fft.fft(m)", "torch.norm(m)", "torch.unique(m)", "m.chunk(2)"),
    *("torch.exp(m)", "m.exp_()", "torch.add(p, p, out=m)", "m.requires_grad_()", "torch.clamp(m, 0, 1)", "torch.rand_like(m)"),
    *("m.shape", "m.size()", "m.dtype", "m.ndim", "len(m)", "m.numel()", "m.tolist()", "m.sum().item()", "bool(m.sum())"),
    *("torch.equal(m, m)", "torch.allclose(m, m)", "torch.is_tensor(m)", "torch.tensor(1.0)", "isinstance(m[0], Plain)"),
    *("torch.meshgrid(m[0], m[1], indexing='ij')", "torch.broadcast_tensors(m, p)", "torch.unbind(m)", "repr(m * 2)"),
]  # fmt: skip


def kind(torch, found):
    if isinstance(found, (tuple, list)) and not isinstance(found, torch.Size):
        return type(found).__name__, [kind(torch, each) for each in found]
    return type(found).__name__, str(found)


@pytest.mark.parametrize("expression", RESULTS)
def test_results_are_of_the_subclass(expression):
    def program(torch, see):
        class Plain(torch.Tensor):
            pass

        torch.manual_seed(0)
        m, p = Plain([[1.0, 2.0], [4.0, 3.0]]), torch.ones(2, 2)
        made = eval(expression, {"torch": torch, "F": functional(torch), "m": m, "p": p, "Plain": Plain})  # fmt: skip
        see(kind(torch, made))

    assert_same(program)


def a_subclass_sees_its_calls(torch, see):
    calls = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is not torch.Tensor.__repr__:
                calls.append((func.__name__, [each.__name__ for each in types], len(args)))
            return super().__torch_function__(func, types, args, kwargs or {})

    m = Logged([[1.0, 2.0], [4.0, 3.0]])
    calls.clear()
    (
        m + 1,
        2 * m,
        m @ m,
        -m,
        m[0],
        m.T,
        m.exp(),
        torch.exp(m),
        torch.stack([m, m]),
    )
    m.add_(1)
    m[0] = 1.0
    functional(torch).relu(m)
    see(calls, repr(m * 2))


def a_subclass_answers_in_its_own_way(torch, see):
    class Tripled(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is torch.add or func is torch.Tensor.add:
                return "added"
            if func == torch.Tensor.shape.__get__:
                return "a shape"
            return super().__torch_function__(func, types, args, kwargs or {})

    m = Tripled([1.0])
    see(torch.add(m, 1), m + 1, 1 + m, m.add(1), torch.add(torch.ones(1), m), m.shape, m * 2)


def attributes_and_methods_of_a_subclass(torch, see):
    class Quantity(torch.Tensor):
        def __new__(cls, data, unit):
            return torch.as_tensor(data).as_subclass(cls)

        def __init__(self, data, unit):
            self.unit = unit

        def doubled(self):
            return self * 2

        def __add__(self, other):
            return super().__add__(other) * 10

    q = Quantity([1.0, 2.0], "m")
    see(q.unit, hasattr(q * 2, "unit"), repr(q + 1), type(q.doubled()).__name__, repr(q))
    w = torch.ones(2, requires_grad=True)
    (w.as_subclass(Quantity) * torch.tensor([1.0, 2.0])).sum().backward()
    see(w.grad)


def a_subclass_trains(torch, see):
    class Mine(torch.Tensor):
        pass

    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss = functional(torch).mse_loss(layer(Mine([[1.0, 2.0]])), torch.ones(1, 1))
        loss.backward()
        optimizer.step()
    see(type(loss).__name__, loss.item(), type(layer.weight.grad).__name__, layer.weight.detach())


def subclasses_of_two_kinds(torch, see):
    class One(torch.Tensor):
        pass

    class Narrow(One):
        pass

    class Other(torch.Tensor):
        pass

    see(type(One([0]) + Narrow([1])).__name__, type(Narrow([0]) + One([1])).__name__)
    try:
        torch.add(One([0]), Other([1]))
    except TypeError as error:
        see(str(error).splitlines()[0])


def copies_keep_the_class(torch, see):
    for made in (pickle.loads(pickle.dumps(marked(torch))), copy.copy(marked(torch))):
        see(type(made).__name__, made.tag, made.requires_grad, made)
    parameter = torch.nn.Parameter(torch.ones(2))
    twin = copy.copy(parameter)
    twin.data.add_(1)
    see(type(twin).__name__, twin.is_leaf, parameter)


def saved_tensors_keep_class_and_attributes(torch, see):
    plain = torch.ones(2)
    plain.tag = "plain"
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.tag = "parameter"
    for thing in (marked(torch), plain, parameter):
        file = io.BytesIO()
        torch.save(thing, file)
        file.seek(0)
        made = torch.load(file, weights_only=False)
        see(type(made).__name__, made.tag, made.requires_grad, made)


class Ours:
    class Marked(ours.Tensor):
        pass


class Theirs:
    class Marked(theirs.Tensor):
        pass


def marked(torch):
    made = (Ours if torch is ours else Theirs).Marked([1.0, 2.0])
    made.tag = "mine"
    return made


# ------------------------------------------------------------------------------------------------- other classes


def a_class_that_is_no_tensor_answers(torch, see):
    handled = {}

    class Diagonal:
        def __init__(self, size, value):
            self.size, self.value = size, value

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func not in handled or not all(
                issubclass(t, (torch.Tensor, Diagonal)) for t in types
            ):
                return NotImplemented
            return handled[func](*args, **(kwargs or {}))

    handled[torch.mean] = lambda x: x.value / x.size
    handled[torch.add] = lambda x, y: "added"
    handled[torch.stack] = lambda x, dim=0: f"stacked along {dim}"
    handled[functional(torch).relu] = lambda x, inplace=False: "relu"
    d = Diagonal(5, 2)
    see(
        torch.mean(d),
        torch.add(d, d),
        torch.add(torch.ones(2), d),
        torch.add(d, 1),
        torch.stack([d, d], dim=1),
    )
    see(functional(torch).relu(d))
    for call in (lambda: torch.mul(d, 3), lambda: torch.exp(d), lambda: torch.sum(d)):
        try:
            call()
        except TypeError as error:
            see(str(error).splitlines()[0])


def a_wrapper_of_a_tensor(torch, see):
    class Described:
        def __init__(self, data, owner):
            self.data, self.owner = torch.as_tensor(data), owner

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            owner = next(each.owner for each in args if hasattr(each, "owner"))
            args = [
                getattr(each, "data", each) if isinstance(each, Described) else each
                for each in args
            ]
            return cls(func(*args, **(kwargs or {})), owner)

    m, t = Described([[1.0, 2.0]], "Ann"), torch.ones(1, 2)
    for made in (
        torch.add(m, t),
        torch.mul(t, m),
        torch.matmul(m, t.t()),
        functional(torch).relu(m),
        t + m,
    ):
        see(made.owner, made.data)


# ------------------------------------------------------------------------------------------------- modes


def a_mode_sees_every_call(torch, see):
    lines = []

    class Logged(overrides(torch).TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            lines.append(overrides(torch).resolve_name(func))
            return func(*args, **(kwargs or {}))

    with Logged():
        x = torch.ones(3)
        y = (x * 2).sum()
        torch.stack([x, x]), torch.tensor([1.0]), torch.linspace(0, 1, 3), functional(torch).relu(x)
        torch.is_tensor(y), torch.get_default_dtype(), torch.manual_seed(0)
        x.shape  # noqa: B018
    torch.ones(2)
    see(lines)


def modes_nest_and_answer(torch, see):
    class Adding(overrides(torch).TorchFunctionMode):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def __torch_function__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            return made + self.number if func is torch.ones else made

    with Adding(1):
        see(torch.ones(1))
        with Adding(10):
            see(torch.ones(1), torch.zeros(1))
        try:
            with Adding(100):
                raise KeyError
        except KeyError:
            see(torch.ones(1))
    see(torch.ones(1))


# ------------------------------------------------------------------------------------------------- functions of one's own


def a_function_that_can_be_overridden(torch, see):
    library = overrides(torch)

    class Named(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return f"{func.__name__} of {len(args)}"

    class Plain(torch.Tensor):
        pass

    @library.wrap_torch_function(lambda a, b=None: (a, b))
    def wrapped(a, b=None):
        return "by hand"

    def asked(a):
        if library.has_torch_function((a,)):
            return library.handle_torch_function(asked, (a,), a)
        return "by hand"

    see(
        wrapped(torch.ones(1)),
        wrapped(torch.ones(1), Named(1)),
        asked(Named(1)),
        asked(torch.ones(1)),
        asked(Plain(1)),
    )
    see([library.is_tensor_like(each) for each in (torch.ones(1), Named(1), 6, None)])
    see(
        [
            library.has_torch_function([each])
            for each in (torch.ones(1), Named(1), torch.nn.Parameter(torch.ones(1)), 6)
        ]
    )
    see(
        [
            library.is_tensor_method_or_property(each)
            for each in (torch.Tensor.add, torch.add, torch.Tensor.T.__get__)
        ]
    )
    see(
        [
            library.resolve_name(each)
            for each in (torch.Tensor.add, torch.add, torch.Tensor.T.__get__, asked)
        ]
    )


PROGRAMS = [
    a_subclass_sees_its_calls,
    a_subclass_answers_in_its_own_way,
    attributes_and_methods_of_a_subclass,
    a_subclass_trains,
    subclasses_of_two_kinds,
    copies_keep_the_class,
    saved_tensors_keep_class_and_attributes,
    a_class_that_is_no_tensor_answers,
    a_wrapper_of_a_tensor,
    a_mode_sees_every_call,
    modes_nest_and_answer,
    a_function_that_can_be_overridden,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program(program):
    assert_same(program)
