"""`torch.distributions`: draws, densities, gradients, divergences and refusals are PyTorch's."""

import importlib

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
    "cauchy": "D.Cauchy(loc, scale)",
    "gamma": "D.Gamma(torch.tensor([0.3, 2.5]), scale)",
    "gamma in float64": "D.Gamma(torch.tensor([0.3, 2.5], dtype=torch.float64), 1.5)",
    "chi squared": "D.Chi2(torch.tensor([1.5, 4.0]))",
    "student": "D.StudentT(torch.tensor([1.5, 4.0]), loc, scale)",
    "dirichlet": "D.Dirichlet(torch.tensor([[0.5, 1.0, 2.0], [0.5, 0.3, 0.2]]))",
    "beta": "D.Beta(torch.tensor([0.5, 2.0]), 3.0)",
    "beta of numbers": "D.Beta(2.0, 3.0)",
    "poisson": "D.Poisson(torch.tensor([0.5, 20.0]))",
    "geometric": "D.Geometric(torch.tensor([0.3, 1.0]))",
    "geometric by logits": "D.Geometric(logits=loc)",
    "multinomial": "D.Multinomial(5, torch.tensor([[1.0, 2.0, 0.0], [1.0, 1.0, 1.0]]))",
    "one hot": "D.OneHotCategorical(logits=logits)",
    "one hot straight through": "D.OneHotCategoricalStraightThrough(torch.tensor([1.0, 2.0, 3.0]))",
    "lognormal": "D.LogNormal(loc, scale)",
    "half normal": "D.HalfNormal(scale)",
    "gumbel": "D.Gumbel(loc, scale)",
    "squashed": "D.TransformedDistribution(D.Normal(loc, scale), D.TanhTransform(cache_size=1))",
    "logistic": "D.TransformedDistribution(D.Uniform(0.0, 1.0), [D.SigmoidTransform().inv, D.AffineTransform(loc, scale)])",
    "falling": "D.TransformedDistribution(D.Normal(loc, scale), [D.AffineTransform(1.0, -2.0), D.SoftplusTransform()])",
    "a vector transformed": "D.TransformedDistribution(D.Independent(D.Normal(loc, scale), 1), D.AffineTransform(loc, scale, event_dim=1))",
    "mixture": "D.MixtureSameFamily(D.Categorical(logits=logits), D.Normal(logits, 0.5))",
    "mixture of vectors": "D.MixtureSameFamily(D.Categorical(torch.ones(3)), D.Independent(D.Normal(logits[:, :2], scale), 1))",
    "mixture of numbers": "D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Poisson(scale))",
    "low rank": "D.LowRankMultivariateNormal(loc, torch.stack([scale, loc, scale * loc], 1), scale)",
    "low rank batch": "D.LowRankMultivariateNormal(loc, logits[:, :2].unsqueeze(-1), torch.ones(2))",
    "angles": "D.VonMises(loc, scale)",
    "angles close together": "D.VonMises(0.0, torch.tensor([0.1, 8.0]))",
    "weibull": "D.Weibull(scale, torch.tensor([0.7, 2.0]))",
    "pareto": "D.Pareto(scale, torch.tensor([0.7, 3.0]))",
    "half cauchy": "D.HalfCauchy(scale)",
    "inverse gamma": "D.InverseGamma(torch.tensor([0.7, 3.0]), scale)",
    "kumaraswamy": "D.Kumaraswamy(scale, torch.tensor([0.7, 3.0]))",
    "fisher": "D.FisherSnedecor(torch.tensor([1.5, 4.0]), torch.tensor([3.0, 6.0]))",
    "binomial": "D.Binomial(5, torch.tensor([0.3, 0.9]))",
    "binomial by logits": "D.Binomial(torch.tensor([40.0, 2.0]), logits=loc)",
    "negative binomial": "D.NegativeBinomial(torch.tensor([1.5, 4.0]), torch.tensor([0.3, 0.6]))",
    "negative binomial by logits": "D.NegativeBinomial(2, logits=loc)",
    "relaxed bernoulli": "D.RelaxedBernoulli(torch.tensor(0.5), logits=loc)",
    "relaxed bernoulli by probs": "D.RelaxedBernoulli(torch.tensor(0.5), torch.tensor([0.3, 0.6]))",
    "relaxed one hot": "D.RelaxedOneHotCategorical(torch.tensor(0.5), logits=logits)",
    "relaxed one hot by probs": "D.RelaxedOneHotCategorical(torch.tensor(2.0), torch.tensor([1.0, 2.0, 3.0]))",
    "continuous bernoulli": "D.ContinuousBernoulli(torch.tensor([0.2, 0.4995]))",
    "generalized pareto": "D.GeneralizedPareto(loc, scale, torch.tensor([0.3, 0.0]))",
    "generalized pareto with a bound": "D.GeneralizedPareto(0.0, scale, -0.4)",
    "logistic normal": "D.LogisticNormal(loc, scale)",
    "logistic normal of numbers": "D.LogisticNormal(0.5, 1.0)",
    "correlations": "D.LKJCholesky(3, torch.tensor([0.5, 2.0]))",
    "wishart": "D.Wishart(4.5, matrix)",
    "wishart by a factor": "D.Wishart(scale.detach() + 2, scale_tril=torch.eye(2))",
    "wishart by a precision": "D.Wishart(torch.tensor([6.0]), precision_matrix=matrix)",
    "a copula": "D.TransformedDistribution(D.MultivariateNormal(loc, matrix), D.CumulativeDistributionTransform(D.Normal(0.0, 1.0)))",
    "a power": "D.TransformedDistribution(D.Uniform(1.0, 1.0 + scale), D.PowerTransform(2.0))",
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
def divergence(p, q):
    found = attempt(lambda: D.kl_divergence(p, q).detach())
    return " ".join(str(found).split()) if isinstance(found, Exception) else found
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
    found = attempt(getattr, d, name)
    see(found.detach() if isinstance(found, torch.Tensor) else type(found).__name__)
found = attempt(d.entropy) if all(each not in str(d) for each in ("Independent(Bern", "Pois", "Multin")) else 0
see(found.detach() if isinstance(found, torch.Tensor) else type(found).__name__)
if d.has_rsample:
    d.rsample((2,)).sum().backward()
z = d.log_prob(draws).sum()
if z.requires_grad:
    z.backward()
see(loc.grad, scale.grad, logits.grad, str(d))
wide = d.expand((2, *d.batch_shape))
see(wide.sample(), tuple(wide.batch_shape), wide._validate_args)
class Mine(type(d)):
    def __init__(self, *given):
        super().__init__(*given)
mine, given = Mine.__new__(Mine), Mine.__new__(Mine)
mine.__dict__.update(d.__dict__)
if "VonMises" not in str(d):
    see(attempt(mine.expand, wide.batch_shape))
    see(mine.expand(wide.batch_shape, given) is given, tuple(given.batch_shape), given.sample())
for method in ("cdf", "enumerate_support"):
    found = attempt(getattr(d, method), *((draws,) if method == "cdf" else ()))
    see(found if isinstance(found, Exception) else found.detach())
""")
    assert_same(made, rtol=1e-5, atol=1e-6)


def test_a_continuous_bernoulli_has_gradients():
    # The probabilities are computed once, so that a graph of them serves several losses.
    made = program("""
d = D.ContinuousBernoulli(logits=loc.double())
x = torch.tensor([0.3, 0.4], dtype=torch.float64)
for loss in (d.rsample((2,)), d.log_prob(x), d.cdf(x), d.icdf(x), d.mean, d.variance, d.entropy()):
    see(loss.detach(), torch.autograd.grad(loss.sum(), loc, retain_graph=True)[0])
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
    ("D.Laplace(loc, scale)", "D.Laplace(0.0, 2.0)"),
    ("D.Gamma(scale, 2.0)", "D.Gamma(1.5, scale)"),
    ("D.Chi2(2.0)", "D.Gamma(1.5, 2.0)"),
    ("D.Beta(scale, 2.0)", "D.Beta(1.5, 0.5)"),
    ("D.Dirichlet(scale)", "D.Dirichlet(torch.ones(2))"),
    ("D.Poisson(scale)", "D.Poisson(2.0)"),
    ("D.Geometric(0.3)", "D.Geometric(0.6)"),
    ("D.OneHotCategorical(logits=logits)", "D.OneHotCategorical(torch.ones(4))"),
    ("D.LogNormal(loc, scale)", "D.LogNormal(0.0, 1.0)"),
    ("D.LogNormal(loc, scale)", "D.HalfNormal(1.0)"),
    ("D.Binomial(3, torch.tensor(0.3))", "D.Binomial(3, torch.tensor(0.6))"),
    ("D.Binomial(4, torch.tensor(0.3))", "D.Binomial(3, torch.tensor(0.6))"),
    ("D.Binomial(2, torch.tensor(0.3))", "D.Binomial(3, torch.tensor(0.6))"),
    ("D.HalfNormal(scale)", "D.HalfNormal(1.0)"),
    ("D.Dirichlet(scale)", "D.Gamma(1.0, 1.0)"),
    ("D.Wishart(4.5, matrix)", "D.Wishart(3.5, torch.eye(2))"),
    ("D.MultivariateNormal(loc, matrix)", "D.LowRankMultivariateNormal(loc * 2, matrix, scale)"),
    ("D.LowRankMultivariateNormal(loc * 2, matrix, scale)", "D.MultivariateNormal(loc, matrix)"),
    ("D.LowRankMultivariateNormal(loc, matrix, scale)", "D.LowRankMultivariateNormal(loc * 2, matrix[:1].T, scale)"),
]  # fmt: skip
# Every divergence of two of these: known, infinite or refused.
SEVERAL = [
    "D.Normal(loc, scale)", "D.Uniform(0.2, 0.2 + scale)", "D.Exponential(scale)", "D.Laplace(loc, scale)", "D.Gamma(scale, 2.0)",
    "D.Beta(scale, 2.0)", "D.Bernoulli(torch.tensor([0.3, 0.6]))", "D.Poisson(scale)", "D.Gumbel(loc, scale)",
    "D.Pareto(scale, torch.tensor([0.7, 3.0]))", "D.Cauchy(loc, scale)", "D.ContinuousBernoulli(torch.tensor([0.2, 0.7]))",
    "D.Binomial(1, torch.tensor([0.3, 0.6]))", "D.Geometric(torch.tensor([0.3, 0.6]))",
]  # fmt: skip


def test_divergences_between_families():
    source = "\n".join(f"see(divergence({p}, {q}))" for p in SEVERAL for q in SEVERAL)
    assert_same(program(source), rtol=1e-5, atol=1e-5)


def test_divergences_of_ones_own_are_found_by_the_nearest_classes():
    source = """
class A(D.Normal):
    pass
class B(A):
    pass
D.register_kl(A, D.Normal)(lambda p, q: "a, normal")
D.register_kl(D.Normal, B)(lambda p, q: "normal, b")
a, b = A(0.0, 1.0), B(0.0, 1.0)
see(D.kl_divergence(b, a), D.kl_divergence(D.Normal(0.0, 1.0), b))
with warnings.catch_warnings(record=True) as noted:
    warnings.simplefilter("always")
    see(D.kl_divergence(a, b), [str(each.message) for each in noted])
class Counts(D.ExponentialFamily):  # of a Poisson distribution
    _mean_carrier_measure = 0.0
    arg_constraints = {}
    def __init__(self, rate):
        self.rate = rate
        super().__init__(rate.shape)
    @property
    def _natural_params(self):
        return (self.rate.log(),)
    def _log_normalizer(self, x):
        return x.exp()
c, d = Counts(scale.detach()), Counts(scale.detach() + 1)
see(c.entropy().detach(), D.kl_divergence(c, d).detach(), isinstance(a, D.ExponentialFamily))
"""
    assert_same(program(source), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergences(p, q):
    source = f"see(divergence({p}, {q}))"
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
    "D.MixtureSameFamily(D.Bernoulli(0.5), D.Normal(torch.zeros(2), 1.0))",
    "D.MixtureSameFamily(D.Categorical(torch.ones(2)), 3)",
    "D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.zeros(3), 1.0))",
    "D.MixtureSameFamily(D.Categorical(torch.ones(2, 2)), D.Normal(torch.zeros(3, 2), 1.0))",
    "D.LowRankMultivariateNormal(loc, scale, scale)",
    "D.LowRankMultivariateNormal(loc, torch.ones(3, 1), scale)",
    "D.Binomial(3)",
    "D.Binomial(2, torch.tensor(0.5)).log_prob(torch.tensor(3.0))",
    "D.Binomial(torch.tensor([2.0, 3.0]), torch.tensor(0.5)).entropy()",
    "D.NegativeBinomial(2, torch.tensor(1.0))",
    "D.RelaxedBernoulli(torch.tensor(1.0))",
    "D.Weibull(1.0, -1.0)",
    "D.Pareto(2.0, 1.0).log_prob(torch.tensor(1.0))",
    "D.Uniform(1.0, 0.0)",
    "D.Uniform(0.0, 1.0).log_prob(torch.tensor(2.0))",
    "D.Exponential(1.0).log_prob(torch.tensor(-1.0))",
    "D.Gamma(-1.0, 1.0)",
    "D.Gamma(1.0, 1.0).log_prob(-1.0)",
    "D.Beta(0.0, 1.0)",
    "D.Dirichlet(torch.tensor(1.0))",
    "D.Geometric(0.0)",
    "D.Geometric()",
    "D.Poisson(-1.0)",
    "D.Poisson(1.0).log_prob(torch.tensor(0.5))",
    "D.Multinomial(torch.tensor([1]), torch.ones(3))",
    "D.Multinomial(2, torch.ones(3)).log_prob(torch.tensor([1.0, 1.0, 1.0]))",
    "D.OneHotCategorical(torch.ones(2)).log_prob(torch.ones(2))",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), 3)",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), [3])",
    "D.LogNormal(0.0, 1.0).log_prob(torch.tensor(-1.0))",
    "D.TanhTransform(cache_size=2)",
    "D.Independent(D.Normal(0.0, 1.0), 1)",
    "D.MultivariateNormal(loc)",
    "D.MultivariateNormal(loc, matrix).log_prob(torch.zeros(3))",
    "D.LKJCholesky(1)",
    "D.LKJCholesky(2, 0.0)",
    "D.LKJCholesky(2).log_prob(torch.ones(2, 2))",
    "D.LogisticNormal(loc, scale).log_prob(torch.ones(3))",
    "D.Wishart(1.0, matrix)",
    "D.Wishart(3.0)",
    "D.Wishart(3.0, scale)",
    "D.Wishart(3.0, matrix).log_prob(-matrix)",
    "D.GeneralizedPareto(0.0, 1.0, -0.5).log_prob(torch.tensor(3.0))",
    "D.biject_to(D.constraints.lower_cholesky)",
    "D.transform_to.register(3, None)(lambda c: c)",
    "D.constraints.dependent.check(loc)",
    "D.constraints.dependent.event_dim",
    "D.constraints.independent(D.constraints.real, -1)",
    "D.constraints.independent(D.constraints.real, 2).check(loc)",
    "D.constraints.cat([D.constraints.real], 2).check(loc)",
    "D.constraints.cat([D.constraints.real], 0, [1, 2])",
    "D.StackTransform([D.ExpTransform()], dim=0)(loc)",
    "D.CatTransform([D.ExpTransform()], dim=3)(loc)",
    "D.CatTransform([D.ExpTransform()], dim=0, lengths=[3])(loc)",
    "D.ReshapeTransform((2, 2), (3,))",
    "D.ReshapeTransform((2, 2), (4,)).forward_shape((2, 3))",
    "D.CorrCholeskyTransform().forward_shape((2,))",
    "D.CorrCholeskyTransform().inverse_shape((2, 3))",
    "D.transforms.vec_to_tril_matrix(loc)",
    "D.transforms.tril_matrix_to_vec(matrix, 2)",
]


@pytest.mark.parametrize("source", REFUSED)
def test_bad_parameters_and_values_are_refused(source):
    assert_same(program(f"see(text(attempt(lambda: {source})))"))


def test_checks_can_be_left_out():
    assert_same(program("see(str(D.Normal(0.0, -1.0, validate_args=False)))"))


CONSTRAINTS = {
    "boolean": "[0.0, 0.5, 1.0]", "nonnegative_integer": "[0.0, 0.5, -1.0]", "positive_integer": "[0.0, 0.5, 2.0]",
    "positive": "[0.0, 0.5, -1.0]", "nonnegative": "[0.0, 0.5, -1.0]", "real": "[0.0, float('nan')]",
    "real_vector": "[[0.0, float('nan')], [1.0, 2.0]]", "simplex": "[[0.5, 0.5], [0.5, 0.6]]", "one_hot": "[[0.0, 1.0], [1.0, 1.0]]",
    "unit_interval": "[-0.1, 0.0, 1.0]", "lower_triangular": "[[[1.0, 0.0], [2.0, -1.0]], [[1.0, 1.0], [2.0, 1.0]]]",
    "lower_cholesky": "[[[1.0, 0.0], [2.0, -1.0]], [[1.0, 0.0], [2.0, 1.0]]]",
    "corr_cholesky": "[[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [2.0, 1.0]]]", "square": "[[1.0, 0.0, 2.0], [2.0, -1.0, 3.0]]",
    "symmetric": "[[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.5], [0.5, 1.0]]]",
    "positive_semidefinite": "[[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]",
    "positive_definite": "[[[1.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]",
    "greater_than(0.5)": "[0.5, 1.0]", "greater_than_eq(0.5)": "[0.5, 0.0]", "less_than(0.5)": "[0.5, 0.0]",
    "interval(-1.0, torch.tensor([0.5, 2.0]))": "[1.0, 1.0]", "half_open_interval(0.0, 0.5)": "[0.0, 0.5]",
    "integer_interval(0, 2)": "[0.0, 0.5, 2.0]", "multinomial(2)": "[[1.0, 1.0], [2.0, 1.0]]",
    "independent(C.positive, 2)": "[[[1.0, 1.0], [2.0, -1.0]]]",
    "cat([C.positive, C.real, C.boolean], -1, [1, 1, 2])": "[[1.0, -1.0, 1.0, 0.5]]",
    "stack([C.positive, C.real_vector], 0)": "[[1.0, -1.0], [1.0, -1.0]]",
    "stack([C.positive, C.boolean], -1)": "[[1.0, -1.0], [0.0, 1.0]]",
    "MixtureSameFamilyConstraint(C.interval(torch.zeros(2), torch.tensor([1.0, 2.0])))": "[0.5, 1.5]",
}  # fmt: skip


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_constraints_and_the_transforms_to_them(constraint):
    source = f"""
C = D.constraints
c = C.{constraint}
value = torch.tensor({CONSTRAINTS[constraint]})
see(text(c) if "cat" not in text(c) else 0, c.event_dim, c.is_discrete, C.is_dependent(c), attempt(c.check, value))
for registry in (D.transform_to, D.biject_to):
    t = attempt(registry, c)
    see(text(t), attempt(getattr, t, "bijective"), text(attempt(getattr, t, "domain")))
    if isinstance(t, D.Transform):
        x = torch.linspace(-1.0, 1.0, value.numel()).reshape(value.shape).requires_grad_()
        y = t(x)
        see(y.detach(), t.inv(y).detach(), c.check(y.detach()), attempt(lambda: t.log_abs_det_jacobian(x, y).detach()))
        see(attempt(lambda: tuple(t.forward_shape(x.shape))), attempt(lambda: tuple(t.inverse_shape(y.shape))))
        (y * torch.arange(1.0, 1 + y.numel()).reshape(y.shape)).sum().backward()
        see(x.grad)
"""
    assert_same(program(source), rtol=1e-5, atol=1e-6)


def test_supports_of_classes_depend_on_parameters():
    source = """
C = D.constraints
for kind in (D.Uniform, D.Categorical, D.Binomial, D.Multinomial, D.Pareto, D.GeneralizedPareto, D.Independent):
    see(C.is_dependent(kind.support), attempt(lambda: kind.support.event_dim), attempt(lambda: kind.support.is_discrete))
see(isinstance(D.Uniform(0.0, 1.0).support, C.interval), D.Pareto(1.0, 2.0).support.lower_bound)
see(attempt(lambda: C.dependent(event_dim=1).event_dim), C.dependent(is_discrete=True).is_discrete)
class Mine(D.Distribution):
    arg_constraints = {}
    @C.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        return C.positive
see(text(Mine().support), C.is_dependent(Mine.support), Mine.support.event_dim)
see(D.Normal(loc, scale).sample_n(2))
"""
    assert_same(program(source))


def test_distributions_lie_where_pytorch_has_them(torch):
    ours = SIDES[0]
    for name in torch.distributions.__all__:
        theirs = getattr(torch.distributions, name)
        mine = getattr(ours.distributions, name)
        if isinstance(theirs, type) or name in ("kl_divergence", "register_kl"):
            assert mine.__module__ == f"funcgrad.{theirs.__module__}"
            assert getattr(importlib.import_module(mine.__module__), name) is mine


def test_tensors_of_one_shape_broadcast_to_themselves():
    def run(torch, see):
        a, b = torch.ones(2, requires_grad=True), torch.zeros(1)
        left, right = torch.broadcast_tensors(a, b)
        see(left is a, left, right)

    assert_same(run)


def test_transforms():
    source = """
T = D.transforms
x = torch.tensor([0.3, 1.5])
chain = T.ComposeTransform([T.AffineTransform(1.0, torch.tensor([2.0, -3.0])), T.SigmoidTransform()])
for t in (T.ExpTransform(), T.SigmoidTransform(), T.SoftplusTransform(), T.TanhTransform(), T.PowerTransform(3.0),
          T.AffineTransform(1.0, -2.0), chain, T.ExpTransform().inv, D.identity_transform, chain.inv.inv):
    y = t(x)
    see(str(t), y, t.inv(y), t.log_abs_det_jacobian(x, y), str(t.domain), str(t.codomain), t.bijective, t.sign)
    see(t.event_dim, t == t, t == T.ExpTransform(), t.inv == T.ExpTransform().inv, tuple(t.forward_shape((4, 1))))
see(T.AbsTransform()(-x), T.AbsTransform().inv(x))
see(T.AffineTransform(1.0, 2.0) == T.AffineTransform(1, 2), T.AffineTransform(x, 2.0) == T.AffineTransform(x, x))
stack = D.StackTransform([T.ExpTransform(), T.AffineTransform(1.0, 2.0)], dim=-1)
cat = D.CatTransform([T.ExpTransform(), D.identity_transform], dim=0, lengths=[1, 1])
wide = torch.linspace(0.1, 0.9, 6).reshape(2, 3)
for t, x2 in ((stack, wide[:, :2]), (cat, wide), (D.ReshapeTransform((2, 3), (6,)), wide), (D.StickBreakingTransform(), wide),
              (D.CorrCholeskyTransform(), wide), (D.SoftmaxTransform(), wide), (D.IndependentTransform(T.ExpTransform(), 1), wide),
              (D.LowerCholeskyTransform(), wide[:, :2]), (D.PositiveDefiniteTransform(), wide[:, :2])):
    y = t(x2)
    see(y, t.inv(y), attempt(lambda: t.log_abs_det_jacobian(x2, y)), attempt(lambda: t.event_dim), t.bijective)
    see(attempt(lambda: t.sign), text(attempt(lambda: t.domain.event_dim)), tuple(t.forward_shape(x2.shape)))
    see(t.with_cache().inv(y), t == type(t).__new__(type(t)) if t == t.with_cache(1) else 0)
kept = chain.with_cache()
see(kept.inv(kept(x)) is x)
"""
    assert_same(program(source), rtol=1e-5, atol=1e-6)


def test_gradients_of_gamma_draws():
    # PyTorch's derivative is an approximation with a relative error of up to 5e-4.
    source = """
shape = torch.tensor([0.2, 0.9, 3.0, 30.0], requires_grad=True)
D.Gamma(shape, 2.0).rsample((50,)).sum(0).log().sum().backward()
see(shape.grad)
rate = torch.tensor(2.0, requires_grad=True)
D.Gamma(shape.detach(), rate).rsample().sum().backward()
see(rate.grad)
"""
    assert_same(program(source), rtol=1e-3)


def test_draws_of_dirichlet_have_no_derivative_here():
    torch = SIDES[0]
    alpha = torch.ones(2, requires_grad=True)
    for each in (torch.distributions.Dirichlet(alpha), torch.distributions.Beta(alpha, 1.0)):
        assert not each.sample().requires_grad
        with pytest.raises(NotImplementedError, match="no derivative of Dirichlet"):
            each.rsample()
