"""Grad modes, inference mode, anomaly mode and hooks on saved tensors: each program sees what it sees on PyTorch."""

import threading
import warnings

import pytest

import funcgrad.torch as ours
from tests.torch.side_by_side import assert_same


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


# -- grad modes -------------------------------------------------------------------------------------------------------


def modes_nest(torch, see):
    with torch.no_grad():
        see(torch.is_grad_enabled(), leaf(torch) * 2)
        with torch.enable_grad():
            see(torch.is_grad_enabled(), leaf(torch) * 2)
            with torch.set_grad_enabled(False):
                see(torch.is_grad_enabled())
            see(torch.is_grad_enabled())
        see(torch.is_grad_enabled())
    see(torch.is_grad_enabled())
    torch.set_grad_enabled(False)
    see(torch.is_grad_enabled())
    torch.set_grad_enabled(True)
    torch.set_grad_enabled("no")


def modes_end_with_an_error(torch, see):
    try:
        with torch.no_grad():
            raise ValueError("out")
    except ValueError:
        see(torch.is_grad_enabled())


def modes_decorate(torch, see):
    @torch.no_grad()
    def off():
        return torch.is_grad_enabled()

    @torch.no_grad
    def off_without_parentheses():
        return torch.is_grad_enabled()

    @torch.set_grad_enabled(False)
    def set_off():
        return torch.is_grad_enabled()

    @torch.inference_mode
    def inferring():
        return torch.is_inference_mode_enabled()

    @torch.inference_mode(False)
    def not_inferring():
        return torch.is_inference_mode_enabled()

    see(off(), off_without_parentheses(), set_off(), inferring(), not_inferring())
    see(torch.is_grad_enabled(), off.__name__)


def modes_decorate_generators(torch, see):
    @torch.no_grad()
    def numbers(start):
        try:
            see("inside", torch.is_grad_enabled())
            got = yield start
            see("sent", got, torch.is_grad_enabled())
            try:
                yield start + 1
            except ValueError as error:
                see("thrown", str(error), torch.is_grad_enabled())
            yield start + 2
            return "returned"
        finally:
            see("closing", torch.is_grad_enabled())

    body = numbers(5)
    see(next(body), torch.is_grad_enabled())
    see(body.send("hello"), torch.is_grad_enabled())
    see(body.throw(ValueError("oh")), torch.is_grad_enabled())
    try:
        next(body)
    except StopIteration as ended:
        see(ended.value, torch.is_grad_enabled())
    body = numbers(1)
    next(body)
    body.close()
    see(torch.is_grad_enabled(), list(numbers(7)))


# -- inference mode ---------------------------------------------------------------------------------------------------


def inference_tensor(torch):
    with torch.inference_mode():
        return torch.ones(2) * 3


def inference_mode_inside(torch, see):
    w = leaf(torch)
    with torch.inference_mode():
        see(torch.is_inference_mode_enabled(), torch.is_grad_enabled())
        x = torch.ones(2)
        x.add_(1)
        y = w * 2
        see(x, x.is_inference(), y, y.is_inference(), torch.is_inference(w))
        with torch.inference_mode(False):
            see(torch.is_inference_mode_enabled(), torch.is_grad_enabled(), (w * 2).is_inference())
    see(torch.is_inference_mode_enabled(), torch.is_grad_enabled())


def inference_tensors_outside(torch, see):
    x = inference_tensor(torch)
    see(x.is_inference(), (x + 1).is_inference(), x.clone().is_inference())
    y = leaf(torch) + x
    y.sum().backward()
    see(y)


PROGRAMS = [
    modes_nest,
    modes_end_with_an_error,
    modes_decorate,
    modes_decorate_generators,
    inference_mode_inside,
    inference_tensors_outside,
]

REFUSED = {
    "saved for backward": lambda torch, see: leaf(torch) * inference_tensor(torch),
    "written in place": lambda torch, see: inference_tensor(torch).add_(1),
    "asked to require grad": lambda torch, see: inference_tensor(torch).requires_grad_(),
    "asked for its version": lambda torch, see: inference_tensor(torch)._version,
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_modes_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", REFUSED.values(), ids=REFUSED)
def test_an_inference_tensor_is_refused_as_in_pytorch(program):
    assert_same(program)


def test_modes_are_those_of_a_thread():
    seen = []

    def look():
        seen.append(
            (ours.is_grad_enabled(), ours.is_inference_mode_enabled(), ours.ones(1).is_inference())
        )

    with ours.no_grad(), ours.inference_mode():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        look()
    assert seen == [(True, False, False), (False, True, True)]


# -- hooks on saved tensors -------------------------------------------------------------------------------------------


def packed_and_unpacked(torch, see):
    kept = []

    def pack(tensor):
        kept.append(tensor)
        see(torch.is_grad_enabled())
        return len(kept) - 1

    def unpack(number):
        see("unpack")
        return kept[number]

    x, y = leaf(torch), leaf(torch) * 3
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        z = x * y
        z = z.sum()
    z = z * 2
    see(sorted(kept, key=lambda tensor: tensor.sum().item()))
    z.backward()
    see(x.grad)


def packed_in_a_list_of_tensors(torch, see):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 10, lambda t: t):
        x = leaf(torch)
        y = (x * x).sum()
    y.backward()
    see(x.grad)


def hooks_nest(torch, see):
    hooks = torch.autograd.graph.saved_tensors_hooks
    x = leaf(torch)
    with hooks(lambda t: see("outer"), lambda _: x):
        with hooks(lambda t: see("inner"), lambda _: x):
            x * x
        x * x


def packed_custom_function(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0]

    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 5, lambda t: t):
        y = My.apply(x)
    y.sum().backward()
    see(x.grad)


def packed_and_changed_in_place(torch, see):
    x, y = leaf(torch), torch.ones(2)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        z = x * y
    y.mul_(2)
    z.sum().backward()
    see(x.grad)


def packed_gradients_of_gradients(torch, see):
    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        y = x * x * x
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    see(torch.autograd.grad(slope.sum(), x))


def saved_on_cpu(torch, see):
    x = leaf(torch)
    with torch.autograd.graph.save_on_cpu():
        y = (x * x * x).sum()
    y.backward()
    see(x.grad)


SAVED = [
    packed_and_unpacked,
    packed_in_a_list_of_tensors,
    hooks_nest,
    packed_custom_function,
    packed_and_changed_in_place,
    packed_gradients_of_gradients,
    saved_on_cpu,
]


def hooks_of(torch, pack, unpack=lambda packed: packed):
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        x = leaf(torch)
        y = x * x
    y.sum().backward()


def disabled(torch, inside):
    graph = torch.autograd.graph
    hooks, off = graph.saved_tensors_hooks, graph.disable_saved_tensors_hooks
    first, second = (off("no hooks"), hooks(id, id)) if inside else (hooks(id, id), off("no hooks"))
    with first, second:
        pass


REFUSED_HOOKS = {
    "unpacks a number": lambda torch, see: hooks_of(torch, lambda t: 3),
    "packs in place": lambda torch, see: hooks_of(torch, lambda t: t.mul_(2)),
    "disabled": lambda torch, see: disabled(torch, True),
    "disabled under hooks": lambda torch, see: disabled(torch, False),
}


@pytest.mark.parametrize("program", SAVED, ids=lambda program: program.__name__)
def test_hooks_on_saved_tensors_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", REFUSED_HOOKS.values(), ids=REFUSED_HOOKS)
def test_hooks_on_saved_tensors_are_refused_as_in_pytorch(program):
    assert_same(program)


# -- anomaly mode -----------------------------------------------------------------------------------------------------


def failing(torch):
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            raise ValueError("on the way back")

    return Failing


def nan_is_an_error(torch, see):
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        torch.sqrt(x).sum().backward()


def nan_is_no_error_where_not_asked(torch, see):
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with torch.autograd.detect_anomaly(check_nan=False):
        torch.sqrt(x).sum().backward()
    see(x.grad)


def forward_unknown(torch, see):
    y = failing(torch).apply(leaf(torch))
    with torch.autograd.set_detect_anomaly(True):
        y.sum().backward()


def forward_known(torch, see):
    with torch.autograd.set_detect_anomaly(True):
        y = failing(torch).apply(leaf(torch))
        y.sum().backward()


def changed_in_place(torch, see):
    with torch.autograd.set_detect_anomaly(True):
        x, y = leaf(torch), torch.ones(2)
        z = x * y
        y.add_(1)
        z.sum().backward()


def all_is_well(torch, see):
    with torch.autograd.set_detect_anomaly(True):
        x = leaf(torch)
        for _ in range(3):
            (x * x).sum().backward()
    see(x.grad)


ANOMALIES = [
    nan_is_an_error,
    nan_is_no_error_where_not_asked,
    forward_unknown,
    forward_known,
    changed_in_place,
    all_is_well,
]


@pytest.mark.parametrize("program", ANOMALIES, ids=lambda program: program.__name__)
def test_anomaly_mode_as_in_pytorch(program):
    assert_same(program)


def test_anomaly_mode_names_the_forward_line():
    with ours.autograd.set_detect_anomaly(True):
        y = failing(ours).apply(leaf(ours))  # the line of the op
        with (
            pytest.warns(UserWarning, match="the line of the op"),
            pytest.raises(ValueError, match="on the way back"),
        ):
            y.sum().backward()


def test_anomaly_mode_names_the_walk_in_which_an_op_was_made():
    x = ours.tensor([4.0], requires_grad=True)
    with ours.autograd.set_detect_anomaly(True):
        y = ours.sqrt(x * 1)  # the first forward
        (slope,) = ours.autograd.grad(y.sum(), x, create_graph=True)  # the first way back
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(RuntimeError, match="nan values"):
                slope.backward(ours.tensor([float("nan")]))
    text = "".join(str(warning.message) for warning in caught)
    assert "the first way back" in text
    assert "Previous calculation was induced by" in text


def test_anomaly_mode_is_over_after_the_block():
    with ours.autograd.set_detect_anomaly(True):
        pass
    x = ours.tensor([-1.0], requires_grad=True)
    ours.sqrt(x).sum().backward()
    assert x.grad.isnan().item()
