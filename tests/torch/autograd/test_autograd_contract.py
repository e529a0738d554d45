"""The promises of PyTorch's own tests of autograd, in small: each program sees the same on both sides."""

import warnings

import pytest

from tests.both_sides import assert_same, attempt, ours, theirs


@pytest.fixture(autouse=True, scope="module")
def pytorch_has_warned():
    """PyTorch's first use of forward mode in a process warns of its own source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch._decomp.decompositions_for_jvp")


def leaf(torch, *elements):
    return torch.tensor(elements or (1.0, 2.0), requires_grad=True)


# ------------------------------------------------------------------------------------------- hooks


def _clipped(gradient):
    return gradient.clamp(-1, 1) + 0.01


PIECEWISE = {
    "clamp": lambda torch, a: a.clamp(-0.5, 0.5),
    "clamp_min": lambda torch, a: a.clamp_min(0.1),
    "amax": lambda torch, a: a.amax(),
    "max": lambda torch, a: a.max(),
    "min": lambda torch, a: a.min(0)[0],
    "sort": lambda torch, a: a.sort()[0],
    "maximum": lambda torch, a: torch.maximum(a, torch.tensor(0.2)),
    "minimum": lambda torch, a: torch.minimum(a, torch.tensor(0.2)),
    "where": lambda torch, a: torch.where(a > 0, a, -a),
    "floor": lambda torch, a: a.floor(),
    "sign": lambda torch, a: a.sign(),
    "index": lambda torch, a: a[torch.tensor([0, 0, 1])],
    "scale": lambda torch, a: a / 2,
    "power of 1": lambda torch, a: a**1,
    "power of 0": lambda torch, a: a**0,
}


@pytest.mark.parametrize("function", PIECEWISE.values(), ids=PIECEWISE)
def test_hooks_are_called_where_a_gradient_of_a_gradient_arrives(function):
    def program(torch, see):
        x = leaf(torch, -0.7, 0.3, 1.2)
        a = x * 1.5
        a.register_hook(lambda gradient: (see(gradient.tolist()), _clipped(gradient))[1])
        loss = function(torch, a).sum() + (x**3).sum()
        (slope,) = torch.autograd.grad(loss, x, create_graph=True)
        see(slope.tolist(), torch.autograd.grad((slope * slope.detach()).sum(), x)[0].tolist())

    assert_same(program)


@pytest.mark.parametrize("order", [1, float("inf")])
def test_hooks_get_zeros_where_a_norm_is_made_of_straight_pieces(order):
    import funcgrad.torch as torch

    # PyTorch computes with zeros that have no elements there, so the right value is worked out: 1.5 times the hook's 0.01.
    x = leaf(torch, -0.7, 0.3, 1.2)
    a = x * 1.5
    a.register_hook(_clipped)
    loss = a.norm(order) + (x**3).sum()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert second.tolist() == pytest.approx([6 * e + 0.015 for e in (-0.7, 0.3, 1.2)], abs=1e-5)


def test_one_factor_is_not_behind_the_gradient_of_that_factor():
    def program(torch, see):
        a, b = leaf(torch), leaf(torch, 3.0, 4.0)
        of_a, of_b = torch.autograd.grad((a * b).sum(), (a, b), create_graph=True)
        for of in (of_a, of_b, of_a + of_b):
            for target in (a, b):
                see(torch.autograd.grad(of.sum(), target, retain_graph=True, allow_unused=True))

    assert_same(program)


# ------------------------------------------------------------------------------------------- values


def test_a_count_gives_no_gradient():
    def program(torch, see):
        x = leaf(torch, 1.0, 0.0, 3.0)
        count = x.norm(0)
        see(count)
        count.backward()
        see(x.grad, torch.autograd.grad(x.norm(0), x, allow_unused=True)[0])
        y = torch.tensor([1.0, 2.0, 3.0])
        count = torch.dist(x, y, p=0)
        see(count)
        count.backward()
        see(x.grad, torch.dist(x.detach(), y, 0), torch.dist(y, x, 0))

    assert_same(program)


def test_zero_to_a_power_along_the_power():
    def program(torch, see):
        power = leaf(torch, -1.0, -0.5, 0.0, 0.5, 2.0)
        for base in (torch.zeros(5), 0, 0.0):
            (slope,) = torch.autograd.grad((base**power).sum(), power, create_graph=True)
            see(slope.tolist(), torch.autograd.grad(slope.sum(), power)[0].tolist())
        forward = torch.autograd.forward_ad
        with forward.dual_level():
            dual = forward.make_dual(power.detach(), torch.ones(5))
            see(forward.unpack_dual(torch.zeros(5) ** dual).tangent)

    assert_same(program)


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_gradcheck_of_a_real_and_a_complex_input(operation):
    def program(torch, see):
        a = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        b = torch.tensor([1 + 2j, 2 - 1j], dtype=torch.complex128, requires_grad=True)
        for inputs in ((a, b), (b, a)):
            function = getattr(torch, operation)
            see(torch.autograd.gradcheck(function, inputs, check_forward_ad=True))

    assert_same(program)


# ------------------------------------------------------------------------------------------- warnings


def test_no_degree_of_freedom_is_left():
    def program(torch, see):
        for each in (torch.ones(1), torch.ones(0), torch.ones(2)):
            see(each.std(), each.var(), each.var(unbiased=False), each.std(correction=2))
        see(torch.ones(3, 1).var(1), torch.ones(0, 3).std(1), torch.ones(2, 0).var(1))

    assert_same(program)


def test_a_parameter_given_twice_to_an_optimizer():
    def program(torch, see):
        a, b = leaf(torch), leaf(torch)
        torch.optim.SGD([a, a], lr=0.1)
        torch.optim.Adam([{"params": [b]}, {"params": [a, a]}], lr=0.1)
        see(attempt(torch.optim.SGD, [{"params": [a]}, {"params": [b, a]}], lr=0.1))

    assert_same(program)


# ------------------------------------------------------------------------------------------- views


def test_views_of_inference_tensors_require_no_gradient():
    def program(torch, see):
        with torch.inference_mode():
            x = torch.ones(2, 2, requires_grad=True)
            see(x[0].requires_grad, x.view(4).requires_grad)
        see(x.requires_grad, x[0].requires_grad, x.t().requires_grad, (x * 2).requires_grad)
        see([part.requires_grad for part in x.unbind()], x[0] * 2)

    assert_same(program)


def test_the_tangent_of_a_view_is_a_view_of_the_right_tangent():
    def program(torch, see):
        forward = torch.autograd.forward_ad

        class Both(torch.autograd.Function):
            right = True

            @staticmethod
            def forward(ctx, x, y):
                return x.view(-1), y * 2

            @staticmethod
            def jvp(ctx, of_x, of_y):
                return (of_x if Both.right else of_y).view(-1), of_y * 2

        with forward.dual_level():
            x = forward.make_dual(torch.ones(2), torch.ones(2))
            y = forward.make_dual(torch.ones(2), torch.ones(2))
            for Both.right in (True, False):
                found = attempt(Both.apply, x, y)
                see(found if isinstance(found, Exception) else "accepted")

    assert_same(program)


def test_the_tangent_of_a_view_of_a_dual_tensor_is_a_view_of_its_tangent():
    def program(torch, see):
        forward = torch.autograd.forward_ad
        with forward.dual_level():
            tangent = torch.arange(6.0).view(2, 3).clone() * 10
            dual = forward.make_dual(torch.ones(2, 3), tangent)
            for view in (dual[0], dual.t(), dual[:, 1:], dual.view(-1)[2:4], dual.unbind()[1]):
                found = forward.unpack_dual(view).tangent
                see(found, found._base is tangent, found._is_view(), found.stride())
            forward.unpack_dual(dual[1]).tangent.zero_()
            see(tangent, forward.unpack_dual(dual).tangent)
            whole = forward.unpack_dual(forward.make_dual(tangent, tangent)).tangent
            see(whole is tangent, whole._base, whole._is_view())

    assert_same(program)


# ------------------------------------------------------------------------------------------- nodes


def test_the_error_behind_a_derivative_without_a_graph_has_edges():
    def program(torch, see):
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, gradient):
                return gradient * 2

        x, given = leaf(torch), leaf(torch)
        (gradient,) = torch.autograd.grad(Double.apply(x), x, given, create_graph=True)
        see(gradient.grad_fn.name(), [n.name() for n, _ in gradient.grad_fn.next_functions])
        see(attempt(torch.autograd.grad, gradient.sum(), given, retain_graph=True))
        see(attempt(gradient.sum().backward))

    assert_same(program)


def test_a_node_gives_the_tensors_that_it_saved():
    def program(torch, see):
        a, constant = leaf(torch), torch.ones(2)
        b = a * 2
        part = b[0:1]
        for made, operand, name in (
            (a * b, b, "_saved_other"),
            (b * a, b, "_saved_self"),
            (a * constant, constant, "_saved_other"),
            (a / b, b, "_saved_other"),
            (b.sin(), b, "_saved_self"),
            (part * a, part, "_saved_self"),
            (b @ a, b, "_saved_self"),
            (b**2, b, "_saved_self"),
        ):
            see(getattr(made.grad_fn, name) is operand)
        result = b.exp()
        see(result.grad_fn._saved_result is result)

    assert_same(program)


def test_what_autograd_keeps_on_a_tensor_can_be_asked_for_and_not_deleted():
    def program(torch, see):
        x = leaf(torch)
        y = x * 2
        for tensor in (x, y):
            for name in ("_grad_fn", "_backward_hooks", "_post_accumulate_grad_hooks", "name"):
                see(name, type(getattr(tensor, name)).__name__)
                if name != "name":
                    see(attempt(delattr, tensor, name))
            see(attempt(setattr, tensor, "_grad_fn", 3))
        handle = y.register_hook(lambda gradient: gradient * 3)
        see(list(y._backward_hooks) == [handle.id])
        x.register_hook(lambda gradient: gradient * 5)
        x._backward_hooks = None
        y.sum().backward()
        see(x.grad)
        y = x * 2
        y._grad_fn = None
        see(y.requires_grad, y.is_leaf)

    assert_same(program)


def test_names_are_those_of_pytorch():
    def told(torch, thing):
        return thing.__module__.replace("funcgrad.", ""), thing.__qualname__, thing.__name__

    for path in [
        "Tensor",
        "Size",
        "device",
        "dtype",
        "finfo",
        "iinfo",
        "compile",
        "set_default_dtype",
        "autograd.backward",
        "autograd.grad",
        "autograd.Function",
        "autograd.function.FunctionCtx",
        "autograd.graph.Node",
        "autograd.graph.GradientEdge",
        "autograd.no_grad",
        "autograd.gradcheck",
        "utils.hooks.RemovableHandle",
        "vmap",
        "func.grad",
        "func.jacrev",
        "func.hessian",
        "func.functional_call",
        "utils.checkpoint.checkpoint",
        "autograd.functional.hvp",
        "optim.SGD",
    ]:
        here, there = ours, theirs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in path.split("."):
                here, there = getattr(here, name), getattr(there, name)
        assert told(ours, here) == told(theirs, there), path


def test_nodes_print_as_pytorchs():
    def program(torch, see):
        y = leaf(torch) * 2
        for node in (y.grad_fn, y.grad_fn.next_functions[0][0]):
            see(str(type(node)), repr(node).split(" at ")[0])

    assert_same(program)
