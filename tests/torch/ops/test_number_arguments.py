"""A 0-d tensor where a number is due: its element is taken, and it is refused if it requires grad, whose gradient would be lost."""

import warnings

import pytest

from funcgrad.torch._ops.row import OLD_FORMS as OLD_FORMS_MET
from tests.both_sides import assert_same, attempt, ours, outcome, theirs

CALLS = """
torch.full((2,), s)
torch.full_like(x, s)
x.new_full((2,), s)
torch.scalar_tensor(s)
torch.arange(s)
torch.arange(0, 3, s)
torch.add(x, x, alpha=s)
torch.sub(x, x, alpha=s)
x.clone().add_(x, alpha=s)
torch.addcmul(x, x, x, value=s)
torch.addmm(m, m, m, beta=s)
torch.index_add(x, 0, torch.tensor([0]), x[:1], alpha=s)
torch.std(x, correction=s)
x.norm(s)
torch.linalg.vector_norm(x, s)
torch.linalg.norm(x, s)
torch.linalg.matrix_norm(m, s * 0 + 1)
torch.linalg.cond(m + torch.eye(2), s * 0 + 1)
torch.dist(x, x + 1, s)
torch.cdist(m, m, s)
torch.renorm(m, 2.0, 0, s)
torch.histc(x, 2, 0, s)
x.nan_to_num(s)
x.logit(s / 10)
torch.allclose(x, x, atol=s)
x.clone().normal_(s, 0.5)
x.clone().uniform_(0.0, s)
torch.normal(s, 0.5, (2,))
F.leaky_relu(-x, s)
F.elu(-x, s)
F.softplus(x, s)
F.hardtanh(x, s * 0, s)
F.threshold(x, 0.0, s)
F.layer_norm(x, (2,), eps=s)
F.group_norm(m, 1, eps=s)
F.batch_norm(m, None, None, training=True, eps=s)
F.batch_norm(m, torch.zeros(2), torch.ones(2), momentum=s, training=True)
F.normalize(x, s, 0)
F.cosine_similarity(x, x, 0, s)
F.pairwise_distance(x, x + 1, s)
F.smooth_l1_loss(x, x + 1, beta=s)
F.huber_loss(x, x + 1, delta=s)
F.multi_margin_loss(m, torch.tensor([0, 1]), margin=s)
F.triplet_margin_loss(m, m, m, margin=s)
F.hinge_embedding_loss(x, torch.tensor([1.0, -1.0]), margin=s)
F.poisson_nll_loss(x, x, eps=s)
F.pad(x, (1, 1), value=s)
F.scaled_dot_product_attention(m[None], m[None], m[None], scale=s)
""".strip().split("\n")


def called(torch, call, wants_grad):
    torch.manual_seed(0)
    scope = {
        "torch": torch,
        "F": torch.nn.functional,
        "s": torch.tensor(1.5, requires_grad=wants_grad),
        "x": torch.tensor([0.5, 2.0]),
        "m": torch.tensor([[0.5, 2.0], [1.0, 0.3]]),
    }
    return eval(call, scope)


@pytest.mark.parametrize("call", CALLS)
def test_a_tensor_counts_as_its_element(call):
    assert_same(lambda torch, see: see(called(torch, call, False)))


@pytest.mark.parametrize("call", CALLS)
def test_a_tensor_that_requires_grad_is_refused(call):
    for torch in (theirs, ours):
        kind, words = outcome(called, torch, call, True)
        assert kind is TypeError, words


def test_a_bound_of_linspace_may_require_grad_and_gets_none():
    def program(torch, see):
        s = torch.tensor(1.5, requires_grad=True)
        see(torch.linspace(s, 2, 3), torch.logspace(0, s, 2))

    assert_same(program)


@pytest.mark.parametrize("name", ["atol", "rtol"])
def test_a_tolerance_of_pinv_has_no_gradient(name):
    def program(torch, see):
        tolerance = {name: torch.tensor(0.1, requires_grad=True)}
        see(attempt(lambda: torch.linalg.pinv(torch.eye(2), **tolerance)))
        see(torch.linalg.pinv(torch.eye(2), **{name: tolerance[name].detach()}))

    assert_same(program)


# PyTorch's deprecated forms, as older optimizers have them: a factor before the tensor that it multiplies.
OLD_FORMS = """
x.clone().add_(-0.5, y)
x.add(3, y)
torch.add(x, 3, y)
torch.add(2, 3, y)
x.add(torch.tensor(0.5), y)
x.add(1, 2)
x.clone().sub_(0.5, y)
torch.sub(x, 0.5, y)
x.clone().addcmul_(0.5, y, y)
torch.addcmul(x, 0.5, y, y)
x.clone().addcdiv_(0.5, x, y)
torch.addcdiv(x, 2, x, y)
torch.addmm(0.5, m, 2, m, m)
torch.addmm(0.5, m, m, m)
m.addmm(0.5, 2, m, m)
m.clone().addmm_(0.5, m, m)
torch.addmv(0.5, x, 2, m, y)
torch.addr(0.5, m, 2, x, y)
torch.addbmm(0.5, m, 2, m[None], m[None])
torch.baddbmm(0.5, m[None], m[None], m[None])
torch.arange(2).add_(2, torch.arange(2))
torch.arange(2).add_(1.5, torch.arange(2))
torch.arange(2).add_(2, torch.arange(2), alpha=3)
x.add(y, 2)
x.add(1, y, 2)
x.addcmul(y, 2, y)
torch.addmm(m, m, m, m)
torch.addmm(1, 2, 3, m)
""".strip().split("\n")


@pytest.mark.parametrize("call", OLD_FORMS)
def test_forms_with_a_factor_among_the_tensors_are_pytorchs(call):
    def value(torch):
        x, y, m = (torch.tensor(each, requires_grad=True) for each in ([0.5, 2.0], [3.0, 1.0], [[1.0, 2.0], [0.3, 4.0]]))  # fmt: skip
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This overload of ", UserWarning)
            found = eval(call, {"torch": torch, "x": x, "y": y, "m": m})
        if not found.requires_grad:
            return found.tolist()
        found.sum().backward()
        return found.tolist(), [None if a.grad is None else a.grad.tolist() for a in (x, y, m)]

    found, right = (outcome(value, torch) for torch in (ours, theirs))
    assert found[0] == right[0], (found, right)
    if not isinstance(right[0], type):
        assert found == right


def test_a_form_with_a_factor_among_the_tensors_warns_once():
    OLD_FORMS_MET.discard("add_")
    with pytest.warns(
        UserWarning, match="This overload of add_ is deprecated: give alpha="
    ) as told:
        ours.ones(2).add_(2, ours.ones(2))
    assert told[0].filename == __file__
    assert ours.ones(2).add_(2, ours.ones(2)).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("numbers", [(7, 2), (-7.5, 2), (True, False), (1j, 2), (2, 1.5)])
@pytest.mark.parametrize(
    "call",
    [
        "add(a, b)",
        "add(a, b, alpha=2)",
        "sub(a, b)",
        "subtract(a, b, alpha=2)",
        "mul(a, b)",
        "div(a, b)",
        "div(a, b, rounding_mode='trunc')",
        "div(a, b, rounding_mode='floor')",
        "floor_divide(a, b)",
        "add(a, b, out=torch.zeros(()))",
    ],
)
def test_two_numbers_make_a_tensor(call, numbers):
    scope = dict(zip("ab", numbers, strict=True))
    assert_same(lambda torch, see: see(attempt(eval, f"torch.{call}", {"torch": torch, **scope})))
