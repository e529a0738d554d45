"""An optimizer's state: PyTorch's format, read on both sides; copies, pickles; and that a new rate compiles nothing."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
from funcgrad import engine
from tests.both_sides import ours, theirs

pytestmark = pytest.mark.usefixtures("torch")

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adamax", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {"initial_accumulator_value": 0.5}),
    ("Adadelta", {}),
    ("ASGD", {"t0": 2}),
    ("Rprop", {}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 3}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


@pytest.fixture
def eager():
    """Compiling is not what is tested."""
    with engine.mode("eager"):
        yield


class Problem:
    """Two parameters in two groups, and steps on them."""

    def __init__(self, torch, name, options):
        self.torch = torch
        self.w = torch.tensor([[1.0, -2.0]], dtype=torch.float64, requires_grad=True)
        self.b = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
        groups = [{"params": [self.w]}, {"params": [self.b], "lr": 0.02}]
        given = [self.w, self.b] if name == "LBFGS" else groups
        self.optimizer = getattr(torch.optim, name)(given, **options)

    def closure(self):
        self.optimizer.zero_grad()
        loss = ((self.w**2).sum() + self.b[0] - 1) ** 2
        loss.backward()
        return loss

    def steps(self, count):
        for _ in range(count):
            self.optimizer.step(self.closure)
        return np.concatenate([self.w.detach().numpy().ravel(), self.b.detach().numpy()])


def converted(torch, state):
    """A state dict with `torch`'s tensors for the other side's."""
    if isinstance(state, dict):
        return {key: converted(torch, held) for key, held in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(converted(torch, held) for held in state)
    if isinstance(state, (ours.Tensor, theirs.Tensor)):
        return torch.tensor(state.detach().numpy())
    return state


def described(state):
    """The content of a state dict: keys, options, and the types and shapes of tensors."""
    if isinstance(state, dict):
        return {key: described(held) for key, held in state.items()}
    if isinstance(state, (list, tuple)):
        return [described(held) for held in state]
    if isinstance(state, (ours.Tensor, theirs.Tensor)):
        return str(state.dtype), tuple(state.shape), state.requires_grad
    return state


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_state_dicts_look_as_pytorchs_do(name, options):
    found = []
    for torch in (ours, theirs):
        problem = Problem(torch, name, options)
        before = described(problem.optimizer.state_dict())
        problem.steps(2)
        found.append((before, described(problem.optimizer.state_dict())))
    if name == "LBFGS":
        # Numbers, some of which are tensors in PyTorch.
        for each in found:
            for key in ("t", "prev_loss", "ro", "al", "H_diag"):
                del each[1]["state"][0][key]
    assert found[0] == found[1]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("from_pytorch", [True, False], ids=["from PyTorch", "to PyTorch"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_one_side_goes_on_from_the_state_of_the_other(name, options, from_pytorch):
    source, target = (theirs, ours) if from_pytorch else (ours, theirs)
    first = Problem(source, name, options)
    first.steps(3)
    state = converted(target, first.optimizer.state_dict())
    second = Problem(target, name, options)
    with target.no_grad():
        second.w.copy_(target.tensor(first.w.detach().numpy()))
        second.b.copy_(target.tensor(first.b.detach().numpy()))
    second.optimizer.load_state_dict(state)
    np.testing.assert_allclose(second.steps(3), first.steps(3), rtol=1e-9)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "through", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_copies_go_on_by_themselves(name, options, through):
    problem = Problem(ours, name, options)
    problem.steps(2)
    twin = Problem(ours, name, options)
    # One copy of all, so that parameters and optimizer stay together.
    twin.w, twin.b, twin.optimizer = through((problem.w, problem.b, problem.optimizer))
    assert twin.optimizer.param_groups[0]["params"][0] is twin.w
    there, expected = twin.steps(2), problem.steps(2)
    np.testing.assert_array_equal(there, expected)
    assert repr(twin.optimizer) == repr(problem.optimizer)


def test_parameters_are_numbered_across_groups():
    w, b, c = (ours.ones(1, requires_grad=True) for _ in range(3))
    optimizer = ours.optim.SGD([{"params": [w, b]}, {"params": [c]}], momentum=0.9)
    c.grad = ours.ones(1)
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert list(state["state"]) == [2]


def test_names_of_parameters_are_kept():
    found = []
    for torch in (ours, theirs):
        w, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        optimizer = torch.optim.SGD([("w", w), ("b", b)])
        state = optimizer.state_dict()
        plain = torch.optim.SGD([w, b])
        plain.load_state_dict(state)
        renamed = torch.optim.SGD([("x", w), ("y", b)])
        renamed.load_state_dict(torch.optim.SGD([w, b]).state_dict())
        found.append([o.param_groups[0]["param_names"] for o in (optimizer, plain, renamed)])
    assert found[0] == found[1]


def test_loaded_state_takes_the_parameters_dtype_and_steps_keep_theirs():
    found = []
    for torch in (ours, theirs):
        w = torch.ones(2, requires_grad=True)
        w.grad = torch.ones(2)
        optimizer = torch.optim.Adam([w])
        optimizer.step()
        half = torch.ones(2, dtype=torch.float16, requires_grad=True)
        other = torch.optim.Adam([half])
        other.load_state_dict(optimizer.state_dict())
        found.append({key: str(held.dtype) for key, held in other.state[half].items()})
    assert found[0] == found[1]
    assert found[0]["step"] == "torch.float32"


def test_the_step_is_float64_where_that_is_the_default_dtype():
    ours.set_default_dtype(ours.float64)
    try:
        w = ours.ones(2, requires_grad=True)
        w.grad = ours.ones(2)
        for fused, dtype in ((None, ours.float64), (True, ours.float32)):
            optimizer = ours.optim.Adam([w], fused=fused)
            optimizer.step()
            assert optimizer.state[w]["step"].dtype is dtype
    finally:
        ours.set_default_dtype(ours.float32)


def test_state_that_is_numbers_as_older_versions_saved_it_is_read():
    w = ours.ones(2, requires_grad=True)
    w.grad = ours.ones(2)
    optimizer = ours.optim.Adam([w])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["step"] = 1
    del state["param_groups"][0]["maximize"]
    other = ours.optim.Adam([w])
    other.load_state_dict(state)
    other.step()
    assert other.state[w]["step"].item() == 2.0
    assert other.param_groups[0]["maximize"] is False


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["param_groups"].append({"params": []}),
        lambda state: state["param_groups"][0]["params"].append(7),
    ],
)
def test_state_of_other_groups_is_refused_in_pytorchs_words(change):
    found = []
    for torch in (ours, theirs):
        w = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.Adam([w])
        state = optimizer.state_dict()
        change(state)
        with pytest.raises(ValueError, match="loaded state dict") as info:
            optimizer.load_state_dict(state)
        found.append(str(info.value))
    assert found[0] == found[1]


def test_state_hooks_are_called_in_pytorchs_order():
    found = []
    for torch in (ours, theirs):
        optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])
        called = []

        def hook(name, result=None, called=called):
            return lambda *args: called.append((name, len(args))) or result

        optimizer.register_state_dict_pre_hook(hook("second"))
        optimizer.register_state_dict_pre_hook(hook("first"), prepend=True)
        optimizer.register_state_dict_post_hook(hook("post", {"mine": 1}))
        optimizer.register_load_state_dict_pre_hook(hook("load"))
        optimizer.register_load_state_dict_post_hook(hook("loaded"))
        state = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=3.0).state_dict()
        optimizer.load_state_dict(state)
        found.append((optimizer.state_dict(), called, optimizer.param_groups[0]["lr"]))
    assert found[0] == found[1]


def test_tensors_in_a_state_dict_are_the_optimizers_own():
    found = []
    for torch in (ours, theirs):
        w = torch.ones(1, requires_grad=True)
        w.grad = torch.ones(1)
        optimizer = torch.optim.Adam([w])
        optimizer.step()
        held = optimizer.state_dict()["state"][0]
        optimizer.step()
        found.append((held["step"].item(), held["exp_avg"].item()))
    assert found[0] == pytest.approx(found[1])


# -- what a step costs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES[:-1], ids=IDS[:-1])
def test_a_rate_that_decays_compiles_nothing(name, options, recorded):
    w = ours.tensor([1.0, -2.0], requires_grad=True)
    optimizer = getattr(ours.optim, name)([w], **options)
    schedule = ours.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    def step():
        w.grad = None
        (w * w).sum().backward()
        optimizer.step()
        schedule.step()
        return w.tolist()

    for _ in range(12):
        step()
    engine.reset_stats()
    for _ in range(5):
        step()
    stats = engine.stats()
    assert (stats.programs_compiled, stats.kernels_compiled) == (0, 0)
    assert stats.cache_hits == stats.runs == 10


@pytest.mark.parametrize(("name", "options"), CASES[:-1], ids=IDS[:-1])
def test_a_step_is_one_op_a_parameter(name, options, recorded):
    parameters = [ours.ones(size, requires_grad=True) for size in (1, 2, 3)]
    optimizer = getattr(ours.optim, name)(parameters, **options)
    for k in range(2):
        for parameter in parameters:
            parameter.grad = ours.ones(parameter.shape)
        engine.flush("the gradients are there")
        before = engine.stats().pending_ops
        optimizer.step()
        assert k == 0 or engine.stats().pending_ops - before == len(parameters)
    engine.flush("the test is over")


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "ASGD", "Adam"])
def test_a_compiled_step_counts_on(name):
    w = ours.tensor([1.0, -2.0], requires_grad=True)
    optimizer = getattr(ours.optim, name)([w])

    @ours.compile
    def step():
        w.grad = None
        (w * w).sum().backward()
        optimizer.step()

    for _ in range(12):
        step()
    assert optimizer.state[w]["step"].item() == 12.0


@pytest.mark.parametrize(("name", "options"), CASES[:-1], ids=IDS[:-1])
def test_a_pure_step_with_its_state_is_the_step(name, options):
    def problem():
        w = ours.tensor([1.0, -2.0], requires_grad=True)
        optimizer = getattr(ours.optim, name)([w], **options)

        def step(x):
            optimizer.zero_grad()
            ((w * x) ** 2).sum().backward()
            optimizer.step()

        return w, optimizer, step

    w, optimizer, step = problem()
    for _ in range(7):
        step(ours.tensor([1.0, 3.0]))
    mine, other, other_step = problem()
    pure = funcgrad.pure(other_step, state=other)
    x = jnp.array([1.0, 3.0])
    state, _ = jax.jit(pure)(pure.state(), x)
    state, _ = jax.lax.scan(lambda state, _: pure(state, x), state, length=6)
    pure.load(state)
    np.testing.assert_allclose(mine.tolist(), w.tolist(), rtol=1e-5)
    assert set(other.state[mine]) == set(optimizer.state[w])
    for key, held in optimizer.state[w].items():
        np.testing.assert_allclose(other.state[mine][key].tolist(), held.tolist(), rtol=1e-5)


def descent(schedule_inside):
    """Losses of compiled and of plain steps whose rate a schedule changes."""
    w = ours.tensor([1.0, -2.0], requires_grad=True)
    optimizer = ours.optim.SGD([w], lr=0.1)
    schedule = ours.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.1)

    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        if schedule_inside:
            schedule.step()

    return w, schedule, step


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_a_compiled_step_sees_the_rates_that_a_schedule_sets(inside):
    ends = []
    for wrap in (ours.compile, lambda step: step):
        w, schedule, step = descent(inside)
        step = wrap(step)
        for _ in range(14):
            step()
            if not inside:
                schedule.step()
        ends.append(w.tolist())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)


def test_a_compiled_step_sees_a_rate_that_is_a_tensor():
    w, rate = ours.tensor([1.0], requires_grad=True), ours.tensor(0.25)
    optimizer = ours.optim.SGD([w], lr=rate)

    @ours.compile
    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    for _ in range(6):
        step()
    rate.fill_(1.0)
    step()
    assert w.tolist() == [1.0 - 6 * 0.25 - 1.0]
