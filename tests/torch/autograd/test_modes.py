"""Grad modes and inference mode: each program sees what it sees on PyTorch."""

import asyncio
import threading

import pytest

from tests.both_sides import assert_same, attempt, ours


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


def modes_are_used_again(torch, see):
    mode = torch.no_grad()
    with mode:
        with mode:
            see(torch.is_grad_enabled())
        see(torch.is_grad_enabled())
    see(torch.is_grad_enabled())
    torch.set_grad_enabled(True)
    mode = torch.set_grad_enabled(False)
    for _ in range(2):
        with mode:
            see(torch.is_grad_enabled())
        see(torch.is_grad_enabled())
    inferring = torch.inference_mode()
    for _ in range(2):
        with inferring:
            see(torch.is_inference_mode_enabled())
    first, second = torch.no_grad(), torch.enable_grad()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    see(torch.is_grad_enabled())
    second.__exit__(None, None, None)
    see(torch.is_grad_enabled(), repr(torch.set_grad_enabled(True)).split(".")[-1])


def modes_decorate_classes(torch, see):
    for mode in (torch.no_grad(), torch.enable_grad, torch.inference_mode(), torch.no_grad):

        @mode
        class Made:
            def __init__(self, size):
                self.made_in = torch.is_grad_enabled(), size

            def asked_in(self):
                return torch.is_grad_enabled()

        made = Made(3)
        see(made.made_in, made.asked_in(), Made.__name__)


def modes_decorate_methods(torch, see):
    class Holder:
        @torch.no_grad()
        def method(self, size=3):
            """Its message."""
            return torch.is_grad_enabled(), size

        @staticmethod
        @torch.no_grad
        def of_nobody():
            return torch.is_grad_enabled()

        @classmethod
        @torch.no_grad()
        def of_the_class(cls):
            return torch.is_grad_enabled(), cls.__name__

        @property
        @torch.no_grad()
        def value(self):
            return torch.is_grad_enabled()

    held = Holder()
    see(held.method(), Holder.of_nobody(), Holder.of_the_class(), held.value)
    see(Holder.method.__doc__, Holder.method.__name__)


def modes_decorate_coroutines(torch, see):
    @torch.no_grad()
    async def decorated():
        see(torch.is_grad_enabled())  # the coroutine is made in the mode, and runs outside it

    async def inside():
        with torch.no_grad():
            await asyncio.sleep(0)
            return torch.is_grad_enabled()

    async def beside():
        before = torch.is_grad_enabled()
        await asyncio.sleep(0)
        return before, torch.is_grad_enabled()

    async def both():
        return await asyncio.gather(inside(), beside())

    asyncio.run(decorated())
    see(asyncio.run(both()), torch.is_grad_enabled())


def modes_nest_with_inference_mode(torch, see):
    w = leaf(torch)

    def look():
        see(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), w * 2)

    with torch.inference_mode():
        with torch.enable_grad():
            look()
        torch.set_grad_enabled(True)
        look()
        with torch.no_grad():
            look()
            with torch.inference_mode(False):
                look()
        look()
    with torch.no_grad(), torch.inference_mode(False):
        look()
    look()


def multithreading(torch, see):
    autograd = torch.autograd
    see(autograd.is_multithreading_enabled())
    with autograd.set_multithreading_enabled(False):
        see(autograd.is_multithreading_enabled())
        (leaf(torch) * 2).sum().backward()
    see(autograd.is_multithreading_enabled())


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


def inference_tensors_are_no_views(torch, see):
    with torch.inference_mode():
        x = torch.ones(2)
        for view in (x.view(2), x.detach(), x[0:1]):
            see(
                view._is_view(), view._base, view.is_inference(), attempt(getattr, view, "_version")
            )
        see(attempt(lambda: x._version), torch.ones(2).requires_grad_().requires_grad)
        data = torch.ones(2).data
    see(data.is_inference(), attempt(data.add_, 1), attempt(lambda: data._version))
    for view in (x.view(2), x[0], x.detach(), x.data, x.unbind()[0], x.expand(2, 2), x.clone()):
        see(view.is_inference(), attempt(view.requires_grad_))
    see(x.detach().add_(1), x, x.detach()._version)
    x.data = torch.ones(3)
    see(x, attempt(inference_tensor(torch).view(2).add_, 1))


def normal_tensors_in_inference_mode(torch, see):
    w, x = leaf(torch), torch.ones(2)
    y = w * w
    with torch.inference_mode():
        for tensor in (x, x.view(2), x[0:1], x.detach()):
            see(tensor.is_inference(), tensor._is_view(), tensor.add_(1), tensor._version)
        see(w.detach_().requires_grad, torch.autograd.grad(y, w, torch.ones(2), retain_graph=True))
        y.backward(torch.ones(2), create_graph=True)
        see(w.grad, w.grad.is_inference())


def gradients_of_inference_mode(torch, see):
    w = leaf(torch)
    with torch.inference_mode():
        w.grad = torch.ones(2)
    (w * 2).sum().backward()


PROGRAMS = [
    modes_nest,
    modes_are_used_again,
    modes_decorate_classes,
    modes_decorate_methods,
    modes_decorate_coroutines,
    modes_nest_with_inference_mode,
    multithreading,
    inference_tensors_are_no_views,
    normal_tensors_in_inference_mode,
    gradients_of_inference_mode,
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
