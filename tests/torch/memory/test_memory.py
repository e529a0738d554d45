"""Memory seen as another dtype, in another size, or exchanged; `out=`; all that can be seen afterwards is PyTorch's."""

import warnings

import pytest

from tests.both_sides import SIDES, assert_same, ours

DTYPES = [
    "y = n.view(torch.int32)",
    "y = n.view(dtype=torch.int16)",
    "y = n.view(torch.float64)",
    "y = n.view(torch.uint8)",
    "y = n.view(torch.complex64)",
    "y = n.view(torch.bfloat16)",
    "y = n.view(float)",
    "y = n[:, :2].view(torch.float64)",
    "y = n.transpose(0, 1).view(torch.float64)",
    "y = n.transpose(0, 2).view(torch.int32)",
    "y = n[:, :, 1:].view(torch.float64)",
    "y = n[:, :, ::2].view(torch.int16)",
    "y = n[:, :, 1:3].view(torch.float64)",
    "y = n.transpose(1, 2).view(torch.int16)",
    "y = n.as_strided((2, 2), (3, 1)).view(torch.float64)",
    "y = torch.tensor(1.0).view(torch.int32)",
    "y = torch.tensor(1.0).view(torch.float64)",
    "y = torch.zeros(0, 4).view(torch.float64)",
    "y = torch.tensor([True, False]).view(torch.uint8)",
    "y = n.view(torch.float32, 2)",
    "y = x.view(torch.int32)",
    "y = x.view(torch.float32)",
    "y = x.view(torch.int32)\ny.zero_()",
    "y = x.view(torch.int32)\nx.mul_(2)",
    "y = l.view(torch.int32)\nz = l * l\ny.add_(1)",
    "y = n.view(torch.int32)\ny[0] = 1065353216\nn[1] = 2",
    "y = n.view(torch.int16)\ny[0] = 16256",
    "y = torch.tensor([1, 0], dtype=torch.uint8)\nz = y.view(torch.bool)\nz[1] = True",
    "y = n.view(torch.float64)\ny[0] = 0\nn.add_(1)",
    "y = n.view(torch.int32)\nz = y.view(torch.float32)\nz.mul_(2)",
    "y = n.view(torch.int32).view(2, 12)[1]\ny.zero_()",
    "y = n.view(torch.int32)\nn.mul_(w[0])",
    "y = n.view(torch.float64)\ny.requires_grad_()\nz = y * 2",
    "q = torch.arange(8.0).view(torch.complex64)\nr = torch.view_as_real(q)\nr[0] = w[0]\nq.real.mul_(w[1])",
    "q = torch.arange(8.0).view(torch.float64)\nr = torch.view_as_complex(q.view(2, 2))\nr[0] = 2.0\nr.mul_(w[0])",
    "c = torch.view_as_complex(x.view(2, 3, 2, 2))\nd = c.detach()\nv = torch.view_as_real(d)\nv[0] = w[0]",
    "q = torch.arange(9.0)\nc = torch.view_as_complex(q[:8].view(4, 2))\nc.mul_(w[0])\ny = q * 2",
]


@pytest.mark.parametrize("source", DTYPES)
def test_bits_seen_as_another_dtype(source):
    assert_same(source)


SIZES = [
    "n.resize_(2, 3)",
    "n.resize_((4, 6, 1))",
    "n.resize_(2, 3, 4)",
    "n.resize_(0)",
    "y = n[0]\nn.resize_(3, 3)\nn.zero_()",
    "v = n[0]\nv.resize_(24)\nv.fill_(7)",
    "d = n.detach()\nd.resize_(2)\nd.zero_()",
    "y = torch.ones(2, 3).t()\ny.resize_(2, 2)",
    "y = torch.zeros(0)\ny.resize_(0, 3)",
    "y = torch.zeros(2, 3)\ny.resize_as_(torch.ones(3, 2))",
    "n.resize_as_(x)",
    "n.resize_as_(3)",
    "n.resize_()",
    "x.resize_(2)",
    "l.resize_(2)",
    "y = torch.zeros(2)\nn.set_(y)\nn.add_(1)",
    "y = n.clone()\nn.set_(y[0])\ny.add_(1)",
    "n.set_()",
    "v = n[0]\nv.set_(w.detach())",
    "x.set_(n)",
    "n.set_(w)",
    "l.set_(n)",
    "n.set_(i)",
]


@pytest.mark.parametrize("source", SIZES)
def test_a_tensor_comes_to_see_other_places(source):
    assert_same(source)


def test_a_memory_without_elements_grows():
    x = ours.empty(0)
    x.resize_(2, 3).fill_(1)
    assert x.tolist() == [[1.0] * 3] * 2


def test_a_memory_with_elements_does_not_grow_and_says_so():
    x = ours.zeros(2)
    with pytest.raises(RuntimeError, match="arrays do not grow"):
        x.resize_(3)
    with (
        pytest.warns(UserWarning, match="was resized"),
        pytest.raises(RuntimeError, match="arrays do not grow"),
    ):
        ours.add(ours.ones(3), 1, out=x[:1])
    assert (x.tolist(), x._version) == ([0.0, 0.0], 0)


OUT = [
    "y = torch.empty(0)\ntorch.add(n, 1, out=y)",
    "y = torch.zeros(30)\ntorch.add(n, 1, out=y)\nz = y.view(-1)",
    "y = torch.zeros(30)\nv = y[2:]\ntorch.add(n, 1, out=v)",
    "y = torch.zeros(3)\ntorch.add(n, 1, out=y)",
    "y = torch.zeros(3, dtype=torch.int64)\ntorch.add(n, 1, out=y)",
    "y = torch.zeros(2, 4, 3).transpose(1, 2)\ntorch.add(n, 1, out=y)",
    "torch.mul(n, 2, out=l)",
    "torch.neg(n, out=3)",
    "y = torch.zeros(2, 3, 4)\nz = torch.where(n > 3, n, n * 2, out=y)",
    "y = torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.int64)\nz = torch.max(n, 0, out=y)",
    "y = torch.zeros(0), torch.zeros(0, dtype=torch.int64)\nz = torch.sort(n, 0, out=y)",
    "torch.max(n, 0, out=(torch.zeros(3, 4),))",
    "torch.cumsum(n, 0, out=n)",
    "y = torch.zeros(2)\ntorch.take(n, i, out=y)",
    "y = torch.zeros(0)\ntorch.masked_select(n, n > 3, out=y)",
    "y = torch.zeros(3, 4)\ntorch.std(n, 0, out=y)",
    "y = torch.zeros(3, 4)\ntorch.std(x, 0, out=y)",
]


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
@pytest.mark.parametrize("source", OUT)
def test_results_go_where_the_caller_says(source):
    assert_same(source)


MATRICES = [
    "y = x[0].H\ny.add_(1)",
    "y = x.H",
    "y = w.H",
    "y = x.mH",
    "y = w.mH",
    "y = w.mT",
    "y = torch.adjoint(x)",
    "y = w.adjoint()",
    "y = w[0].mT\nz = w[0].adjoint()",
]


@pytest.mark.filterwarnings("ignore:.*deprecated on 0-D tensors")
@pytest.mark.parametrize("source", MATRICES)
def test_matrices_are_transposed(source):
    assert_same(source)


def test_the_adjoint_of_complex_matrices():
    for torch in SIDES:
        z = torch.tensor([[1 + 2j, 3j]], requires_grad=True)
        made = z.mH @ z
        assert made.tolist() == [[5, 6 + 3j], [6 - 3j, 9]]
        assert z.H.tolist() == z.adjoint().tolist() == [[1 - 2j], [-3j]]
        made.abs().sum().backward()
        assert z.grad.shape == (1, 2)


@pytest.mark.parametrize(
    "element", ["1.0", "100.0", "x[0]", "w[0]", "True", "'a'", "[1.0]", "None", "torch.ones(5)"]
)
def test_what_is_in_a_tensor(element):
    assert_same(f"y = torch.tensor({element} in x)")


@pytest.mark.parametrize("torch", SIDES, ids=["funcgrad", "pytorch"])
def test_a_tensor_says_which_output_it_is(torch):
    x = torch.ones(3, 2, requires_grad=True)
    rows = (x * 1).unbind()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers = [each.output_nr for each in (x, x * 2, *rows, rows[2].detach())]
    assert numbers == [0, 0, 0, 1, 2, 0]
