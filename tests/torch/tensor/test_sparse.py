"""Sparse tensors, in coordinate format or compressed: each expression prints the same on both sides, and gradients are PyTorch's."""

import copy
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
from tests.both_sides import SIDES, assert_same, attempt, ours, theirs

pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse invariant checks"
)  # PyTorch's, once a process
# `s` has an index twice, `c` is coalesced, `k` and `q` are compressed, `g` comes of values that require grad, `d` is dense, `h` has dense dimensions.
EXPRESSIONS = """
    s, c, g, g.coalesce(), h, h.to_dense(), s * 2, 2 * c, s / 2, -c, (s + c).to_dense(), (c + c).is_coalesced(), s - s, c * c, s * d
    d + s, d - c, d.t() @ s, s @ d.t(), s @ torch.ones(3), torch.mm(s, d.t()), torch.mm(d.t(), c), torch.spmm(s, d.t())
    torch.sparse.mm(s, s.t()), torch.sparse.mm(g, d.t()), torch.mv(s, torch.ones(3)), torch.matmul(c, d.t())
    torch.sparse.addmm(torch.ones(2, 2), s, d.t(), beta=2, alpha=3), torch.addmm(torch.ones(2, 2), s, d.t())
    s.t(), c.t().is_coalesced(), c.transpose(0, -1), s.permute(1, 0), s.T, s.unsqueeze(0), h.permute(0, 2, 1)
    torch.sparse.sum(s), torch.sparse.sum(s, dim=0), torch.sparse.sum(s, 1), s.sum((0, 1)), torch.sum(h, -1), h.sum(0)
    torch.sparse.softmax(s, dim=1), torch.sparse.log_softmax(s, 0), s.abs(), torch.relu(s), s.sqrt(), s ** 2, s.norm()
    s._indices(), s._values(), c.indices(), c.values(), s._nnz(), s.sparse_dim(), h.dense_dim(), s.shape, s.numel(), len(s)
    s.layout, s.is_sparse, d.is_sparse, s.dtype, s.device, s.type(), s.double(), s.long(), s.to(torch.float16), s.bool()
    s[0], s[1, 0], c[-1], s.index_select(0, torch.tensor([1, 0, 1])), torch.cat([s, c]), torch.stack([c, c]), s.clone()
    d.to_sparse(), d.to_sparse(1), d.to_sparse(dense_dim=1), d.sparse_mask(c), d.to_dense() is d, torch.zeros_like(s), c.coalesce() is c
    torch.sparse_coo_tensor([[0, 1], [1, 2]], [1, 2]), torch.sparse_coo_tensor((2, 3)), torch.is_tensor(s)
    torch.sparse_coo_tensor([[0], [1]], [1.0], (2, 3), requires_grad=True), torch.sparse.FloatTensor(2, 3)
    torch.sparse.FloatTensor(c.indices(), c.values(), torch.Size([2, 3])), s.clone().add_(c).to_dense(), s.clone().mul_(3)
    k, q, k.layout, k.crow_indices(), k.col_indices(), q.ccol_indices(), q.row_indices(), k.values(), k.is_sparse, k.is_sparse_csr, q.is_sparse_csr
    k._nnz(), k.shape, k.sparse_dim(), k.dense_dim(), len(k), k.dtype, k.double(), k.to(torch.float64), k.clone(), k.detach(), k.relu(), k.sin(), -k
    k.to_dense(), k.to_sparse(), k.to_sparse_coo(), k.to_sparse_csr() is k, q.to_sparse_csr(), k.to_sparse(layout=torch.sparse_csc), s.to_sparse_csr()
    k @ d.t(), torch.mm(k, d.t()), d.t() @ k, d.t() @ q, k.mv(torch.ones(3)), k @ torch.ones(3), torch.sparse.mm(k, d.t()), (k @ k.t().to_sparse_csr()).to_dense()
    torch.addmm(torch.ones(2, 2), k, d.t()), torch.sparse.addmm(torch.ones(2, 2), k, d.t(), beta=2), k.t(), k.transpose(0, -1), q.t()
    k * 2, 2 * k, k * d, k * k, k + k, k + d, d + k, k.sum(), k.sum(1, keepdim=True), k[0], k[1, 0], torch.zeros_like(k), k.clone().mul_(3)
    d.to_sparse_csr(), d.to_sparse_csc(), d.to_sparse(layout=torch.sparse_csr), d.sparse_mask(k), torch.is_tensor(k)
    torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0]), torch.sparse_csc_tensor([0, 1, 1], [1], [4.0], (2, 2), dtype=torch.float64)
    torch.sparse_compressed_tensor([0, 0], [], [], (1, 2), layout=torch.sparse_csr), torch.sparse_csr_tensor([0, 1], [1], [1.0], (1, 2), requires_grad=True)
    torch.sparse_csr_tensor(k.crow_indices(), k.col_indices(), g.coalesce().values() * 2, (2, 3)), d.clone().requires_grad_().to_sparse_csr()
    isinstance(s, torch.Tensor), copy.deepcopy(c), s.requires_grad, g.is_leaf, type(g.grad_fn).__name__, s.is_contiguous()
"""
REFUSED = """
    s + d; s + 1; s.indices(); s.values(); d.coalesce(); d.indices(); d.values(); s.numpy(); s.item(); s.exp(); s.view(3, 2)
    s == s; s.mean(); s[:, [0]]; torch.spmm(s, d); torch.sparse_coo_tensor([0, 1], [1.0, 2.0]); s.abs_(); d.to_sparse(3); d.to_sparse(0); d.to_sparse(blocksize=(1, 1)); s @ torch.ones(2)
    k / 2; k ** 2; k.coalesce(); k.indices(); k.numpy(); k.item(); k.is_contiguous(); k.sum(0); s.crow_indices(); d.col_indices(); q.crow_indices()
    k.view(3, 2); torch.sparse_csr_tensor([0, 1], [5], [1.0], (1, 2), check_invariants=True); k.T
    torch.sparse_csr_tensor([1, 1, 2], [0, 1], [1.0, 2.0], (2, 2), check_invariants=True)
    torch.sparse_csr_tensor([0, 1, 3], [0, 1], [1.0, 2.0], (2, 2), check_invariants=True)
    torch.sparse_csr_tensor([0, 2, 2], [1, 0], [1.0, 2.0], (2, 2), check_invariants=True); torch.sparse_csr_tensor([0, 1], [0, 1], [1.0, 2.0], (2, 2), check_invariants=True)
    torch.sparse_coo_tensor([[0, 1]], [3.0]); torch.sparse_coo_tensor([[0, -1]], [1.0, 2.0])
    torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2, 2)); torch.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (2,), check_invariants=True)
"""


def _names(torch):
    indices = torch.tensor([[0, 1, 1], [2, 0, 0]])
    weights = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    s = torch.sparse_coo_tensor(indices, torch.tensor([3.0, 4.0, 5.0]), (2, 3))
    return {
        "torch": torch,
        "copy": copy,
        "s": s,
        "c": s.coalesce(),
        "k": s.coalesce().to_sparse_csr(),
        "q": s.coalesce().to_sparse_csc(),
        "g": torch.sparse_coo_tensor(indices, weights, (2, 3)),
        "d": torch.arange(6.0).reshape(2, 3),
        "h": torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.ones(2, 2, 2), (3, 2, 2)),
    }


def _printed(torch, expression):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's checks of indices warn that they are off
        return repr(eval(expression, _names(torch)))


@pytest.mark.parametrize("line", [each.strip() for each in EXPRESSIONS.strip().splitlines()])
def test_sparse_tensors_print_as_pytorchs(line):
    assert _printed(ours, f"[{line}]") == _printed(theirs, f"[{line}]")


@pytest.mark.parametrize("expression", [e.strip() for e in REFUSED.replace("\n", ";").split(";") if e.strip()])  # fmt: skip
def test_what_pytorch_refuses_is_refused_with_its_type(expression):
    with pytest.raises(Exception) as expected:  # noqa: PT011
        _printed(theirs, expression)
    with pytest.raises(expected.type):
        _printed(ours, expression)


GRADIENTS = {
    "mm": lambda torch, s, x: torch.sparse.mm(s, x).pow(2).sum(),
    "dense first": lambda torch, s, x: (x.t() @ s.t()).pow(2).sum(),
    "to_dense": lambda torch, s, x: (s.to_dense() * x.t()).pow(2).sum(),
    "sum": lambda torch, s, x: torch.sparse.sum(s * 3, 0).to_dense().pow(2).sum() + x.sum(),
    "softmax": lambda torch, s, x: torch.sparse.mm(torch.sparse.softmax(s, 1), x).pow(2).sum(),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_reach_values_and_dense_operands(name):
    found = []
    for torch in SIDES:
        w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        x = torch.arange(6.0).reshape(3, 2).requires_grad_()
        s = torch.sparse_coo_tensor(torch.tensor([[0, 1, 1], [2, 0, 1]]), w, (2, 3))
        GRADIENTS[name](torch, s.coalesce() if name == "softmax" else s, x).backward()
        found.append((w.grad.tolist(), x.grad.tolist()))
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


WHOLE = {
    "@": lambda torch, s, x: s @ x,
    "mm": lambda torch, s, x: torch.mm(s * 2, x),
    "addmm": lambda torch, s, x: torch.addmm(torch.ones(2, 2), s, x),
    "mv": lambda torch, s, x: s.mv(x[:, 0]),
    "dense first": lambda torch, s, x: x.t() @ s.t(),
    "sum": lambda torch, s, x: s.sum(),
    "add": lambda torch, s, x: x.t() + s,
    "sparse.mm": lambda torch, s, x: torch.sparse.mm(s, x),
    "sparse.addmm": lambda torch, s, x: torch.sparse.addmm(torch.ones(2, 2), s, x),
    "mul": lambda torch, s, x: (s * x.t() + s).to_dense(),
}


@pytest.mark.parametrize("leaf", [False, True])
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_gradient_is_pytorchs_or_is_refused(name, layout, leaf):
    """PyTorch gives some sparse tensors a gradient of all their elements, and here only stored ones have one."""
    found = []
    for torch in SIDES:
        dense = torch.tensor([[0.0, 0.0, 3.0], [4.0, 0.0, 5.0]], requires_grad=not leaf)
        s = dense.to_sparse(layout=getattr(torch, layout))
        root = s.requires_grad_() if leaf else dense
        made = attempt(WHOLE[name], torch, s, torch.arange(1.0, 7.0).reshape(3, 2))
        if isinstance(made, NotImplementedError):
            assert torch is ours
            assert "torch.sparse.mm" in str(made)
            continue
        made.sum().backward()
        found.append((str(root.grad.layout), root.grad.to_dense().tolist()))
    if len(found) == 1:
        assert all(all(row) for row in found[0][1][:1])  # also of an element that is zero
    else:
        assert found[0] == found[1]


def test_a_sparse_leaf_gathers_a_sparse_gradient():
    found = []
    for torch in SIDES:
        s = torch.sparse_coo_tensor(
            torch.tensor([[0, 1, 1], [2, 0, 0]]), torch.tensor([3.0, 4.0, 5.0]), (2, 3)
        ).requires_grad_()
        torch.sparse.mm(s, torch.arange(6.0).reshape(3, 2)).sum().backward()
        found.append(repr(s.grad))
    assert found[0] == found[1]


def test_the_given_values_stay_as_they_are():
    values = ours.ones(2)
    ours.sparse_coo_tensor([[0, 1]], values).requires_grad_()
    assert not values.requires_grad


TRAINED = {
    "SparseAdam": lambda torch, p: torch.optim.SparseAdam(p, lr=0.1),
    "SparseAdam, rising": lambda torch, p: torch.optim.SparseAdam(
        p, lr=0.1, betas=(0.8, 0.9), maximize=True
    ),
    "SGD": lambda torch, p: torch.optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda torch, p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adagrad": lambda torch, p: torch.optim.Adagrad(p, lr=0.1),
}


@pytest.mark.parametrize("name", TRAINED)
def test_an_embedding_with_sparse_gradients_is_trained(name):
    def run(torch, see):
        torch.manual_seed(0)
        table = torch.nn.Embedding(6, 3, sparse=True, padding_idx=2)
        line = torch.nn.Linear(3, 1)
        optimizer = TRAINED[name](torch, list(table.parameters()))
        for step in range(4):
            optimizer.zero_grad()
            rows = table(torch.tensor([[1, 2], [step, 1]]))
            ((line(rows).sum() - 1) ** 2 + (rows**2).sum()).backward()
            grad = table.weight.grad
            see(
                grad.is_sparse,
                grad.is_coalesced(),
                grad._indices(),
                grad._values(),
                type(rows.grad_fn).__name__,
            )
            with warnings.catch_warnings(action="ignore"):  # PyTorch's, of its own sparse tensors
                optimizer.step()
        see(table.weight.detach(), sorted(optimizer.state_dict()["state"].get(0, {})))

    assert_same(run, rtol=1e-5, atol=1e-6)


STEPS = [
    *(f"torch.optim.{name}(p, lr=0.1).step()" for name in ("Adam", "AdamW", "Adamax", "RMSprop", "NAdam", "Rprop", "ASGD")),
    "torch.optim.SGD(p, lr=0.1, weight_decay=0.1).step()", "torch.optim.Adagrad(p, lr=0.1, weight_decay=0.1).step()",
    "torch.optim.SparseAdam(torch.nn.Linear(1, 1).parameters(), lr=0.0)", "torch.optim.SparseAdam(p, betas=(1.0, 0.9))",
    "torch.optim.SparseAdam([torch.ones(1, dtype=torch.complex64)])", "dense(torch.optim.SparseAdam(p))",
    "torch.nn.functional.embedding(torch.tensor([1]), p[0], scale_grad_by_freq=True, sparse=True).sum().backward()",
]  # fmt: skip


@pytest.mark.parametrize("source", STEPS)
def test_what_does_not_take_a_sparse_gradient_says_so(source):
    def run(torch, see):
        table = torch.nn.Embedding(4, 2, sparse=True)
        table(torch.tensor([1])).sum().backward()
        p = list(table.parameters())

        def dense(optimizer):
            p[0].grad = torch.ones(4, 2)
            optimizer.step()

        see(attempt(eval, source, {"torch": torch, "p": p, "dense": dense}))

    assert_same(run)


def test_sparse_gradients_add_up():
    def run(torch, see):
        table = torch.nn.Embedding(4, 2, sparse=True)
        table.weight.register_post_accumulate_grad_hook(lambda p: see(p.grad.is_sparse))
        table(torch.tensor([1, 1])).sum().backward()
        table(torch.tensor(0)).sum().backward()
        see(table.weight.grad.to_dense())
        (table.weight**2).sum().backward()
        see(table.weight.grad.is_sparse, table.weight.grad.shape)
        table.zero_grad()
        with torch.no_grad():
            see(table(torch.tensor([1])).requires_grad, table.weight.grad)

    assert_same(run)


ROWS_USED = """
def of(make):
    table = make()
    table.weight.data = torch.arange(10.0).reshape(5, 2) / 10
    return table
embedding = of(lambda: torch.nn.Embedding(5, 2, sparse=True, padding_idx=2))
index = torch.tensor([1, 2, 1])
def shown(gradient):
    see(gradient.is_sparse, gradient.is_coalesced(), gradient.requires_grad)
    see(*(part(gradient).detach() for part in (lambda g: g._indices(), lambda g: g._values(), lambda g: g.to_dense())))
"""
USES = {
    "the gradient of a gradient": """
gradient, = torch.autograd.grad((embedding(index) ** 2).sum(), embedding.weight, create_graph=True)
shown(gradient)
see(name(gradient))
gradient.to_dense().pow(2).sum().backward()
shown(embedding.weight.grad)
""",
    "a graph of .grad": """
(embedding(index) ** 3).sum().backward(create_graph=True)
shown(embedding.weight.grad)
see(name(embedding.weight.grad))
""",
    "backward towards the table": """
loss = (embedding(index) ** 2).sum() + embedding(torch.tensor([[3], [1]])).sum()
loss.backward(inputs=[embedding.weight])
shown(embedding.weight.grad)
see(attempt(torch.autograd.grad, loss, embedding.weight))
""",
    "hooks": """
handle = embedding.weight.register_hook(lambda g: see("hook") or shown(g) or g * 2)
embedding.weight.register_hook(lambda g: see("second") or shown(g))
embedding.weight.register_post_accumulate_grad_hook(lambda p: shown(p.grad))
loss = lambda: embedding(index).sum() + embedding(torch.tensor([3])).sum() * 3
shown(torch.autograd.grad(loss(), embedding.weight)[0])
loss().backward()
handle.remove()
loss().backward()
embedding.weight.register_hook(lambda g: g.to_dense())
see(str(attempt(loss().backward)).replace("<lambda>", "hook"))
see(attempt(loss().backward).__class__.__name__)
""",
    "beside a dense gradient": """
loss = lambda: embedding(index).sum() + embedding.weight.pow(2).sum()
see(torch.autograd.grad(loss(), embedding.weight)[0])
loss().backward()
see(embedding.weight.grad)
see(torch.autograd.grad(embedding(index).sum(), [embedding.weight, torch.ones(1, requires_grad=True)], allow_unused=True)[1])
see(attempt(torch.autograd.grad, index.sum() * torch.ones(1, requires_grad=True), embedding.weight))
""",
    **{
        f"bags by {mode}": f"""
bags = of(lambda: torch.nn.EmbeddingBag(5, 2, mode={mode!r}, sparse=True, padding_idx=2))
weights = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
for given in ((torch.tensor([1, 2, 1, 3]), torch.tensor([0, 3])), (torch.tensor([[1, 1], [4, 2]]),), (torch.tensor([2, 2, 0, 4]), torch.tensor([0, 2]))):
    more = {{"per_sample_weights": weights.reshape(given[0].shape)}} if {mode!r} == "sum" else {{}}
    bags.weight.grad = None  # PyTorch may join equal indices when it adds
    found = bags(*given, **more)
    see(found.detach(), name(found))
    found.pow(2).sum().backward()
    shown(bags.weight.grad)
    see(weights.grad)
"""
        for mode in ("sum", "mean", "max")
    },
}


@pytest.mark.parametrize("use", USES)
def test_sparse_gradients_of_tables(use):
    def run(torch, see):
        scope = {"torch": torch, "see": see, "attempt": attempt}
        scope["name"] = lambda tensor: tensor.grad_fn and type(tensor.grad_fn).__name__
        exec(ROWS_USED + USES[use], scope)

    assert_same(run)


def test_uses_of_a_sparse_embedding_that_are_missing_are_refused():
    table = ours.nn.Embedding(4, 2, sparse=True)
    index = ours.tensor([1])
    with pytest.raises(NotImplementedError, match="sparse gradients"):
        ours.nn.functional.embedding(index, table.weight * 2, sparse=True)
    with pytest.raises(NotImplementedError, match="is_grads_batched"):
        ours.autograd.grad(table(index), table.weight, ours.ones(3, 1, 2), is_grads_batched=True)
    table.weight.register_hook(lambda grad: grad * 2)
    with pytest.raises(NotImplementedError, match="a dense one"):
        (table(index).sum() + table.weight.sum()).backward()
    table.weight.grad = None
    table(index).sum().backward()  # nothing is left of the walk that failed
    assert table.weight.grad.to_dense().tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    of_table = funcgrad.pure(table)
    loss_of = lambda parameters: of_table(parameters, {}, jnp.array([1]))[0].sum()  # noqa: E731
    rows = jax.grad(loss_of)(of_table.parameters())["weight"]
    assert rows.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
    found = ours.func.grad(lambda w: ours.nn.functional.embedding(index, w, sparse=True).sum())(
        ours.ones(2, 2, requires_grad=True)
    )
    assert found.tolist() == [[0, 0], [1, 1]]
