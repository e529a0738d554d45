"""Small programs in the manner of forum questions and bug reports about autograd: values, gradients and errors are PyTorch's."""

import warnings

import numpy as np
import pytest

from tests.both_sides import assert_same, attempt, ours, theirs


def sources(text):
    """The programs in a text, by their titles, which are comments."""
    found = {}
    for part in text.split("# --- ")[1:]:
        title, _, program = part.partition("\n")
        found[title] = program
    return found


PROGRAMS = sources("""
# --- asarray keeps the graph of a tensor
x = torch.tensor([1.0, 2.0], requires_grad=True)
y = torch.asarray(x * 3)
(torch.asarray(x, dtype=torch.float64) ** 2 + y + torch.asarray(y, copy=True)).sum().backward()
see(torch.asarray(x) is x, torch.asarray(y) is y, x.grad)
see(torch.asarray(y, requires_grad=False), torch.asarray(y, requires_grad=True) is y)
see(torch.asarray(x, requires_grad=False) is x, x)
# --- a copy of a module with the handle of a hook removes its own hook
import copy, pickle
nn, calls = torch.nn, []
m = nn.Linear(1, 1)
m.handle = m.register_forward_hook(len)
def called(*modules):
    calls.clear()
    for each in modules:
        each(torch.ones(1, 1))
    return len(calls)
c = copy.deepcopy(m)
m._forward_hooks[m.handle.id] = c._forward_hooks[c.handle.id] = lambda *_: calls.append(1)
see(called(m, c))
c.handle.remove()
see(called(m), called(c), m.register_forward_hook(print).id > c.handle.id)
lazy = pickle.loads(pickle.dumps(nn.LazyLinear(4)))
see(lazy(torch.ones(2, 3)).shape, str(lazy), copy.deepcopy(nn.LazyConv2d(4, 3))(torch.ones(1, 2, 5, 5)).shape)
# --- a loss without variances
x = torch.ones(2)
see(type(attempt(torch.nn.functional.gaussian_nll_loss, x, x, None)).__name__)
# --- slice_scatter in Python 3.11, whose slices have no hash
x = torch.arange(12.0).reshape(3, 4).requires_grad_()
s = torch.ones(2, 4, requires_grad=True)
y = torch.slice_scatter(x, s, 0, 1)
y.sin().sum().backward()
see(y, x.grad, s.grad, x.slice_scatter(torch.zeros(3, 2), dim=1, start=0, end=4, step=2))
# --- saved tensors are packed in the order of PyTorch's names for them
def order(function, *tensors):
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t.detach()) or t, lambda t: t):
        function(*tensors)
    see(packed)
x, y, z = (torch.tensor(each, requires_grad=True) for each in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]))
order(lambda x, y: x * y, x, y)
order(lambda x, y: x / y, x, y)
order(torch.atan2, x, y)
order(torch.addcdiv, x, y, z)
order(torch.maximum, x, y)
order(torch.mm, x[None], y[:, None])
# --- a mask of bytes is refused after a warning, and index_reduce warns that it is new
see(attempt(lambda: torch.zeros(3).masked_scatter(torch.tensor([1, 0, 1], dtype=torch.uint8), torch.ones(3))))
see(torch.zeros(3).index_reduce(0, torch.tensor([0, 2]), torch.tensor([3.0, 4.0]), "amax"))
# --- an orthogonal polynomial has no graph
x, n = torch.tensor([0.3, 0.6], requires_grad=True), torch.tensor([2.0, 3.0], requires_grad=True)
names = [name for name in dir(torch.special) if "polynomial" in name]
see(names, [getattr(torch.special, name)(x, n) for name in names])
see([getattr(torch.special, name)(x, 2).requires_grad for name in names])
# --- einsum sums over operands of one dtype
x, y = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64)
for equation in ("ij,ij->i", "ij,kj->ik", "ij,ij->ij", "ij,kj->ijk"):
    see(attempt(torch.einsum, equation, x, y))
see(attempt(torch.einsum, "ij,kj->ik", x, y[:, :1]))
# --- requires_grad cannot be set on a result
y = torch.ones(2, requires_grad=True) * 2
see(attempt(setattr, y, "requires_grad", True), attempt(setattr, y, "requires_grad", False), y.requires_grad_())
# --- spread and norms of a number along a dimension
x = torch.tensor(-3.0)
see(x.var(0), x.std(-1, correction=0), torch.var_mean(x, 0), torch.linalg.norm(x, dim=-1))
see(torch.linalg.vector_norm(x, 1, dim=0, keepdim=True), torch.cov(torch.ones(2, 1)), x.T)
# --- an index larger than the tensor in another dimension, and overlapping sources, are refused
k, f = torch.tensor([0, 2, 1]), torch.arange(12.0).reshape(3, 4)
see(attempt(torch.zeros(3, 1).scatter, 0, k[None], 2), attempt(torch.zeros(3, 1).scatter_, 0, k, 2))
for name, *rest in (("index_copy_", k), ("index_add_", k), ("scatter_", k[None]), ("scatter_add_", k[None])):
    see(attempt(getattr(f, name), 0, *rest, f))
see(attempt(f.scatter_reduce_, 0, k[None], f, "amax"), attempt(torch.add, f[:2], 1, out=f[1:]), f)
see(attempt(torch.cumsum, f[:2], 0, out=f[1:]), attempt(torch.mul, f, 2, out=f.expand(2, 3, 4)), f)
see(attempt(torch.cat, [f[:1], f[1:2]], out=f[1:]), torch.exp(f * 0, out=f))
# --- losses of mixed dtypes
F = torch.nn.functional
x = torch.tensor([0.2, 0.7], requires_grad=True)
y = torch.tensor([0.5, 0.3], dtype=torch.float64)
see(F.binary_cross_entropy_with_logits(x, y), F.binary_cross_entropy_with_logits(y, x.detach()))
for a, b in ((x, y), (y, x)):
    loss = F.huber_loss(a, b)
    see(loss.detach(), loss.requires_grad, attempt(loss.backward))
see(attempt(F.huber_loss, torch.tensor([1, 2]), y), attempt(F.soft_margin_loss, torch.tensor([1, 2]), y))
see(F.soft_margin_loss(x, y).dtype, attempt(F.soft_margin_loss, y, x))
see(attempt(F.kl_div, x, torch.tensor([0, 1])), attempt(F.kl_div, x, torch.tensor([0j, 1])))
see(attempt(F.margin_ranking_loss, torch.ones(2, 3), torch.ones(3, 2), torch.ones(2, 3)))
# --- cosine similarity counts its dimension in the broadcast shape
b = torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
c = torch.tensor([[0.2], [-0.7], [1.1]])
for dim in (1, -2, 0):
    y = torch.nn.functional.cosine_similarity(b, c, dim)
    y.sum().backward()
    see(y.detach(), b.grad)
see(attempt(torch.nn.functional.cosine_similarity, b, c, 2))
# --- random numbers are drawn in the order of the memory
for n in ((3, 4), (5, 4), (2, 3, 4)):
    x = torch.arange(float(np.prod(n))).reshape(n) / 30
    for y in (x.transpose(0, 1), x[..., ::2], x.transpose(-1, 0).contiguous()):
        for call in (
            torch.rand_like, torch.randn_like, lambda y: torch.randint_like(y, 10), torch.bernoulli,
            lambda y: torch.randint_like(y, low=-5, high=10), lambda y: y.clone().normal_(), lambda y: (y * 1).uniform_(),
            lambda y: torch.empty_like(y, dtype=torch.complex64).normal_(), lambda y: torch.randn_like(y.double()),
            torch.nn.functional.gumbel_softmax, lambda y: torch.rand_like(y, memory_format=torch.contiguous_format),
            lambda y: torch.nn.init.trunc_normal_(torch.empty_like(y)), torch.nn.functional.dropout,
        ):
            torch.manual_seed(1)
            made = call(y)
            see(made.flatten() if made.dtype.is_complex else made.sum(-1), made.stride())
# --- index_reduce checks its source
k, a = torch.tensor([0, 2, 1]), torch.zeros(3, 4)
for index, source in ((k, a[:, :1]), (k[:2], a), (k, a[0]), (k, a.double()), (k.float(), a)):
    see(attempt(a.index_reduce, 0, index, source, "mean"))
see(attempt(torch.zeros(3, 1).index_reduce, 0, k, a, "mean"), attempt(a.index_add, 0, k.float(), a))
# --- a number has no dimension to repeat along; searches promote
see(attempt(torch.tensor(2.0).repeat_interleave, 2, 0), torch.tensor(2.0).repeat_interleave(2))
bounds = torch.tensor([0.0, 1.0, 2.0])
see(torch.bucketize(torch.tensor([0.5, 1.5], dtype=torch.float64), bounds), torch.bucketize(torch.tensor([1, 2]), bounds))
see(torch.searchsorted(bounds, torch.tensor([0.5], dtype=torch.float16)), torch.bucketize(torch.tensor([0.5]), bounds.long()))
see(attempt(torch.bucketize, torch.tensor([0.5j]), bounds))
# --- a warning about cycles comes after the check of the roots
see(attempt(torch.ones(()).backward, create_graph=True))
# --- an array in another byte order is refused
for make in (torch.from_numpy, torch.tensor, torch.as_tensor):
    see(attempt(make, np.arange(3, dtype=">f4")))
# --- a hook after accumulation has to return nothing
for returned in (lambda p: p, lambda p: p.grad, lambda p: 3, lambda p: torch.ones(3), lambda p: (p,)):
    x = torch.ones(2, requires_grad=True)
    x.register_post_accumulate_grad_hook(returned)
    see(attempt(lambda: x.sum().backward()))
# --- clamp between equal bounds
x = torch.tensor([-2.0, 0.5, 1.0, 2.0], requires_grad=True)
for low, high in ((0.5, 0.5), (0.0, 1.0), (1.0, 0.0)):
    low, high = (torch.full((4,), each, requires_grad=True) for each in (low, high))
    x.grad = None
    x.clamp(low, high).sum().backward()
    see(x.grad, low.grad, high.grad)
# --- the branch that where does not choose has an infinite slope
x = torch.tensor([-1.0, 0.0, 4.0], requires_grad=True)
torch.where(x > 0, x.sqrt(), x).sum().backward()
see(x.grad)
a = torch.tensor(100.0, requires_grad=True)
torch.where(a <= 0, a.exp(), 1 + a).backward()
see(a.grad)
# --- a quotient of zeros is replaced
x, n = torch.tensor([0.0, 1.0], requires_grad=True), torch.tensor([0.0, 2.0])
y = x / n
torch.where(n == 0, torch.zeros_like(y), y).sum().backward()
see(x.grad)
# --- a row of softmax is all masked
s = torch.tensor([[-inf, -inf], [0.0, -inf]], requires_grad=True)
s.softmax(1)[1].sum().backward()
see(s.softmax(1), s.grad)
# --- indices come twice
x = torch.tensor([0.1, 0.7], requires_grad=True)
x.gather(0, torch.tensor([0, 0, 1])).backward(torch.tensor([0.2, 0.3, 1.0]))
x[torch.tensor([0, 0])].sum().backward()
b = torch.zeros(4)
b[torch.tensor([1, 1, 2])] += 1
b.index_put_((torch.tensor([1, 1, 2]),), torch.tensor([1.0, 2.0, 3.0]), accumulate=True)
see(x.grad, b)
# --- an in-place product saves its operand as it was
a = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
b = torch.tensor([1.0, 3.0, 5.0], requires_grad=True)
c = a * 2
c *= b
c.relu_().sum().backward()
see(a.grad, b.grad)
# --- a hook belongs to the tensor before it was written
a = torch.tensor([1.0], requires_grad=True).clone()
heard = []
a.register_hook(lambda g: heard.append(g.item()))
a.retain_grad()
a.mul_(2)
(a + 1).sum().backward()
see(heard, a.grad)
# --- what is detached is written, and the result was saved
x = torch.tensor([1.0, 2.0], requires_grad=True)
z = x.exp()
z.detach().zero_()
see(attempt(lambda: z.sum().backward()))
# --- the remainder of negative numbers and quotients that are rounded
x, y = torch.tensor([5.0, 5.0, -5.0, -5.0]), torch.tensor([3.0, -3.0, 3.0, -3.0])
see(x % y, torch.fmod(x, y), x // y, torch.tensor([10.0]) // 0.1, torch.tensor(-7) // 2)
see(torch.remainder(torch.tensor(1693446850, dtype=torch.int32), torch.tensor([7285], dtype=torch.int16)))
# --- a loss without a target that counts
x = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
loss = torch.nn.functional.cross_entropy(x, torch.tensor([-100]))
loss.backward()
see(loss, x.grad)
# --- counts of a histogram have no gradient
x = torch.tensor([0.5, 1.5, 1.7], requires_grad=True)
see(torch.histc(x, 2, 0, 2))
# --- what shares memory with another library has no gradient
x = torch.ones(2, requires_grad=True)
see(attempt(torch.from_dlpack, x), torch.from_dlpack(x.detach()))
# --- elements equal to the median share its gradient
for values in ([0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 2.0], [float("nan"), 1.0, 1.0], [float("nan"), float("nan")]):
    for name in ("median", "nanmedian"):
        x = torch.tensor([values, values], requires_grad=True)
        getattr(x, name)().backward()
        getattr(x, name)(1)[0].sum().backward()
        see(x.grad)
# --- the distances of two dtypes are refused
a, b = torch.ones(3, 4), torch.ones(3, 4, dtype=torch.float64)
see([attempt(torch.cdist, *each) for each in ((a, b), (b, a), (a, b, 1.0))])
# --- set_ takes nothing, or a tensor
see([type(attempt(torch.ones(3).set_, each)) for each in (None, 3)], torch.ones(3).set_())
# --- NaN has no singular values
a = torch.tensor([[1.0, float("nan")], [2.0, 3.0]])
for name in ("svd", "svdvals", "pinv", "matrix_rank", "cond"):
    for x in (a, torch.stack([torch.eye(2), a]), a[:1]):
        see(attempt(getattr(torch.linalg, name), x))
see([attempt(torch.linalg.matrix_norm, a, order) for order in (2, -2, "nuc")], attempt(torch.pinverse, a), attempt(torch.svd, a))
see([type(attempt(torch.linalg.lstsq, *each)) for each in ((a, torch.eye(2)), (torch.eye(2), a))])
# --- a number written by a mask to an expanded tensor, with PyTorch's warning
b = torch.tensor([1.0, -1.0, 2.0])
b.expand(2, 3)[torch.ones(2, 3) > 0] = 4.0
see(b)
# --- a hook that raises leaves out the leaves that come later
def stop(p): raise ValueError("stop")
for which in range(3):
    for function in (
        lambda x, w, v: x * w * w, lambda x, w, v: w * x + x * v, lambda x, w, v: (x * w).sin() * v,
        lambda x, w, v: torch.stack([x, w, v]), lambda x, w, v: torch.addcmul(v, w, x),
    ):
        for name in ("register_post_accumulate_grad_hook", "register_hook"):
            leaves = [torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(3)]
            getattr(leaves[which], name)(stop)
            see(attempt(function(*leaves).sum().backward), [each.grad for each in leaves])
# --- the distance of integers is a real number
i = torch.tensor([0, 2, 1])
see(torch.nn.functional.pairwise_distance(i, i + 1))
# --- the state of a generator goes into a checkpoint, and comes back
import io
g = torch.Generator()
g.manual_seed(3)
torch.rand(5, generator=g)
file = io.BytesIO()
torch.save({"state": g.get_state()}, file)
file.seek(0)
ahead = torch.randn(3, generator=g)
h = torch.Generator()
see(h.set_state(torch.load(file)["state"]) is h, ahead, torch.randn(3, generator=h))
for wrong in (3, torch.zeros(5056), [1], torch.zeros(5, dtype=torch.uint8), None):
    see(attempt(h.set_state, wrong))
see(type(torch.manual_seed(0)) is torch.Generator, g.get_state())
# --- the rank of a matrix said to be Hermitian is that of its lower triangle
A = torch.tensor([[1.0, 9.0, -3.0], [0.0, 2.0, 5.0], [0.0, 0.0, 1e-9]], dtype=torch.float64)
see(torch.linalg.matrix_rank(A, hermitian=True), torch.linalg.matrix_rank(A.mT, hermitian=True))
see(torch.linalg.matrix_rank(A * (1 + 2j), atol=3.0, rtol=0.0, hermitian=True))
# --- one class, given without a dimension, for a batch of rows
F, x, z = torch.nn.functional, torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 1.0]]), torch.tensor(1)
for function in (F.nll_loss, F.cross_entropy):
    see([attempt(function, each, z) for each in (x, x[0], x[None], x[:0], x[None, None])])
see(attempt(F.nll_loss, x[0, 0], z), attempt(F.cross_entropy, x[0, 0], z))
# --- a complex number becomes a real one if it has no imaginary part
for z in (1 + 0j, 2.5 + 0j, 1 + 2j, -0.5j, complex("nan"), complex("inf")):
    see([attempt(convert, torch.tensor(z)) for convert in (int, float, complex, bool)], attempt("{:.1f}".format, torch.tensor(z)))
# --- the parameter of a distribution of vectors
see(torch.distributions.OneHotCategorical(torch.ones(3))._param, torch.distributions.OneHotCategorical(logits=torch.ones(3))._param)
# --- a kernel of size zero is refused
F, x = torch.nn.functional, torch.ones(2, 3, 6, 6)
see([type(attempt(f, x, w)) for f in (F.conv2d, F.conv_transpose2d) for w in (torch.ones(3, 3, 0, 0), torch.ones(3, 3, 1, 0))])
# --- ctc_loss casts targets, and takes no lengths but integers
x = torch.linspace(-1, 1, 48).sin().reshape(6, 2, 4).log_softmax(2)
y, six, two = torch.tensor([[1, 2], [3, 1]]), torch.tensor([6, 5]), torch.tensor([2, 1])
for kind in ("uint8", "int32", "int64", "float32", "float64", "bool"):
    dtype = getattr(torch, kind)
    see(attempt(torch.nn.functional.ctc_loss, x, y.to(dtype), six, two, 0, "none"))
    see(attempt(torch.nn.functional.ctc_loss, x, y, six.to(dtype), two, 0, "none"))
see(type(attempt(torch.nn.functional.ctc_loss, x, y, (6.0, 5), (2, 1))))
""")


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_a_question_has_pytorchs_answer(text):
    def program(torch, see):
        scope = {"torch": torch, "see": see, "attempt": attempt, "inf": float("inf"), "np": np}
        exec(text, scope)

    assert_same(program)


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_third_tensor_is_refused(name):
    for torch in (theirs, ours):
        x = torch.ones(2)
        with pytest.raises(TypeError):
            getattr(torch, name)(x, x, x)


@pytest.mark.parametrize("name", ["scatter_reduce", "index_reduce"])
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize(
    "factors", [[1.0, 3.0, 3.0, 0.0, 2.0], [0.0, 0.0, 3.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]]
)
def test_factors_that_meet_at_one_place_have_gradients(name, include_self, factors):
    def gradients(torch):
        start = torch.tensor([3.0, 0.5, 1.0], requires_grad=True)
        source = torch.tensor(factors, requires_grad=True)
        where = torch.tensor([0, 0, 0, 1, 1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(start, name)
            made = function(0, where, source, "prod", include_self=include_self)
            made.sum().backward()
        return made, start.grad, source.grad

    assert_same(lambda torch, see: see([each.detach() for each in gradients(torch)]))


def test_second_derivatives_of_factors_that_meet_are_exact():
    torch = ours
    start = torch.tensor([2.0, 0.5], dtype=torch.float64, requires_grad=True)
    source = torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64, requires_grad=True)

    def function(start, source):
        return start.scatter_reduce(0, torch.tensor([0, 1, 0]), source, "prod")

    assert torch.autograd.gradgradcheck(function, (start, source))
