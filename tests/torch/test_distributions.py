"""`torch.distributions`: draws, densities, gradients, divergences and refusals are PyTorch's."""

import pytest

from tests.both_sides import SIDES, assert_same, attempt

# How each distribution is made of: loc, scale, logits, positive definite matrices.
FAMILIES = {
    "numbers": "D.Normal(0.0, 1.0)",
    "normal": "D.Normal(loc, scale)",
    "uniform": "D.Uniform(-1.0, scale)",
    "exponential": "D.Exponential(scale)",
    "laplace": "D.Laplace(loc, scale)",
    "categorical": "D.Categorical(logits=logits)",
    "categorical by weights": "D.Categorical(torch.tensor([1.0, 2.0, 3.0]))",
    "bernoulli": "D.Bernoulli(0.3)",
    "bernoulli by logits": "D.Bernoulli(logits=loc)",
    "independent": "D.Independent(D.Normal(loc, scale), 1)",
    "independent bernoulli": "D.Independent(D.Bernoulli(logits=logits), 1)",
    "covariance": "D.MultivariateNormal(loc, matrix)",
    "precision": "D.MultivariateNormal(loc, precision_matrix=matrix)",
    "factor": "D.MultivariateNormal(loc, scale_tril=torch.diag(scale))",
}
START = """
import warnings
warnings.simplefilter("ignore")
D = torch.distributions
torch.manual_seed(0)
loc = torch.tensor([0.5, -1.0], requires_grad=True)
scale = torch.tensor([1.0, 2.0], requires_grad=True)
logits = torch.randn(3, 4).requires_grad_()
matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
"""


def text(thing):
    return str(thing).replace("funcgrad.torch", "torch")


def program(source):
    def run(torch, see):
        __import__(f"{torch.__name__}.distributions")
        exec(START + source, {"torch": torch, "see": see, "attempt": attempt, "text": text})

    return run


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_densities_and_gradients(family):
    made = program(f"""
d = {FAMILIES[family]}
see(str(d), text(d.support), tuple(d.batch_shape), tuple(d.event_shape), d.has_rsample)
draws = d.sample((3,))
see(d.sample(), draws, draws.requires_grad, d.log_prob(draws).detach())
for name in ("mean", "stddev", "variance", "mode"):
    see(getattr(d, name).detach())
see(d.entropy().detach() if "Independent(Bern" not in str(d) else 0)
if d.has_rsample:
    d.rsample((2,)).sum().backward()
z = d.log_prob(draws).sum()
if z.requires_grad:
    z.backward()
see(loc.grad, scale.grad, logits.grad, str(d))
wide = d.expand((2, *d.batch_shape))
see(wide.sample(), tuple(wide.batch_shape))
for method in ("cdf", "enumerate_support"):
    found = attempt(getattr(d, method), *((draws,) if method == "cdf" else ()))
    see(found if isinstance(found, Exception) else found.detach())
""")
    assert_same(made, rtol=1e-5, atol=1e-6)


PAIRS = [
    ("D.Normal(loc, scale)", "D.Normal(0.0, 1.0)"),
    ("D.Uniform(0.0, 1.0)", "D.Uniform(-1.0, 2.0)"),
    ("D.Uniform(0.0, 3.0)", "D.Uniform(-1.0, 2.0)"),
    ("D.Exponential(1.0)", "D.Exponential(3.0)"),
    ("D.Categorical(logits=logits)", "D.Categorical(torch.ones(4))"),
    ("D.Categorical(torch.tensor([1.0, 1.0, 0.0]))", "D.Categorical(torch.tensor([0.0, 1.0, 1.0]))"),
    ("D.Bernoulli(0.3)", "D.Bernoulli(0.6)"),
    ("D.Independent(D.Normal(loc, scale), 1)", "D.Independent(D.Normal(loc, 1.0), 1)"),
    ("D.MultivariateNormal(loc, matrix)", "D.MultivariateNormal(loc * 2, torch.eye(2))"),
    ("D.Independent(D.Normal(loc, scale), 1)", "D.Bernoulli(0.3)"),
]  # fmt: skip


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergences(p, q):
    source = f"see(attempt(lambda: D.kl_divergence({p}, {q}).detach()))"
    assert_same(program(source), rtol=1e-5, atol=1e-6)


REFUSED = [
    "D.Normal(0.0, -1.0)",
    "D.Normal(torch.tensor([1.0, float('nan')]), 1.0)",
    "D.Normal('a', 1.0)",
    "D.Normal(0.0, 1.0).log_prob(1.0)",
    "D.Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3))",
    "D.Categorical(logits=torch.full((1, 2), float('nan')))",
    "D.Categorical(torch.tensor([-1.0, 2.0]))",
    "D.Categorical(torch.tensor(1.0))",
    "D.Categorical()",
    "D.Categorical(torch.ones(2)).log_prob(torch.tensor(5))",
    "D.Categorical(torch.ones(2)).rsample()",
    "D.Bernoulli(2.0)",
    "D.Bernoulli(0.5).log_prob(torch.tensor(0.5))",
    "D.Uniform(1.0, 0.0)",
    "D.Uniform(0.0, 1.0).log_prob(torch.tensor(2.0))",
    "D.Exponential(1.0).log_prob(torch.tensor(-1.0))",
    "D.Independent(D.Normal(0.0, 1.0), 1)",
    "D.MultivariateNormal(loc)",
    "D.MultivariateNormal(loc, matrix).log_prob(torch.zeros(3))",
]


@pytest.mark.parametrize("source", REFUSED)
def test_bad_parameters_and_values_are_refused(source):
    assert_same(program(f"see(text(attempt(lambda: {source})))"))


def test_checks_can_be_left_out():
    assert_same(program("see(str(D.Normal(0.0, -1.0, validate_args=False)))"))


def test_a_distribution_that_is_not_here_is_named():
    ours = SIDES[0]
    with pytest.raises(AttributeError, match=r"PyTorch has torch\.distributions\.Wishart"):
        ours.distributions.Wishart  # noqa: B018


def test_tensors_of_one_shape_broadcast_to_themselves():
    def run(torch, see):
        a, b = torch.ones(2, requires_grad=True), torch.zeros(1)
        left, right = torch.broadcast_tensors(a, b)
        see(left is a, left, right)

    assert_same(run)
