"""Grad modes and inference mode: each program sees what it sees on PyTorch."""

import threading

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
