"""Anomaly mode: each program sees what it sees on PyTorch, down to which warnings come."""

import threading
import warnings

import pytest

from tests.both_sides import assert_same, ours


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


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


def raises(*_):
    raise KeyError("from a hook")


def errors_of_hooks(torch, see):
    for register in (
        lambda y: y.register_hook(raises),
        lambda y: y.grad_fn.register_prehook(raises),
        lambda y: y.grad_fn.register_hook(raises),
    ):
        with torch.autograd.set_detect_anomaly(True):
            y = leaf(torch) * 2
            register(y)
            try:
                y.sum().backward()
            except KeyError as error:
                see(str(error), torch.is_grad_enabled())


def nan_made_by_a_hook(torch, see):
    nan = float("nan")
    with torch.autograd.set_detect_anomaly(True):
        w = leaf(torch)
        w.register_hook(lambda gradient: gradient * nan)
        (w * 2).sum().backward()
        see(w.grad)
        y = w * 2
        y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * nan, None))
        y.sum().backward()


def error_in_another_thread(torch, see):
    def run():
        try:
            torch.sqrt(torch.tensor([-1.0], requires_grad=True)).backward()
        except RuntimeError as error:
            see(str(error))

    with torch.autograd.set_detect_anomaly(True):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def walked_twice(torch, see):
    with torch.autograd.set_detect_anomaly(True):
        w = leaf(torch)
        y = (w * w).sum()
        y.backward()
        y.backward()


def interrupted(torch, see):
    class Interrupted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            raise KeyboardInterrupt

    with torch.autograd.set_detect_anomaly(True):
        try:
            Interrupted.apply(leaf(torch)).sum().backward()
        except KeyboardInterrupt:
            see(torch.is_grad_enabled())


def switches(torch, see):
    def on():
        see(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())

    with torch.autograd.detect_anomaly(check_nan=False):
        on()
        with torch.autograd.set_detect_anomaly(False):
            on()
        on()
    on()
    torch.autograd.set_detect_anomaly(True)
    on()
    torch.set_anomaly_enabled(False)
    on()
    torch.autograd.set_detect_anomaly(1)


ANOMALIES = [
    errors_of_hooks,
    nan_made_by_a_hook,
    error_in_another_thread,
    walked_twice,
    interrupted,
    switches,
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


def test_anomaly_mode_of_another_thread_reaches_one_that_runs_already():
    ready, go, seen = threading.Event(), threading.Event(), []

    def run():
        ours.ones(1)
        ready.set()
        go.wait()
        try:
            ours.sqrt(ours.tensor([-1.0], requires_grad=True)).backward()
        except RuntimeError as error:
            seen.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    with warnings.catch_warnings(), ours.autograd.set_detect_anomaly(True):
        warnings.simplefilter("ignore")
        go.set()
        thread.join()
    assert seen == ["Function 'SqrtBackward0' returned nan values in its 0th output."]
