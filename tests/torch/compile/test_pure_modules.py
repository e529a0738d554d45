"""A module becomes a pure function of its parameters and buffers, which JAX and optax train and the module takes back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import funcgrad
import funcgrad.torch as torch

X = np.random.RandomState(0).randn(6, 3).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 8)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(8, 1)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        self.calls += 1  # in place
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)  # by assignment
        return self.last(self.drop(torch.relu(self.first(x))))


def made():
    torch.manual_seed(0)
    return Net()


def test_gradients_by_jax_are_those_of_backward():
    module = made().eval()
    forward = funcgrad.pure(module)

    def loss(parameters):
        return jnp.mean((forward(parameters, forward.buffers(), X)[0] - Y) ** 2)

    torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(Y)).backward()
    for gradients in (jax.grad(loss)(forward.parameters()), jax.jit(jax.grad(loss))(forward.parameters())):  # fmt: skip
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(gradients[name], parameter.grad.numpy(), rtol=1e-5, atol=1e-7)  # fmt: skip


def test_optax_trains_a_module_which_takes_the_parameters_back():
    module = made()
    forward = funcgrad.pure(module)
    parameters, buffers = forward.parameters(), forward.buffers()
    optimizer = optax.adam(0.05)

    def loss(parameters, buffers, key):
        output, buffers = forward(parameters, buffers, X, random_key=key)
        return jnp.mean((output - Y) ** 2), buffers

    @jax.jit
    def step(parameters, buffers, state, key):
        gradients, buffers = jax.grad(loss, has_aux=True)(parameters, buffers, key)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(parameters, updates), buffers, state

    state = optimizer.init(parameters)
    for k in range(60):
        parameters, buffers, state = step(parameters, buffers, state, jax.random.key(k))
    assert module.calls.item() == 0
    before = ((module.eval()(torch.tensor(X)) - torch.tensor(Y)) ** 2).mean().item()
    forward.load(parameters, buffers)
    assert module.calls.item() == 60
    np.testing.assert_allclose(module.mean.numpy(), X.mean(0), rtol=1e-5)
    after = ((module(torch.tensor(X)) - torch.tensor(Y)) ** 2).mean().item()
    assert after < before / 2
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_call_changes_buffers_only_in_what_it_returns():
    module = made()
    forward = funcgrad.pure(module)
    _, buffers = forward(forward.parameters(), forward.buffers(), X, random_key=jax.random.key(0))
    assert float(buffers["calls"]) == 1
    np.testing.assert_allclose(buffers["mean"], X.mean(0) / 2, rtol=1e-6)
    assert module.calls.item() == 0
    assert module.mean.tolist() == [0, 0, 0]


def test_dropout_is_decided_by_the_key():
    drop = funcgrad.pure(torch.nn.Dropout(0.25))
    ones = jnp.ones(4000)

    @jax.jit
    def dropped(key):
        return drop({}, {}, ones, random_key=key)[0]

    first = dropped(jax.random.key(0))
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert abs(float(first.mean()) - 1) < 0.05
    np.testing.assert_array_equal(first, dropped(jax.random.key(0)))
    assert (first != dropped(jax.random.key(1))).any()
    batch = jax.vmap(dropped)(jax.random.split(jax.random.key(2), 3))
    assert (batch[0] != batch[1]).any()


class Noisy(torch.nn.Module):
    """As a variational autoencoder draws its code."""

    def forward(self, x, double):
        return torch.randn_like(x), torch.rand(x.shape, dtype=double), torch.randn(3, 2)


def test_a_module_draws_its_noise_from_the_key():
    forward = funcgrad.pure(Noisy())
    x, double = jnp.ones((500, 4)), torch.float64

    @jax.jit
    def drawn(key):
        return forward({}, {}, x, double, random_key=key)[0]

    with jax.enable_x64(True):
        normal, uniform, other = map(np.asarray, drawn(jax.random.key(0)))
        again = forward({}, {}, x, double, random_key=jax.random.key(0))[0][0]
        another = drawn(jax.random.key(1))[0]
    assert [each.dtype.name for each in (normal, uniform, other)] == ["float32", "float64", "float32"]  # fmt: skip
    np.testing.assert_array_equal(normal, again)
    assert (normal != another).all()
    assert abs(float(normal.mean())) < 0.1
    assert abs(float(normal.std()) - 1) < 0.1
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    # The user's own stream is left alone.
    torch.manual_seed(0)
    (first, _, third), _ = forward({}, {}, x, torch.float32, random_key=jax.random.key(0))
    keys = [jax.random.fold_in(jax.random.key(0), k) for k in range(3)]
    np.testing.assert_array_equal(first, jax.random.normal(keys[0], (500, 4)))
    np.testing.assert_array_equal(third, jax.random.normal(keys[2], (3, 2)))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert after == torch.rand(1)


def test_a_module_uses_distributions_inside_a_transformation():
    class Policy(torch.nn.Module):
        def forward(self, logits, action, mean):
            chosen = torch.distributions.Categorical(logits=logits)
            noisy = torch.distributions.Normal(mean, 2.0).rsample()
            return chosen.log_prob(action), noisy

    forward = funcgrad.pure(Policy())
    logits, action = jnp.log(jnp.float32([[1, 3], [2, 2]])), jnp.int32([1, 0])
    key, mean = jax.random.key(0), jnp.float32([5, 6])
    (density, noisy), _ = jax.jit(forward)({}, {}, logits, action, mean, random_key=key)
    np.testing.assert_allclose(density, np.log([0.75, 0.5]), rtol=1e-6)
    expected = mean + 2 * jax.random.normal(jax.random.fold_in(key, 0), (2,))
    np.testing.assert_allclose(noisy, expected, rtol=1e-6)
    gradient = jax.grad(lambda w: forward({}, {}, w, action, mean, random_key=key)[0][0].sum())
    np.testing.assert_allclose(gradient(logits), [[-0.25, 0.25], [0.5, -0.5]], rtol=1e-5)


def test_dropout_without_a_key_is_refused_inside_a_transformation():
    drop = funcgrad.pure(torch.nn.Dropout(0.25))
    with pytest.raises(RuntimeError, match="random numbers are drawn inside"):
        jax.jit(lambda x: drop({}, {}, x)[0])(jnp.ones(4))


def test_tied_parameters_are_one_argument():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    module[1].weight = module[0].weight
    forward = funcgrad.pure(module)
    assert sorted(forward.parameters()) == ["0.bias", "0.weight", "1.bias"]
    zeros = jax.tree.map(jnp.zeros_like, forward.parameters())
    assert forward(zeros, {}, jnp.ones((1, 2)))[0].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: {}, "the module's parameters are"),
        (lambda each: {**each, "other": each["bias"]}, "the module's parameters are"),
        (lambda each: {**each, "bias": jnp.ones(7)}, "bias is of shape"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(change, words):
    forward = funcgrad.pure(torch.nn.Linear(2, 3))
    given = change(forward.parameters())
    with pytest.raises(ValueError, match=words):
        forward(given, {}, jnp.ones((1, 2)))
    with pytest.raises(ValueError, match=words):
        forward.load(given)


def test_what_is_no_key_is_refused():
    with pytest.raises(TypeError, match="random_key is a key"):
        funcgrad.pure(torch.nn.Dropout(0.5))({}, {}, jnp.ones(3), random_key=3)
