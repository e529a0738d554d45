"""Views: elements, geometry, place in the graph, gradients and complaints are PyTorch's."""

import pytest

from tests.both_sides import SIDES, assert_same

VIEWS = [
    "y = n[::2].view(1, 3, 4)",
    "y = n[:, ::3].view(2, 1, 4)",
    "y = n[::2].reshape(1, 3, 4)",
    "y = n[:0].view(0, 3, 4)",
    "y = n[::2, :, :0].view_as(n[::2, :, :0])",
    "y = x[0]",
    "y = x[:]",
    "y = x[...]",
    "y = x[None]",
    "y = x[:, 1]",
    "y = x[0, 1, 2]",
    "y = x[::2]",
    "y = x[0:2]",
    "y = x[:, 0:3]",
    "y = x[:, -2:, ::3]",
    "y = x[1:0]",
    "y = x.view(24)",
    "y = x.view(2, -1)",
    "y = x.reshape(6, 4)",
    "y = x.reshape(6, 4)[1]",
    "y = x.transpose(0, 2).reshape(6, 4)",
    "y = x.transpose(0, 2).flatten()",
    "y = x.transpose(0, 2)",
    "y = x.mT",
    "y = x[0].T",
    "y = x[0].t()",
    "y = x.permute(2, 0, 1)",
    "y = x.movedim(0, 2)",
    "y = x.movedim((0, 1), (1, 2))",
    "y = x.swapaxes(0, 1)",
    "y = x.flatten()",
    "y = x.flatten(1)",
    "y = x.flatten(0, 0)",
    "y = x.ravel()",
    "y = x.unflatten(2, (2, 2))",
    "y = x[:1].squeeze()",
    "y = x[:1].squeeze(0)",
    "y = x[:1].squeeze((0, 1))",
    "y = x[:1].squeeze(1)",
    "y = x.unsqueeze(1)",
    "y = x.unsqueeze(-1)",
    "y = x.expand(5, 2, 3, 4)",
    "y = x.expand(-1, 3, 4)",
    "y = x[:1].expand(4, -1, 4)",
    "y = x.expand_as(x)",
    "y = x.broadcast_to((5, 2, 3, 4))",
    "y = torch.broadcast_to(x, (5, 2, 3, 4))",
    "y = x.narrow(1, 1, 2)",
    "y = x.narrow(1, -2, 1)",
    "y = x.select(1, -1)",
    "y = x.diagonal()",
    "y = x.diagonal(1, 1, 2)",
    "y = x.diagonal(-1, -1, 0)",
    "y = x.unfold(2, 2, 1)",
    "y = x.unfold(1, 2, 1)",
    "y = x.as_strided((2, 2), (3, 1), 4)",
    "y = x[1].as_strided((2, 2), (3, 1))",
    "y = x[:, 1:].as_strided((2, 2), (3, 1))",
    "y = x.t() if x.ndim == 2 else x[0].t()",
    "a, b = x",
    "a, b = x.unbind()",
    "y = x.unbind(1)",
    "y = x.split(2, 1)",
    "y = x.split([1, 2], 1)",
    "y = x.chunk(3, 2)",
    "y = x.tensor_split(3, 2)",
    "y = x.tensor_split((1, 2), 2)",
    "y = x.hsplit(3)",
    "y = x.vsplit(2)",
    "y = x.dsplit(2)",
    "y = [row for row in x]",
    "y = x.contiguous()",
    "z = x.transpose(0, 1); y = z.contiguous()",
    "y = x.detach()",
    "y = x[0].detach()",
    "y = x.data",
    "y = x[0].data",
    "y = x[0][1:][:, 2]",
    "y = n[0]",
    "y = n.transpose(0, 1)[1:]",
    "y = n.unbind()",
    "y = x.view_as(x.reshape(4, 6))",
    "y = x.reshape_as(x.view(4, 6))",
    "y = x.view(7)",
    "y = x.transpose(0, 2).view(24)",
    "y = x.transpose(0, 5)",
    "y = x.permute(0)",
    "y = x.permute(0, 0, 1)",
    "y = x.select(0, 5)",
    "y = x.narrow(0, 1, 5)",
    "y = x.narrow(0, -3, 1)",
    "y = x.unfold(0, 5, 1)",
    "y = x.expand(3, 3, 4)",
    "y = x.expand(3)",
    "y = x.unsqueeze(5)",
    "y = x.squeeze(5)",
    "y = x.split(-1)",
    "y = x.split([1, 2])",
    "y = x.chunk(0)",
    "y = x.unbind(3)",
    "y = x.unflatten(0, (3,))",
    "y = x.flatten(1, 0)",
    "y = x.diagonal(0, 0, 0)",
    "y = x.as_strided((20,), (2,))",
    "y = x.as_strided((2,), (1,), 27)",
    "y = x.as_strided((2,), (1, 1))",
    "y = x.view(-1, -1)",
    "y = x.view(-1, 5)",
    "y = x.reshape(4)",
    "y = x.view()",
    "y = x.expand(-1, 2, 3, 4)",
    "y = x.t()",
    "y = x[0, 0].mT",
    "for row in w.sum(): pass",
]


@pytest.mark.parametrize("source", VIEWS)
def test_a_view_is_what_it_is_in_pytorch(source):
    assert_same(source)


RESULTS = [
    "y = (x.transpose(0, 1) * 2).reshape(-1)",
    "y = (x.transpose(0, 1) * 2).view(-1)",
    "y = x.transpose(0, 1) * 2\nz = y.reshape(-1)\nz.add_(1)",
    "y = x.transpose(0, 1).sin()\nz = y[0]\nz.mul_(2)",
    "y = x.transpose(0, 1) + x.transpose(0, 1)",
    "y = x.transpose(0, 1) + torch.ones(3, 2, 4)",
    "y = torch.ones(3, 2, 4) + x.transpose(0, 1)",
    "y = x.transpose(0, 1) + w[:, None, None]",
    "y = x.transpose(0, 1).clone()\ny[0] = 1",
    "y = x.transpose(0, 2) ** 2",
    "y = x.transpose(0, 2) > 3",
    "y = x.transpose(0, 2).double()",
    "y = x[:, ::2] * 1",
    "y = x[:, ::2].transpose(0, 1) * 1",
    "y = x.transpose(0, 1).expand(5, 3, 2, 4) * 1",
    "y = x.transpose(0, 2).clamp(2, 5)",
    "y = torch.where(x.transpose(0, 2) > 3, x.transpose(0, 2), 0.0)",
    "y = torch.zeros_like(x.transpose(0, 2))",
    "y = torch.rand_like(x.transpose(0, 2)) * 0",
    "y = x.transpose(0, 2).contiguous()",
    "y = x.transpose(0, 1).sum(0)",
    "y = x.transpose(0, 2).flip(0)",
    "y = x.transpose(0, 2).sort(0)[0]",
    "y = x.transpose(0, 2).lerp(x.transpose(0, 2), 0.5)",
]


@pytest.mark.parametrize("source", RESULTS)
def test_a_result_lies_in_memory_as_in_pytorch(source):
    assert_same(source)


def test_a_view_that_must_not_be_used_is_printed_so():
    printed = []
    for torch in SIDES:
        base = torch.tensor([1.0, 2.0], requires_grad=True) * 1
        with torch.no_grad():
            view = base[0]
        base.mul_(2)
        printed.append(repr(view))
    assert printed[0] == printed[1] == "tensor(2., grad_fn=<Invalid>)"


COMPLEX = [
    "c = torch.view_as_complex(l[:, :, :2] * 1)\ny = torch.view_as_real(c)\nz = c.real\nv = c.imag",
    "c = torch.view_as_complex((l * 1).view(2, 3, 2, 2))\ny = c.real\ny.mul_(2)",
    "c = torch.view_as_complex((l * 1).view(2, 3, 2, 2)) * 1\ny = c.imag\ny[0] = 5.0\nc.real.mul_(w[:, None])",
    "r = l * 1\nc = torch.view_as_complex(r.view(2, 3, 2, 2))\nc.mul_(2)\nc[0] = 3.0",
    "c = torch.view_as_complex(n.view(2, 3, 2, 2))\nc.mul_(1j)\ny = c.real.clone()",
    "c = torch.view_as_complex(n.view(2, 3, 2, 2))\nv = torch.view_as_real(c)\nv[0] = 7.0",
    "c = torch.view_as_complex(n.view(2, 3, 2, 2))\nc.imag.copy_(w[:, None])",
    "y = torch.view_as_complex(torch.ones(3))",
    "y = torch.view_as_complex(torch.ones(2, 2).t())",
    "y = torch.view_as_complex(torch.ones(3, 3)[:, :2])",
    "y = torch.view_as_complex(torch.ones(9)[1:].view(4, 2))",
    "y = torch.view_as_complex(torch.ones(2, 2, dtype=torch.int64))",
    "y = torch.view_as_real(x)",
    "y = x.real",
    "y = x.imag",
]


@pytest.mark.parametrize("source", COMPLEX)
def test_complex_and_real_elements_share_memory(source):
    assert_same(source)
