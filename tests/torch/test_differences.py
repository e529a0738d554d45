"""The page of known differences (`funcgrad/torch/DIFFERENCES.md`) is true: each line that can be run, on both sides."""

import contextlib
import warnings

import numpy as np
import pytest

from funcgrad import engine
from tests.both_sides import SIDES

NAN = float("nan")


def leaf(torch, *shape):
    return torch.ones(*(shape or (2,)), requires_grad=True)


def gradient(loss, *tensors):
    loss.sum().backward()
    return [tensor.grad.tolist() for tensor in tensors]


def complex_adjoint_written(torch):
    x = torch.ones(1, 2, dtype=torch.complex64)
    x.H.mul_(2j)
    return x.imag.tolist()


def saved_dimension(torch):
    return leaf(torch, 2, 2).sum(0).grad_fn._saved_dim


def other_grad_dtype(torch):
    leaf(torch).grad_dtype = torch.float64


def images_of_uint8(torch):
    image = torch.full((1, 1, 2, 2), 7, dtype=torch.uint8)
    return torch.nn.functional.interpolate(image, (1, 1), mode="bilinear").tolist()


def name_of_a_method(torch):
    return torch.Tensor.add.__qualname__


def growing(torch):
    return torch.ones(2).resize_(4).shape


def out_that_grows(torch):
    return torch.add(torch.ones(3), 1, out=torch.ones(3)[1:]).shape


def compiled(torch):
    """A block that XLA computes, not the engine's core."""
    return contextlib.nullcontext() if torch is SIDES[1] else engine.mode("compiled")


def product_at_infinity(torch):
    w = torch.tensor([NAN, float("inf")], requires_grad=True)
    return gradient(w.prod(), w)


def greater_zero(torch):
    return str(torch.maximum(torch.tensor([-0.0]), torch.tensor([0.0])).item())


def sum_of_minus_zero(torch):
    with compiled(torch):
        return str(torch.tensor([-0.0]).sum().item())


def array_written(torch):
    array = np.ones(2)
    x = torch.from_numpy(np.broadcast_to(array, 2))
    array[0] = 5
    return x.tolist()


def unlike_an_array(torch):
    return np.array(torch.ones(2) != np.array([1.0, 2.0])).tolist()


def set_to_more(torch):
    return torch.zeros(0).set_(torch.ones(2), 0, (3,)).shape


def numbers_in_another_order_written(torch):
    x = torch.ones(2, 3).t() * 1
    x.numpy()[0, 0] = 5
    return x[0].tolist()


def compared_with_a_large_number(torch):
    return (torch.ones(1, dtype=torch.int8) > 300).tolist()


def added_to_itself_transposed(torch):
    x = torch.arange(8.0).reshape(2, 4)[:, ::2]
    return x.add_(x.t()).tolist()


def doubled_where_it_overlaps(torch):
    x = torch.arange(4.0)
    x.unfold(0, 2, 1).mul_(2)
    return x.tolist()


def expanded_and_filled(torch):
    w = leaf(torch, 1)
    y = w * 1
    y.expand(3).fill_(2.0)
    return gradient(y, w)


def source_larger_than_its_index(torch):
    w = leaf(torch, 3)
    return gradient(torch.zeros(4).scatter(0, torch.tensor([0, 1]), w), w)


def data_assigned(torch):
    w = leaf(torch)
    y = w * w
    w.data = torch.full((2,), 5.0)
    return gradient(y, w)


def version_after_data_assigned(torch):
    x = torch.ones(2)
    view = x[:1]
    x.data = torch.zeros(2)
    view.add_(1)
    return x._version


def refused_in_inference(torch):
    with torch.inference_mode():
        x = torch.ones(2)
    with pytest.raises(RuntimeError):
        x.mul_(2)
    return x.tolist()


def cotangent_written(torch):
    w, cotangent = leaf(torch), torch.ones(2)
    (made,) = torch.autograd.grad(w.view(2), w, cotangent)
    cotangent.mul_(3)
    return made.tolist()


def gradient_of_a_sum(torch):
    w = leaf(torch)
    return torch.autograd.grad(w.sum(), w)[0].stride()


def gradient_of_a_transposed_tensor(torch):
    w = leaf(torch, 2, 3).t()
    return torch.autograd.grad(w.exp().sum(), w)[0].stride()


def unsqueezed_behind_the_graph(torch):
    w = leaf(torch)
    y = w * 1
    with torch.no_grad():
        y.unsqueeze_(0)
    return gradient(y * y, w)


def node_of_a_gradient(torch):
    w = leaf(torch)
    (made,) = torch.autograd.grad(w.sin().sum(), w, create_graph=True)
    return type(made.grad_fn).__name__


def batched_product(torch):
    product = leaf(torch, 2, 2, 2) @ torch.ones(2, 2, 2)
    return type(product.grad_fn.next_functions[0][0]).__name__


def saved_by_tanh(torch):
    seen = []

    def pack(x):
        seen.append(round(x[0].item(), 2))
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        leaf(torch).tanh()
    return seen


def result_overwritten(torch):
    w = leaf(torch)
    y = w.tanh()
    y.data.zero_()
    return np.round(gradient(y, w)[0], 2).tolist()


def other_operand_of_a_view_without_grad(torch):
    base, other = leaf(torch) * 1, torch.ones(1)
    with torch.no_grad():
        view = base[:1]
    y = view * other
    other.add_(1)
    y.sum().backward()


def view_that_nobody_holds(torch):
    view = torch.ones(2, 2)[0].requires_grad_()
    y = view * 2
    node = y.grad_fn.next_functions[0][0]
    del view
    y.sum().backward()
    return None if node.variable is None else node.variable.grad.tolist()


def type_of_a_view(torch):
    view = torch.ones(2)[:1]
    return type(view) is torch.Tensor, isinstance(view, torch.Tensor)


def gradient_changed_in_a_hook(torch):
    w, v = leaf(torch), leaf(torch)
    a, b = w * 1, v * 1

    def hook(gradient):
        gradient.mul_(2)

    b.register_hook(hook)
    return gradient((a + b) * torch.tensor([2.0, 3.0]), w, v)


def hook_on_a_view_of_what_was_written(torch):
    y, seen = leaf(torch, 3) * 1, []
    view = y[1:]
    view.register_hook(lambda gradient: seen.append(1))
    y.mul_(2)
    view.register_hook(lambda gradient: seen.append(2))
    view.sum().backward()
    return seen


def levels_nested(torch):
    with torch.autograd.forward_ad.dual_level():
        return torch.func.jvp(lambda x: x * 2, (torch.ones(1),), (torch.ones(1),))[1].tolist()


def square_in_place_forward(torch):
    x = torch.full((1,), 3.0)
    return torch.func.jvp(lambda x: (x * 1).mul_(x * 1), (x,), (torch.ones(1),))[1].tolist(), (
        torch.func.jvp(_squared_in_place, (x,), (torch.ones(1),))[1].tolist()
    )


def _squared_in_place(x):
    y = x * 1
    return y.mul_(y)


def last_argument_forward(torch):
    function = torch.func.jacfwd(lambda a, b: a * b, argnums=-1)
    return function(torch.ones(1), torch.ones(1)).tolist()


def linearized_at_a_leaf(torch):
    w = leaf(torch)
    torch.func.linearize(lambda x: x * x, w)[1](torch.ones(2)).sum().backward()
    return None if w.grad is None else w.grad.tolist()


def view_returned(torch):
    return torch.func.vmap(lambda x: x.view(1))(torch.ones(2))._base is not None


def base_of_a_dual(torch):
    forward_ad = torch.autograd.forward_ad
    with forward_ad.dual_level():
        primal = torch.ones(2)
        return forward_ad.make_dual(primal, torch.ones(2))._base is primal


def jacobian_of_nothing(torch):
    return torch.autograd.functional.jacobian(lambda x: (), torch.ones(2))


def dimension_named_under_vmap(torch):
    torch.func.vmap(lambda x: x + torch.ones(5))(torch.ones(2, 3))


def node_behind_linear(torch):
    return type(torch.nn.Linear(2, 1)(torch.ones(1, 2)).grad_fn.next_functions[2][0]).__name__


def weight_changed_before_backward(torch):
    layer = torch.nn.Linear(3, 2)
    loss = layer(leaf(torch, 1, 3)).sum()
    with torch.no_grad():
        layer.weight.add_(1)
    loss.backward()


def node_behind_a_loss(torch):
    loss = torch.nn.functional.poisson_nll_loss(leaf(torch), torch.ones(2))
    return type(loss.grad_fn.next_functions[0][0]).__name__


def sparse_embedding(torch):
    table = leaf(torch, 2, 1) * 2
    return torch.nn.functional.embedding(torch.tensor([1]), table, sparse=True).shape


def uninitialized(torch):
    torch.nn.LazyLinear(2).weight + 1


def infinite_cotangent(torch):
    w = torch.tensor([0.0], requires_grad=True)
    made = torch.nn.functional.silu(w)
    return torch.autograd.grad(made, w, torch.tensor([float("inf")]))[0].tolist()


def trigamma_at_a_pole(torch):
    return torch.polygamma(1, torch.tensor([-1.0], dtype=torch.float64)).log10().round().tolist()


def derivative_by_an_order(torch):
    w = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    # The derivative of 1 - exp(-x) by the order, at 1 and 1.
    return [
        [round(k, 4) for k in each] for each in gradient(torch.igamma(w, torch.ones_like(w)), w)
    ]


def tangent_of_a_wider_dtype(torch):
    forward_ad = torch.autograd.forward_ad
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(1), torch.ones(1, dtype=torch.complex64))
        return forward_ad.unpack_dual(dual * 2).tangent.tolist()


def overwritten_by_strides(torch):
    w = leaf(torch, 3)
    return gradient(torch.as_strided_scatter(w, torch.ones(1), (1,), (1,)), w)


def third_derivative_of_layer_norm(torch):
    """Whether it is that of the formula, written out."""

    def third(norm):
        x = torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64, requires_grad=True)
        made = norm(x) ** 3
        for k in range(3):
            (made,) = torch.autograd.grad((made * (x.detach() + k)).sum(), x, create_graph=True)
        return made

    formula = third(
        lambda x: (x - x.mean(1)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-5)
    )
    return torch.allclose(third(lambda x: torch.nn.functional.layer_norm(x, (3,))), formula)


def scattered_from_itself(torch):
    d = torch.ones(2, 2)
    return d.masked_scatter_(d > 0, d.t()).tolist()


def repeated_and_detached(torch):
    made = leaf(torch).repeat_interleave(2)
    made.detach_()
    return made.requires_grad


def drawn_after_a_refusal(torch):
    torch.manual_seed(0)
    with contextlib.suppress(RuntimeError):
        torch.bernoulli(torch.tensor([0.5, 2.0]))
    first = torch.rand(1)
    torch.manual_seed(0)
    return torch.equal(first, torch.rand(1))


def expanded_and_cut(torch):
    base = torch.ones(2)
    base.expand(2, 2).triu_()
    return base.tolist()


def memory_of_a_factor(torch):
    return torch.linalg.qr(torch.eye(3))[0].stride()


def third_derivative_of_a_square(torch):
    w = leaf(torch)
    made = w**2
    for _ in range(3):
        (made,) = torch.autograd.grad(made.sum(), w, create_graph=True)
    return made.tolist()


def second_derivative_of_hardsigmoid(torch):
    w = leaf(torch)
    made = torch.nn.functional.hardsigmoid(w) ** 2
    for _ in range(2):
        (made,) = torch.autograd.grad(made.sum(), w, create_graph=True)
    return [round(18 * each, 4) for each in made.tolist()]


# Of each program, what comes of it on the shim and in PyTorch: a value, or a part of the error's words.
GROWS, MODIFIED = "do not grow", "modified by an inplace operation"
REPEATED = "more than one element of the written-to tensor refers to a single memory location"
TABLE = {
    sparse_embedding: ("sparse gradients", (1, 1)),
    node_behind_linear: ("AccumulateGrad", "TBackward0"),
    weight_changed_before_backward: ("[torch.FloatTensor [2, 3]]", "[torch.FloatTensor [3, 2]]"),
    node_behind_a_loss: ("AccumulateGrad", "SubBackward0"),
    uninitialized: ("parameter in an op", "parameter in <method 'add'"),
    complex_adjoint_written: ([[0.0, 0.0]], [[-2.0, -2.0]]),
    saved_dimension: ("has no attribute '_saved_dim'", (0,)),
    images_of_uint8: ("not implemented for 'Byte'", [[[[7]]]]),
    name_of_a_method: ("Tensor.add", "TensorBase.add"),
    other_grad_dtype: ("a gradient of another dtype", None),
    growing: (GROWS, (4,)),
    out_that_grows: (GROWS, (3,)),
    product_at_infinity: ([[float("inf"), NAN]], [[NAN, NAN]]),
    overwritten_by_strides: ([[0.0, 1.0, 1.0]], [[1.0, 0.0, 0.0]]),
    infinite_cotangent: ([NAN], [float("inf")]),
    trigamma_at_a_pole: ([float("inf")], [33.0]),
    derivative_by_an_order: ([[-0.4317]], "derivative for 'igamma: input' is not implemented"),
    tangent_of_a_wider_dtype: ("cannot carry a tangent of complex64", [2 + 0j]),
    greater_zero: ("0.0", "-0.0"),
    sum_of_minus_zero: ("-0.0", "0.0"),
    array_written: ([1.0, 1.0], [5.0, 1.0]),
    unlike_an_array: ([False, True], True),
    set_to_more: (GROWS, (3,)),
    numbers_in_another_order_written: ("read-only", [5.0, 1.0]),
    compared_with_a_large_number: ("without overflow", [False]),
    added_to_itself_transposed: ([[0.0, 6.0], [6.0, 12.0]], [[0.0, 6.0], [10.0, 12.0]]),
    doubled_where_it_overlaps: ([0.0, 2.0, 4.0, 6.0], [0.0, 4.0, 8.0, 6.0]),
    expanded_and_filled: ([[0.0]], REPEATED),
    source_larger_than_its_index: ([[1.0, 1.0, 0.0]], "returned an invalid gradient"),
    data_assigned: ([[2.0, 2.0]], [[10.0, 10.0]]),
    version_after_data_assigned: (0, 1),
    refused_in_inference: ([1.0, 1.0], [2.0, 2.0]),
    cotangent_written: ([1.0, 1.0], [3.0, 3.0]),
    gradient_of_a_sum: ((1,), (0,)),
    unsqueezed_behind_the_graph: ("was given an invalid gradient", [[2.0, 2.0]]),
    gradient_of_a_transposed_tensor: ((2, 1), (1, 3)),
    node_of_a_gradient: ("SinBackward0Backward", "MulBackward0"),
    batched_product: ("AccumulateGrad", "BmmBackward0"),
    saved_by_tanh: ([1.0], [0.76]),
    result_overwritten: ([0.42, 0.42], [1.0, 1.0]),
    other_operand_of_a_view_without_grad: (MODIFIED, None),
    view_that_nobody_holds: (None, [2.0, 2.0]),
    type_of_a_view: ((False, True), (True, True)),
    gradient_changed_in_a_hook: ([[2.0, 3.0], [4.0, 6.0]], [[4.0, 6.0], [4.0, 6.0]]),
    hook_on_a_view_of_what_was_written: ([2], []),
    levels_nested: ([2.0], "Nested forward mode"),
    square_in_place_forward: (([6.0], [6.0]), ([6.0], [12.0])),
    last_argument_forward: ([[1.0]], [[0.0]]),
    linearized_at_a_leaf: ([2.0, 2.0], None),
    view_returned: (False, True),
    base_of_a_dual: (False, True),
    jacobian_of_nothing: ((), "tuple index out of range"),
    third_derivative_of_layer_norm: (True, False),
    scattered_from_itself: ("refer to a single memory location", [[1.0, 1.0], [1.0, 1.0]]),
    repeated_and_detached: (False, "Can't detach views in-place"),
    drawn_after_a_refusal: (True, False),
    expanded_and_cut: (REPEATED, [0.0, 1.0]),
    memory_of_a_factor: ((3, 1), (1, 3)),
    third_derivative_of_a_square: ("does not require grad", [0.0, 0.0]),
    second_derivative_of_hardsigmoid: ([1.0, 1.0], "hardsigmoid_backward is not implemented"),
    dimension_named_under_vmap: ("at non-singleton dimension 0", "at non-singleton dimension 1"),
}


@pytest.mark.parametrize("program", TABLE, ids=lambda program: program.__name__)
def test_a_known_difference_is_as_told(program):
    for torch, told in zip(SIDES, TABLE[program], strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = program(torch)
            except Exception as error:
                found = str(error)
                assert isinstance(told, str), found
                assert told in found
                continue
        np.testing.assert_equal(found, told)
