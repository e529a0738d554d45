"""An op saves the tensors that PyTorch's op saves: changing one in place is an error, in PyTorch's words."""

import warnings

import pytest

from tests.both_sides import SIDES, assert_same, ours, theirs

CALLS = """
a.abs(); a.square(); a.relu(); a.sign(); a.reciprocal(); a.exp(); a.expm1(); a.log(); a.sqrt(); a.rsqrt(); a.sin()
a.tan(); a.tanh(); a.erf(); a.sigmoid(); a + b; a * b; a / b; 2 / a; a * 2; torch.maximum(a, b); torch.atan2(a, b)
a ** 2; a ** 3; a ** 0.5; a ** 1; a ** 0; a ** b; 2 ** a; a.pow(b.detach()); a.pow_(2); a.pow_(b)
a.sum(0); a.mean(); a.prod(); a.prod(0); a.amax(); a.amin(0); a.max(); a.min(); a.max(0)[0]; a.min(1)[0]
a.logsumexp(0); a.var(0); a.std(); a.std(0); a.norm(); a.norm(dim=0); a.norm(1); a.cumsum(0); a.cumprod(0)
a.logcumsumexp(0); a.sort(0)[0]; a.topk(1, 0)[0]; a.softmax(0); a.log_softmax(0); a @ b; a @ b[0]; a[0] @ b[0]
a[None] @ b[None]; torch.outer(a[0], b[0]); torch.clamp(a, 0.2, 0.5); torch.clamp(a, min=b); torch.lerp(a, b, 0.5)
torch.lerp(a, b, c); torch.addcmul(a, b, c); torch.addcdiv(a, b, c); torch.where(c > 0.3, a, b); a.masked_fill(m, 2.0)
a.masked_select(m); a.masked_scatter(m, b); a[m]; a[i]; a[i, i]; a.index_select(0, i); a.gather(0, i[None]); a.take(i)
a.take_along_dim(i[None], 0); a.scatter(0, i[None], b[:1]); a.scatter_add(0, i[None], b[:1]); a.index_add(0, i, b)
a.index_copy(0, i, b); a.index_fill(0, i, 2.0); a.index_put((i,), b); torch.cat([a, b]); a.double(); a.diagonal()
a.exp_(); a.sqrt_(); a.mul_(b); a.div_(b); a.copy_(b); a.clamp_(0.2, 0.5); a.masked_fill_(m, 2.0); a.addcmul_(b, c)
a.index_put_((i,), b); a.tanh_(); a.reciprocal_(); a.sin_(); a[0].exp_(); a[0].mul_(b[0]); a[0].sin_(); a[0].copy_(b[0])
a.__setitem__(m, b[0, 0]); a.index_add_(0, i, b); a.cummax(0)[0]; a.cummin(1)[0]; a.aminmax()[0]; a.aminmax(dim=0)[1]
a.median(); a.nanmedian(); a.kthvalue(1, 0)[0]; a.mode(0)[0]; torch.std_mean(a)[0]; torch.var_mean(a, 0)[0]
torch.frexp(a)[0]; torch.linalg.svd(a)[1]; torch.linalg.eigh(a)[0]; torch.linalg.qr(a)[0]; torch.linalg.qr(a)[1]
torch.linalg.slogdet(a)[1]; torch.linalg.lu_factor(a)[0]; torch.linalg.inv_ex(a)[0]; torch.linalg.lstsq(a, b)[0]
"""


def touched(torch, call, which):
    """The message of `backward()` after some of the tensors around a call, or its result, were changed in place."""
    leaf = torch.tensor([[0.3, 0.6], [0.4, 0.7]], requires_grad=True)
    a, b, c = leaf * 1, leaf.t() / 1.1, leaf + 0.1
    scope = {"torch": torch, "a": a, "b": b, "c": c}
    scope |= {"i": torch.tensor([0, 1]), "m": torch.tensor([[True, False], [True, True]])}
    result = eval(call, scope)
    result = a if result is None else result
    for name in which:
        changed = (result if name == "result" else scope[name]).detach()
        changed.logical_and_(changed) if changed.dtype is torch.bool else changed.mul_(1)
    try:
        result.sum().backward()
    except RuntimeError as error:
        return str(error)
    return "fine"


@pytest.mark.parametrize(
    "call", [call for line in CALLS.split("\n") for call in line.split("; ") if call]
)
def test_what_an_op_saves_must_not_be_changed_in_place(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `**`, that a leaf's gradient may be NaN
        for which in (["a"], ["b"], ["c"], ["i"], ["m"], ["result"], ["a", "b", "c"]):
            assert touched(ours, call, which) == touched(theirs, call, which), which


CHANGES = {
    "nothing": "",
    "written": "{0}.mul_(2)",
    "written without grad": "with torch.no_grad(): {0}.mul_(2)",
    "written to its memory": "{0}.detach().mul_(2)",
    "detached": "{0}.detach_()",
    "written and detached": "{0}.mul_(2)\n{0}.detach_()",
    "detached and written": "{0}.detach_()\n{0}.mul_(2)",
    "attached anew": "{0}.detach_()\n{0}.mul_(w[0])",
}


@pytest.mark.parametrize("op", ["a * b", "a @ b.t()", "a.tanh() / b", "torch.lerp(a, b, a)"])
@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
def test_of_two_that_were_changed_the_complaint_is_of_the_same_one(first, second, op):
    lines = [f"a, b = l[0].sin(), l[1].cos()\nz = {op}"]
    lines += [CHANGES[first].format("a"), CHANGES[second].format("b")]
    assert_same("\n".join(lines), atol=1e-6)


RESULTS = """
torch.linalg.lu(s); torch.lu_unpack(*torch.linalg.lu_factor(s)); torch.linalg.svd(s); torch.linalg.qr(s); s.max(0)
torch.linalg.slogdet(s); torch.linalg.cholesky_ex(s); torch.linalg.inv_ex(s); torch.frexp(s); s.sort(); s.topk(1)
torch.linalg.lstsq(s, s, driver="gelsd")[::2]; torch.unique(s, return_inverse=True); torch.histogram(s, 3)
torch.var_mean(s); torch.aminmax(s); s.cummax(0); s.median(0); torch.nn.functional.max_pool1d(s, 2, return_indices=True)
"""


@pytest.mark.parametrize(
    "call", [call for line in RESULTS.split("\n") for call in line.split("; ") if call]
)
def test_the_results_with_a_gradient_are_those_of_pytorch(call):
    def required(torch):
        s = torch.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)
        return [each.requires_grad for each in eval(call, {"torch": torch, "s": s})]

    assert required(ours) == required(theirs)


PROGRAMS = [
    "z = x * x\nx.add_(1)",
    "z = x * x\nx.add_(1)\nx.mul_(2)\nx.sub_(1)",
    "z = x * x\nx.add_(1)\nq = x * x\nx.mul_(2)",
    "z = x * x\nx.detach().add_(1)",
    "z = x * x\nx.copy_(l)",
    "z = x * x\nx.fill_(w[0])",
    "z = x * x\nx.zero_()",
    "z = x * x\nx[0] = x[1]",
    "z = l * l\nwith torch.no_grad(): l.add_(1)",
    "d = x.detach()\nz = x * x\nd.mul_(w[0])",
    "d = x.detach()\nz = l * d\nd.mul_(w[0])",
    "d = x.detach()\nz = l * d\nx.mul_(w[0])",
    "d = l.detach()\nz = l * l\nd.mul_(w[0])",
    "z = x * n\nn.mul_(2)",
    "z = x * n\nn.mul_(l)",
    "z = x * n\nn[0] = w[0]",
    "y = x * 1\nz = y * y\ny.add_(1)\ndel y",
    "y = x.exp()\ny.add_(1)",
    "y = x.exp()\nwith torch.no_grad(): y.add_(1)",
    "y = x.tanh_()\nx.mul_(2)",
    "y = x.sigmoid()\ny[0] = 1",
    "x[0].exp_()\nx.add_(1)",
    "z = x[0].exp_()\nz.add_(1)",
    "v = x[0]\nz = v * v\nv.add_(1)",
    "v = x[0]\nz = v * v\nx.add_(1)",
    "v = x[0]\nz = v * v\nx[1].add_(1)",
    "v = n[0]\nz = v * w[0]\nn.mul_(w[0])",
    "v = n[0]\nz = v * w[0]\nn.mul_(2)",
    "v = n[0]\nz = v * w[0]\nv.mul_(w[0])",
    "z = x[0] * x[1]\nx.add_(1)",
    "y = x.expand(3, 2, 3, 4)\nz = y * y\nx.add_(1)",
    "y = x.transpose(0, 1)\nz = y @ y.transpose(1, 2)\nx.add_(1)",
    "a, b = x.unbind()\nz = a * b\nx.add_(1)",
    "a, b = x.unbind()\nz = a * b\nwith torch.no_grad(): x.add_(1)",
    "with torch.no_grad(): v = x[0]\nz = v * w[0]\nx.add_(1)",
    "with torch.no_grad(): v = n[0]\nz = v * w[0]\nn.add_(1)",
    "with torch.no_grad(): v = n[0]\nv.requires_grad_()\nz = v * v\nn.add_(1)",
    "v = n[0]\nz = v * w[0]\nn.mul_(w[0])\nn.detach_()",
    "z = n * w[0]\nn.mul_(w[0])\nn.detach_()",
    "x.detach_()\nv = x[0]\nz = v * w[0]\nv.mul_(2)",
    "x.detach_()\nz = x * w[0]\nx.mul_(w[0])",
    "x.mul_(w[0])\nx.detach_()\nz = x * w[0]\nx.mul_(w[0])\nx.mul_(2)",
    "z = x.logsumexp(0)\nz.mul_(2)\nx.detach_()",
    "z = x.logsumexp(0)\nz.mul_(2)\nx.mul_(2)\nx.detach_()",
    "with torch.no_grad(): v = n[0]\nz = v * w[0]\nn.add_(w[0])",
    "z = x * m[:, :, None]\nm.logical_not_()",
    "y = x.double()\nz = y * y\ny.add_(1)",
    "y = x.to(torch.bfloat16)\nz = y * y\ny.add_(1)",
    "y = torch.view_as_complex(x.view(2, 3, 2, 2))\nz = y * y\ny.add_(1)",
    "a, b = x.max(0)\nb.add_(1)",
    "y = torch.zeros(3)\nfor k in range(3): y[k] = (w * y).sum()",
]


@pytest.mark.parametrize("source", PROGRAMS)
def test_the_complaint_says_which_op_made_what_was_changed(source):
    assert_same(source)


FUNCTION = """
class F(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        r = a * 2
        ctx.save_for_backward(a, r)
        return r

    @staticmethod
    def backward(ctx, g):
        a, r = ctx.saved_tensors
        return g * a

"""


@pytest.mark.parametrize(
    "source",
    [
        "y = F.apply(x)\nx.add_(1)",
        "y = F.apply(x)\ny.add_(1)",
        "y = F.apply(l)\nwith torch.no_grad(): l.add_(1)",
        "v = x[0]\ny = F.apply(v)\nx.mul_(2)",
        "y = F.apply(x)\nx.detach_()",
        "y = F.apply(x)\nx.detach_()\nx.mul_(2)",
        "y = F.apply(x)\nx.mul_(2)\nx.detach_()",
        "y = F.apply(x)\nx.detach_()\nx.mul_(w[0])",
        "x.mul_(w[0])\ny = F.apply(x)\nx.mul_(w[0])\nx.detach_()",
        "v = x[0]\ny = F.apply(v)\nx.mul_(2)\nx.detach_()",
        "v = x.unbind()[0]\ny = F.apply(v)\nx.mul_(2)\nx.detach_()",
    ],
)
def test_the_complaint_of_a_custom_function_says_it_too(source):
    assert_same(FUNCTION + source)


def test_in_anomaly_mode_the_hint_points_to_the_backtrace():
    said = []
    for torch in SIDES:
        x = torch.ones(2, requires_grad=True) * 1
        with warnings.catch_warnings(), torch.autograd.set_detect_anomaly(True):
            warnings.simplefilter("ignore")
            y = x * x
            x.add_(1)
            with pytest.raises(RuntimeError) as caught:
                y.sum().backward()
        said.append(str(caught.value))
    assert said[0] == said[1]
