"""Operands that do not fit, and everyday prints: the same errors, warnings and texts as PyTorch."""

import operator
import re

import pytest

from tests.both_sides import assert_same, ours, outcome, theirs


@pytest.mark.parametrize(
    "call",
    [
        "a @ a",
        "a @ torch.ones(3, 4, 5)",
        "a @ torch.ones(5)",
        "a @ torch.ones(5, 6)",
        "torch.ones(2, 5) @ a",
        "a.half() @ a.transpose(1, 2)",
        "a @ torch.ones(4, 2).double()",
        "torch.ones(2, 2).mm(torch.ones(2, 2).long())",
        "torch.ones(2, 1, 3, 4) @ torch.ones(3, 5, 2)",
        "torch.zeros(2, 3).index_add(0, torch.tensor([0, 1]), torch.ones(3))",
        "torch.zeros(2, 3).index_add(0, torch.tensor([0]), torch.ones(2, 3))",
        "torch.zeros(2, 3).index_add(0, torch.tensor([0]), torch.ones(1, 2))",
        "torch.meshgrid(torch.ones(2), 3, indexing='ij')",
        "torch.meshgrid(torch.ones(2), torch.ones(2), indexing='yx')",
        "torch.where(3)",
        "torch.arange(5.0).masked_scatter(torch.tensor([True, False]), torch.arange(9.0))",
        "torch.ones(2).long().masked_fill(torch.tensor(True), torch.tensor(1j))",
        "torch.cross(torch.ones(3), torch.ones(3).double(), dim=0)",
        "F.max_unpool1d(a[:1, :1, :2], torch.tensor([[[0, 9]]]), 2)",
        "F.max_unpool2d(a[:, :1, :2], torch.tensor([[[0, -1]]] * 2), 2)",
        "F.max_unpool3d(a[None, :1, :1, :2], torch.tensor([[[[0, 99]]]]), 2)",
        "torch.cholesky_solve(torch.ones(2, 1).double(), torch.eye(2))",
        "torch.linalg.vecdot(torch.ones(2), torch.ones(1))",
        "torch.cross(torch.ones(3) > 0, torch.ones(3) > 0, dim=0)",
        "torch.linalg.vecdot(torch.ones(3), torch.ones(3).double())",
        "torch.ormqr(torch.ones(3, 3), torch.ones(2), torch.ones(3, 3))",
        "torch.ormqr(torch.ones(3, 3), torch.ones(3), torch.ones(2, 3))",
        "torch.ormqr(torch.ones(2, 3, 3), torch.ones(3), torch.ones(3, 3))",
        "torch.ormqr(torch.ones(2, 3, 3), torch.ones(2, 3), torch.ones(3, 3))",
        "torch.linalg.lu_solve(torch.eye(3), torch.tensor([1, 2]).int(), torch.ones(3, 1))",
        "torch.linalg.lu_solve(torch.eye(3), torch.tensor([[1, 2, 3]]).int(), torch.ones(3, 1))",
        "torch.linalg.lu_solve(torch.eye(3), torch.tensor([1, 2, 3]), torch.ones(3, 1))",
        "F.batch_norm(torch.ones(2, 3), torch.ones(3, 1), torch.ones(3))",
        "F.batch_norm(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1, 3))",
        "F.avg_pool2d(a.int(), 2)",
        "F.avg_pool1d(a.byte(), 2)",
        "F.avg_pool3d(a[None].int(), 2)",
        "F.max_unpool2d(a[:, :1, :2].long(), torch.tensor([[[0, 2]]] * 2), 2)",
        "F.pad(a > 0, (1, 1), mode='reflect')",
        "F.pad(a > 0, (1, 1), mode='replicate')",
        "F.fractional_max_pool2d(a, 2, 2, _random_samples=torch.rand(1, 2, 3))",
        "F.fractional_max_pool2d(a, 2, 2, _random_samples=torch.rand(1, 1, 2))",
        "F.fractional_max_pool2d(a, 2, 2, _random_samples=torch.rand(2, 2))",
        "torch.signbit(a, out=torch.ones(2, 3, 4))",
        "torch.isposinf(a, out=torch.ones(2, 3, 4).long())",
        "torch.t_copy(a[0], out=torch.ones(4, 3).double())",
        "F.hardshrink(a, out=torch.ones(2, 3, 4).double())",
        "F.logsigmoid(a, out=torch.ones(2, 3, 4).double())",
    ],
)
def test_operands_that_do_not_fit_are_refused_in_pytorchs_words(call):
    def ran(torch):
        return eval(call, {"torch": torch, "F": torch.nn.functional, "a": torch.ones(2, 3, 4)})

    assert outcome(ran, ours) == outcome(ran, theirs)


OF_ONE_TENSOR = [
    *("sum", "mean", "prod", "amax", "amin", "std", "var", "argsort", "argwhere", "clone"),
    *("flatten", "ravel", "squeeze", "t", "unbind", "real", "imag", "numel", "positive"),
    *("diagonal", "is_complex", "is_floating_point", "view_as_real", "isnan", "exp", "argmax"),
]


@pytest.mark.parametrize("name", OF_ONE_TENSOR)
@pytest.mark.parametrize("given", [3, [1.0, 2.0], None])
def test_a_function_refuses_an_input_that_is_no_tensor(name, given):
    words = f"{name}(): argument 'input' (position 1) must be Tensor, not {type(given).__name__}"
    assert outcome(getattr(ours, name), given) == (TypeError, words)
    kind, text = outcome(getattr(theirs, name), given)
    assert kind is TypeError
    if "invalid combination" not in text:
        assert text == words


# The arguments: "a" and "b" are tensors, and something else is given in place of one.
OF_SEVERAL_TENSORS = {
    "cross": ("a", 3),
    "outer": ("a", "x"),
    "masked_select": ("a", [1.0]),
    "take_along_dim": ("a", None),
    "lu_unpack": ("b", 3),
    "diagonal_scatter": ("b", 3),
    "as_strided_scatter": ("b", 3, [1], [1]),
    "select_scatter": ("b", 3, 0, 0),
    "triangular_solve": ("b", 3),
    "searchsorted": (3, "a"),
    "Tensor.outer": ("a", 3),
    "Tensor.masked_select": ("a", [1.0]),
    "Tensor.diagonal_scatter": ("b", None),
    "nn.functional.layer_norm": (3, [2]),
    "nn.functional.rms_norm": (3, [2]),
    "nn.functional.pad": (3, [1, 1]),
    "nn.functional.one_hot": (3,),
    "nn.functional.avg_pool2d": (3, 2),
    "nn.functional.batch_norm": ("b", 3, 3),
    "linalg.lstsq": (3, "b"),
    "linalg.solve": ("b", 3),
    "linalg.vector_norm": (3,),
    "fft.fftn": (3,),
    "fft.fftshift": (3,),
    "broadcast_tensors": (3, "a"),
    "cartesian_prod": ("a", 3),
}


@pytest.mark.parametrize("name", OF_SEVERAL_TENSORS)
def test_a_function_refuses_other_arguments_that_are_no_tensors(name):
    def ran(torch):
        tensors = {"a": torch.ones(2), "b": torch.ones(2, 2)}
        function = operator.attrgetter(name)(torch)
        given = OF_SEVERAL_TENSORS[name]
        return function(*[tensors.get(k, k) if isinstance(k, str) else k for k in given])

    (mine, words), (kind, _) = outcome(ran, ours), outcome(ran, theirs)
    assert mine is kind is TypeError
    assert re.search("must be Tensor, not|expected Tensor as element", words)


# One call of each kind that PyTorch's parser of arguments refuses.
OF_ANOTHER_KIND = [
    "torch.searchsorted(x[0], [1.0, 2.0])",
    "torch.bucketize([1.0], x[0])",
    "x.sum(0, 1)",
    "x.sum(keepdim=True)",
    "x.mean(keepdim=True)",
    "x.prod(keepdim=True)",
    "torch.tile(x, 2)",
    "torch.tile(x, 2, 2)",
    "torch.squeeze(x, 0, 1)",
    "torch.hsplit(x, 1, 2)",
    "torch.fft.fft2(x, dim=None)",
    "torch.fft.irfft2(x, dim=None)",
    "x.sum(0, keepdim=None)",
    "x.sum(True)",
    "x.sum([1.0])",
    "x.cumsum(None)",
    "x.cumsum(True)",
    "x.cumsum(torch.tensor(True))",
    "x.softmax(1.0)",
    "x.topk(2.0)",
    "x.topk(True)",
    "x.topk(1, largest=1)",
    "x.sort(descending='a')",
    "x.amax([True])",
    "x.argmax(0, 'a')",
    "x.narrow(0, True, 1)",
    "x.narrow(0, 0, True)",
    "x.diagonal(offset=None)",
    "x.diagonal(torch.tensor(0.0))",
    "x.flatten(0.0)",
    "x.view([True, 6])",
    "x.tril(True)",
    "x.round(decimals=1.0)",
    "x.allclose(x, rtol=1j)",
    "x.isclose(x, equal_nan=1)",
    "x.addmm(x, x.t(), beta='a')",
    "x.addmm(x, x.t(), alpha=None)",
    "x.clamp_max(None)",
    "x.max(None)",
    "x.max(True)",
    "x.max(keepdim=True)",
    "x.max(0, axis=0)",
    "x.max(0, 'a')",
    "x.nanmedian(None)",
    "x.std(0, None)",
    "x.std(True, keepdim=True)",
    "x.std(0, True, correction=1)",
    "x.var(dim=0, axis=0)",
    "x.exp(out=x)",
    "x.add(x, out=x)",
    "x.sum(out=torch.zeros(()))",
    "x.cumsum(0, out=x)",
    "x.chunk(2, axis=0, dim=0)",
    "torch.var_mean(x, True, True)",
    "torch.zeros([True])",
    "torch.eye(True)",
    "torch.randperm(True)",
    "torch.linspace(0, 1, True)",
    "torch.dropout(x, 0.5, 1)",
    "torch.dropout(x, torch.tensor([0.5]), True)",
    "torch.multinomial(x, 2, 1)",
    "torch.searchsorted(x, x, right=1)",
    "torch.celu(x, alpha='a')",
    "torch.flip(x, dims=(0,), out=None)",
    "torch.isin(x, [1.0, 2.0])",
    "torch.isin([1.0], x)",
    "torch.quantile(x, 0.5, interpolation=None)",
    "torch.where(x > 0, None, x)",
    "torch.where(x > 0, [1.0], x)",
    "x.index_put([torch.tensor([0])], torch.tensor(1.0), accumulate=None)",
    "x.index_put([torch.tensor([0])], 1.0)",
    "torch.roll(x, True)",
    "torch.fft.fftn(x, dim=(1.0, 0))",
    "x.movedim(0.0, 1)",
    "x.split(True)",
    "x.split([1.0, 1.0])",
    "x.repeat_interleave(2.0)",
    "torch.scalar_tensor(2, out=x)",
    "torch.randn_like(x, out=x)",
    "torch.hann_window(3, out=x)",
    "torch.all(x, dtype=torch.float64)",
    "torch.logsumexp(x, None)",
    "x.clone().logical_or_(1.5)",
    "x.add(x, alpha=None)",
    "x.pow([1])",
    "x.div(x, rounding_mode=1)",
    "x.bool(None)",
    "torch.constant_pad_nd(x, (1, 1), None)",
    "torch.linalg.norm(x, keepdim=1)",
    "torch.fft.fft(x, n=1.5)",
    "torch.special.polygamma(1.0, x)",
    "F.grid_sample([1.0], x)",
    "F.grid_sample(x.reshape(1, 1, 2, 3), [1.0])",
    "F.scaled_dot_product_attention(x, [1.0], x)",
    "F.scaled_dot_product_attention(x, x, x, is_causal=None)",
]


@pytest.mark.parametrize("call", OF_ANOTHER_KIND)
def test_an_argument_of_another_kind_is_refused(call):
    def kind(torch):
        x = torch.tensor([[1.0, -2.0, 3.0], [0.5, 1.5, 2.5]])
        return outcome(lambda: eval(call, {"torch": torch, "F": torch.nn.functional, "x": x}))[0]

    assert kind(ours) is kind(theirs) is TypeError


TAKEN = [
    "x.sum(torch.tensor(1))",
    "x.sum([torch.tensor(1)])",
    "x.sum(np.int64(1))",
    "x.sum(axis=None)",
    "x.sum(None, True)",
    "x.tile(2)",
    "x.tile(2, 1)",
    "torch.tile(x, [2])",
    "x[:1, :, None].squeeze(0, 2)",
    "x.hsplit(1, 2)",
    "x.vsplit(1, 1)",
    "x[None].dsplit(1, 2)",
    "x.count_nonzero(0, 1)",
    "torch.fft.fftn(x, dim=None)",
    "torch.linalg.vecdot(x[0, 0], x[0, 1])",
    "torch.trapz(x[:, 0], x)",
    "torch.hstack((x, x), out=torch.empty(0))",
    "torch.vstack((x, x), out=torch.empty(4, 3))",
    "torch.dstack((x, x), out=torch.empty(0, dtype=torch.float64))",
    "torch.column_stack((x[0], x[1]), out=torch.empty(0))",
    "torch.hardshrink(x, 1.0, out=torch.empty(0))",
    "F.softshrink(x, out=torch.empty(2, 3))",
    "F.logsigmoid(x, out=torch.empty(0))",
    "F.gelu(x * 0, out=torch.empty(0))",
    "F.softplus(x, out=torch.empty(0))",
    "torch.t_copy(x, out=torch.empty(0))",
    "torch.expand_copy(x[0], (4, 3), out=torch.empty(0))",
    "F.avg_pool1d(x.long()[None], 2)",
    "x.amax(keepdim=True)",
    "x.max(torch.tensor(1)).values",
    "x.max(axis=0, keepdims=True).values",
    "x.std(0, correction=True)",
    "x.std(False)",
    "x.std(axis=0, keepdims=True)",
    "x.diagonal(torch.tensor(1))",
    "x.allclose(x, rtol=True)",
    "torch.isin(x, 2.0)",
    "F.dropout(x, torch.tensor(0.0), inplace=0)",
    "torch.dropout(x, torch.tensor(0.0), True)",
    "torch.constant_pad_nd(x + 0j, (1, 1), 1j)",
    "x.index_put((x > 0,), torch.tensor(1))",
    "x.split([torch.tensor(1), 1])",
    "torch.cumsum(a=x, axis=0)",
]


@pytest.mark.parametrize("call", TAKEN)
def test_arguments_of_pytorchs_kinds_are_taken(call):
    assert_same(
        f"x = torch.tensor([[1.0, -2.0, 3.0], [0.5, 1.5, 2.5]])\nF = torch.nn.functional\nr = {call}"
    )


def test_a_function_without_its_input_is_refused():
    with pytest.raises(TypeError):
        ours.sum()


@pytest.mark.parametrize(
    "program",
    [
        "g = torch.meshgrid(w, w)",
        "g = torch.meshgrid(w, torch.ones(2), indexing='xy')",
        "r = torch.where((n > 0).byte(), n, -n)",
        "r = torch.tensor([1, 2]).logsumexp(0)",
        "r = torch.tensor([True, False]).logsumexp(0)",
        "r = torch.linspace(-1, 1, 7)",
        "r = w.masked_scatter(m, torch.arange(6.0))",
        "r = torch.ones(2).masked_fill(torch.tensor(True), torch.tensor(0j))",
        "r = x.logical_and_(w[:, None])",
        "r = x.logical_or_(l)",
        "r = n.logical_xor_(l)",
        "r = w.logical_not_()",
        "x.view(-1)[::2].logical_not_(); x.sum().backward(); r = l.grad",
    ],
)
def test_warnings_and_results_are_pytorchs(program):
    assert_same(program)


def test_linspace_of_floats_has_pytorchs_bits():
    def points(torch):
        bounds = [(-1, 1, 7), (-3.14159, 3.14159, 200), (2, -7, 101), (0.1, 0.7, 9), (0, 1, 1000)]
        dtypes = (torch.float32, torch.float64)
        return [torch.linspace(*each, dtype=dtype).tolist() for each in bounds for dtype in dtypes]

    assert points(ours) == points(theirs)


@pytest.mark.parametrize(
    "call",
    [
        "torch.tensor([1.0, 3.0]).max(0)",
        "torch.ones(2, requires_grad=True).min(0)",
        "torch.tensor([2.0, 1.0]).sort()",
        "torch.tensor([[2.0, 1.0]]).topk(1)",
    ],
)
def test_named_results_print_as_in_pytorch(call):
    def texts(torch):
        found = eval(call, {"torch": torch})
        return repr(found), type(found).__module__.removeprefix("funcgrad."), type(found).__name__

    assert texts(ours) == texts(theirs)
