"""A pure function touches nothing that it was not given: it is an error, or goes in and out as its state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as torch
from tests.both_sides import theirs

X = np.array([[1.0, 2.0], [3.0, 4.0], [0.5, -1.0]], np.float32)
Y = np.array([1.0, 2.0, -1.0], np.float32)


def weights():
    return torch.tensor([0.5, -0.5], requires_grad=True)


def outside():
    """A tensor from outside, and what a function does with it that it must not."""
    w, plain, momentum = weights(), torch.zeros(2), weights()
    optimizer = torch.optim.SGD([w], lr=0.1)
    result = momentum * 2

    def filled(x):
        plain.fill_(3)
        return x

    def added(x):
        plain.add_(x)
        return x

    def element(x):
        plain[0] = x[0]
        return x

    def through_data(x):
        plain.data.mul_(x)
        return x

    def augmented_through_data(x):
        plain.data += x
        return x

    def swapped(x):
        torch.utils.swap_tensors(plain, x.clone())
        return x

    def through_a_view(x):
        plain.view(-1)[:1].copy_(x[:1])
        return x

    def replaced(x):
        plain.data = x
        return x

    def given_a_gradient(x):
        w.grad = x
        return x

    def written_out(x):
        with torch.no_grad():
            torch.add(x, x, out=plain)
        return x

    def stepped(x):
        (x.detach() * 2).sum()
        optimizer.step()
        return x

    def cleared(x):
        optimizer.zero_grad()
        return x

    def differentiated(x):
        (w * x).sum().backward()
        return x

    def continued(x):
        return result * x

    changes = dict.fromkeys(
        (
            filled,
            added,
            element,
            through_data,
            augmented_through_data,
            swapped,
            through_a_view,
            replaced,
            given_a_gradient,
            written_out,
        ),
        "would be changed",
    )
    optimizers = dict.fromkeys((stepped, cleared), "the optimizer SGD")
    graphs = {differentiated: "requires grad", continued: "made outside the pure function"}
    return {**changes, **optimizers, **graphs}, (w, plain, momentum)


NAMES = [function.__name__ for function in outside()[0]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "transform",
    [lambda f: f, jax.jit, lambda f: jax.grad(lambda x: f(x).sum())],
    ids=["as it is", "jit", "grad"],
)
def test_what_comes_from_outside_is_not_touched(name, transform):
    functions, tensors = outside()
    function, complaint = next((f, c) for f, c in functions.items() if f.__name__ == name)
    before = [each.tolist() for each in tensors]
    with pytest.raises(RuntimeError, match=complaint):
        transform(funcgrad.pure(function))(jnp.ones(2))
    assert [each.tolist() for each in tensors] == before
    assert all(each.grad is None for each in tensors)


def test_the_complaint_names_the_tensor():
    outside = torch.zeros(3, 4)
    with pytest.raises(RuntimeError, match=r"shape \(3, 4\) and dtype float32 .* `state`"):
        jax.jit(funcgrad.pure(lambda x: outside.add_(x)))(1.0 * jnp.ones(()))


def test_constants_from_outside_are_read():
    constant, teacher = torch.tensor([1.0, 2.0]), weights()

    def function(w):
        with torch.no_grad():
            target = teacher * constant
        return (w * constant * (target - teacher.detach())).sum()

    np.testing.assert_allclose(jax.grad(funcgrad.pure(function))(jnp.ones(2)), [0.0, -1.0])


def test_what_is_made_inside_is_written():
    def function(x):
        made = torch.zeros(2)
        made[0] = x[1]
        made.view(-1)[1:].add_(x[:1])
        moved = torch.ones(2)
        moved.data = made * 2
        optimizer = torch.optim.SGD([x], lr=0.5)
        (x * moved.detach()).sum().backward()
        optimizer.step()
        return made

    pure = funcgrad.pure(function, requires_grad=0, updates=0)
    for each in (pure, jax.jit(pure)):
        made, (x,) = each(jnp.array([3.0, 5.0]))
        assert made.tolist() == [5.0, 3.0]
        assert x.tolist() == [-2.0, 2.0]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(2),
        lambda: torch.randn(2),
        lambda: torch.randperm(3),
        lambda: torch.zeros(2).uniform_(),
        lambda: torch.rand(2, generator=torch.Generator()),
    ],
)
@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, lambda f: jax.grad(lambda x: f(x).sum())])
def test_random_numbers_are_not_frozen_into_a_program(draw, transform):
    with pytest.raises(RuntimeError, match="random numbers"):
        transform(funcgrad.pure(lambda x: x * draw().sum()))(jnp.ones(2))
    with pytest.raises(RuntimeError, match="random numbers"):
        jax.jit(funcgrad.pure(draw))()


@pytest.mark.parametrize(
    "draw",
    [
        lambda p: torch.multinomial(p, 1),
        torch.bernoulli,
        torch.poisson,
        lambda p: torch.binomial(p, p),
        lambda p: torch.distributions.Categorical(p).sample(),
        lambda p: torch.nn.functional.rrelu(p - 1, training=True),
    ],
)
def test_nor_are_those_that_are_drawn_by_the_elements_of_a_tensor(draw):
    with pytest.raises(RuntimeError, match="random numbers"):
        jax.jit(funcgrad.pure(draw))(jnp.array([0.5, 0.5]))


def test_random_numbers_are_drawn_outside_of_transformations():
    pure = funcgrad.pure(lambda x: x * torch.rand(2))
    torch.manual_seed(0)
    first, second = pure(jnp.ones(2)), pure(jnp.ones(2))
    torch.manual_seed(0)
    np.testing.assert_array_equal(first, torch.rand(2).numpy())
    np.testing.assert_array_equal(second, torch.rand(2).numpy())


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.grad], ids=["", "jit", "grad"])
def test_no_tracer_stays_behind_after_an_error(transform):
    w, optimizer = weights(), None
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)

    def function(x):
        (w * x).sum().backward()
        optimizer.step()
        w.data = w.data * x
        raise KeyError("inside")

    pure = funcgrad.pure(function, state=(w, optimizer))
    state = pure.state()
    with pytest.raises(KeyError, match="inside"):
        transform(lambda x: pure(state, x)[1])(1.0 * jnp.ones(()))
    assert w.tolist() == [0.5, -0.5]
    assert w.grad is None
    assert optimizer.state == {}
    (w * 2).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(w.tolist(), [0.3, -0.7], rtol=1e-6)


OPTIMIZERS = {
    "SGD": lambda t, w: t.optim.SGD(w, lr=0.1),
    "momentum": lambda t, w: t.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda t, w: t.optim.Adam(w, lr=0.1),
}


def training_step(t, w, optimizer, average):
    def step(x, y):
        optimizer.zero_grad()
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        with t.no_grad():
            average.mul_(0.5).add_(w, alpha=0.5)
        return loss.detach()

    return step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_with_its_state_is_pytorchs_training(name):
    w = theirs.tensor([0.5, -0.5], requires_grad=True)
    average = theirs.zeros(2)
    step = training_step(theirs, w, OPTIMIZERS[name](theirs, [w]), average)
    expected = [step(theirs.tensor(X), theirs.tensor(Y)).item() for _ in range(5)]

    mine = weights()
    mean = torch.zeros(2)
    optimizer = OPTIMIZERS[name](torch, [mine])
    pure = funcgrad.pure(training_step(torch, mine, optimizer, mean), state=(optimizer, mean))
    state, compiled, losses = pure.state(), jax.jit(pure), []
    for _ in range(2):
        state, loss = compiled(state, X, Y)
        losses.append(loss)
    assert mine.tolist() == [0.5, -0.5]  # nothing outside has changed
    state, more = jax.lax.scan(lambda state, _: compiled(state, X, Y), state, length=2)
    pure.load(state)
    assert optimizer.param_groups[0]["lr"] == 0.1
    last = training_step(torch, mine, optimizer, mean)(torch.tensor(X), torch.tensor(Y))
    np.testing.assert_allclose([*losses, *more, last.item()], expected, rtol=1e-5)
    np.testing.assert_allclose(mine.tolist(), w.tolist(), rtol=1e-5)
    np.testing.assert_allclose(mean.tolist(), average.tolist(), rtol=1e-5)


def test_a_learning_rate_is_part_of_the_state():
    w = weights()
    optimizer = torch.optim.SGD([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    pure = funcgrad.pure(step, state=optimizer)
    compiled = jax.jit(pure)
    compiled(pure.state(), jnp.ones(2))
    optimizer.param_groups[0]["lr"] = 0.5
    state, _ = compiled(pure.state(), jnp.ones(2))
    np.testing.assert_allclose(state["tensors"][0], [0.0, -1.0])


def test_the_state_is_differentiated_as_an_argument():
    w = weights()
    pure = funcgrad.pure(lambda x: ((w * x) ** 2).sum(), state=w)
    state = pure.state()
    gradient = jax.grad(lambda state, x: pure(state, x)[1])(state, jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(gradient["tensors"][0], [1.0, -9.0])


@pytest.mark.parametrize(
    ("make", "error", "complaint"),
    [
        (lambda: funcgrad.pure(3), TypeError, "takes a function of tensors or a module; got 3"),
        (lambda: funcgrad.pure(None), TypeError, "takes a function"),
        (lambda: funcgrad.pure(abs, argnums=0), TypeError, "argnums"),
        (lambda: funcgrad.pure(abs, requires_grad="w"), TypeError, "positions"),
        (lambda: funcgrad.pure(abs, updates=True), TypeError, "positions"),
        (lambda: funcgrad.pure(abs, updates=-1), ValueError, "from 0"),
        (lambda: funcgrad.pure(abs, requires_grad=1)(jnp.ones(2)), ValueError, "argument 1"),
        (lambda: funcgrad.pure(abs, updates=(0, 2))(jnp.ones(2)), ValueError, "argument 2"),
        (lambda: funcgrad.pure(abs, state=3), TypeError, "not of int"),
        (lambda: funcgrad.pure(abs, state=torch.Generator()), TypeError, "generator"),
        (lambda: funcgrad.pure(abs, state=torch.ones(3)[1:]), ValueError, "view"),
        (lambda: funcgrad.pure(abs, state=weights() * 2), ValueError, "result"),
        (lambda: funcgrad.pure(abs, state=weights())(jnp.ones(2)), ValueError, "no state"),
        (lambda: funcgrad.pure(abs, state=weights())(), ValueError, "first argument"),
        (
            lambda: funcgrad.pure(abs, state=weights()).load({"tensors": [], "grads": []}),
            ValueError,
            "no state",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, error, complaint):
    with pytest.raises(error, match=complaint):
        make()


def test_two_tensors_of_one_memory_are_refused():
    w = torch.ones(2)
    with pytest.raises(ValueError, match="shares its memory"):
        funcgrad.pure(abs, state=(w, w.detach()))


def test_an_array_handed_to_jax_is_refused_where_its_gradient_is_wanted():
    function = funcgrad.pure(lambda w: (torch.tensor(jnp.sin(jnp.asarray(w))) * w).sum())
    np.testing.assert_allclose(function(jnp.ones(2)), 2 * np.sin(1), rtol=1e-6)
    with pytest.raises(RuntimeError, match="from_jax"):
        jax.grad(function)(jnp.ones(2))
    stopped = funcgrad.pure(lambda w: (torch.tensor(jnp.sin(jnp.asarray(w.detach()))) * w).sum())
    np.testing.assert_allclose(jax.grad(stopped)(jnp.ones(2)), np.sin([1, 1]), rtol=1e-6)
    made = funcgrad.pure(lambda w: torch.from_jax(jnp.sin)(w).sum())
    np.testing.assert_allclose(jax.grad(made)(jnp.ones(2)), np.cos([1, 1]), rtol=1e-6)
