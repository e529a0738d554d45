"""Optimizers go where PyTorch's go: a table of options, each over 100 steps."""

import inspect
import warnings

import numpy as np
import pytest

from funcgrad import engine
from tests.both_sides import assert_same, ours, theirs

pytestmark = pytest.mark.usefixtures("torch")

NAMES = [
    "SGD",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "ASGD",
    "Rprop",
    "LBFGS",
]
# A first entry of each optimizer with its defaults, then its options.
CASES = [
    *[(name, {}) for name in NAMES if name != "LBFGS"],
    ("SGD", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "fused": True}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True, "fused": True}),
    ("Adam", {"lr": 0.02, "betas": (0.0, 0.0), "foreach": True}),
    ("Adam", {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1}),
    (
        "RAdam",
        {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    ("RAdam", {"maximize": True, "foreach": True}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"alpha": 0.8, "centered": True, "momentum": 0.5, "maximize": True}),
    ("RMSprop", {"eps": 1e-3, "centered": True}),
    (
        "Adagrad",
        {"lr": 0.5, "lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.1},
    ),
    ("Adagrad", {"lr": 0.1, "eps": 1e-2, "maximize": True, "fused": True}),
    ("Adadelta", {"lr": 2.0, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("ASGD", {"lr": 0.1, "t0": 5, "lambd": 0.1, "alpha": 0.5, "weight_decay": 0.1}),
    ("ASGD", {"t0": 50, "maximize": True}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.3)}),
    ("Rprop", {"maximize": True}),
]
IDS = [f"{name}-{'-'.join(map(str, options)) or 'defaults'}" for name, options in CASES]


@pytest.fixture(autouse=True)
def _eager():
    """Compiling is not what is tested here."""
    with engine.mode("eager"):
        yield


def elements(tensor):
    tensor = tensor.detach()
    halved = str(tensor.dtype).split(".")[1] in ("float16", "bfloat16")
    return (tensor.float() if halved else tensor).numpy().copy()


# PyTorch's vectorised kernels take 32 elements at once, and round those left over another way in half precision.
SHAPE = (4, 16)


def gradients(steps, complex_numbers=False):
    rng = np.random.default_rng(5)
    drawn = rng.normal(size=(steps, *SHAPE)) + 0.3
    return drawn + 1j * rng.normal(size=drawn.shape) if complex_numbers else drawn


def walk(torch, name, options, dtype, steps):
    """Where a parameter is after each step with given gradients."""
    kind = getattr(torch, dtype)
    given = gradients(steps, dtype.startswith("complex"))
    w = torch.tensor(np.round(given[0] * 3, 1)).to(kind).requires_grad_()
    optimizer = getattr(torch.optim, name)([w], **options)
    trajectory = []
    for gradient in given:
        w.grad = torch.tensor(gradient).to(kind)
        optimizer.step()
        trajectory.append(elements(w))
    return np.stack(trajectory), optimizer


def assert_same_walk(name, options, dtype, steps, **tolerance):
    mine, reference = (walk(torch, name, options, dtype, steps)[0] for torch in (ours, theirs))
    assert mine.dtype == reference.dtype
    np.testing.assert_allclose(mine, reference, **tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", {"rtol": 1e-12, "atol": 1e-14}), ("float32", {"rtol": 2e-5, "atol": 1e-6})],
    ids=["float64", "float32"],
)
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_a_hundred_steps_lead_where_pytorchs_lead(name, options, dtype, tolerance):
    assert_same_walk(name, options, dtype, 100, **tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_parts_of_complex_parameters_are_optimized_as_reals(name, options):
    if options.get("fused"):
        options = {**options, "fused": None}
    assert_same_walk(name, options, "complex128", 20, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_half_precision_is_rounded_where_pytorchs_kernels_round(name, options, dtype):
    # Each of which rounds in places of its own.
    options = {**options, **{key: None for key in ("fused", "foreach") if key in options}}
    with np.errstate(all="ignore"):
        assert_same_walk(name, options, dtype, 20, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_pytorchs(name):
    mine, reference = (inspect.signature(getattr(t.optim, name)) for t in (ours, theirs))
    assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
        (p.name, p.kind, p.default) for p in reference.parameters.values()
    ]


@pytest.mark.parametrize(("name", "options"), [*CASES, ("LBFGS", {})], ids=[*IDS, "LBFGS"])
def test_they_print_as_pytorchs_do(name, options):
    printed = []
    for torch in (ours, theirs):
        w, b = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
        groups = [{"params": [w]}, {"params": b, "lr": 0.5}] if name != "LBFGS" else [w, b]
        printed.append(repr(getattr(torch.optim, name)(groups, **options)))
    assert printed[0] == printed[1]


def test_classes_can_be_imported_from_pytorchs_modules():
    for name in NAMES:
        module = __import__(f"funcgrad.torch.optim.{name.lower()}", fromlist=[name])
        assert getattr(module, name) is getattr(ours.optim, name)


# -- tensors as options -------------------------------------------------------------------------------------------

TENSOR_OPTIONS = [
    ("SGD", {"lr": [0.05], "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "weight_decay": [0.1]}),
    ("Adam", {"lr": [0.05], "weight_decay": 0.1}),
    ("Adam", {"betas": ([0.8], [0.9])}),
    ("AdamW", {"lr": [0.05]}),
    ("NAdam", {"lr": [0.05]}),
    ("RAdam", {"lr": [0.05]}),
    ("Adamax", {"lr": [0.05]}),
    ("RMSprop", {"lr": [0.05], "momentum": 0.5}),
    ("Adagrad", {"lr": [0.05], "lr_decay": 0.1}),
    ("Adadelta", {"lr": [0.5]}),
    ("ASGD", {"lr": [0.05], "t0": 5}),
    ("Rprop", {"lr": [0.05]}),
]


def with_tensors(torch, options, shape=()):
    def made(option):
        if isinstance(option, tuple):
            return tuple(map(made, option))
        return torch.tensor(option).reshape(shape) if isinstance(option, list) else option

    return {key: made(option) for key, option in options.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), TENSOR_OPTIONS)
def test_tensors_are_taken_for_numbers(name, options, dtype):
    mine, reference = (
        walk(torch, name, with_tensors(torch, options), dtype, 20)[0] for torch in (ours, theirs)
    )
    # PyTorch computes with a tensor in the tensor's dtype, float32 here.
    np.testing.assert_allclose(mine, reference, rtol=2e-6, atol=1e-6)


def test_a_tensor_rate_that_changes_is_seen():
    w, rate = ours.ones(1, requires_grad=True), ours.tensor(0.5)
    optimizer = ours.optim.SGD([w], lr=rate)
    w.grad = ours.ones(1)
    optimizer.step()
    rate.fill_(0.25)
    optimizer.step()
    assert w.tolist() == [0.25]


# -- what is refused ----------------------------------------------------------------------------------------------


def outcome(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            make()
            error = None
        except Exception as raised:
            error = (
                type(raised),
                str(raised).replace("funcgrad.torch", "torch").replace("_tensor.tensor.", ""),
            )
    return error, [(each.category, str(each.message)) for each in caught]


BAD_OPTIONS = [
    *[(name, {"lr": -1.0}) for name in NAMES],
    *[(name, {"weight_decay": -1.0}) for name in NAMES if name not in ("Rprop", "LBFGS")],
    *[
        (name, {"betas": betas})
        for name in ("Adam", "AdamW", "NAdam", "RAdam", "Adamax")
        for betas in ((1.0, 0.9), (0.9, -0.1))
    ],
    *[(name, {"eps": -1.0}) for name in ("Adam", "NAdam", "Adamax", "RMSprop", "Adagrad")],
    ("SGD", {"momentum": -1.0}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"fused": True, "foreach": True}),
    ("SGD", {"fused": True, "differentiable": True}),
    ("Adam", {"fused": True, "foreach": True}),
    ("Adam", {"betas": (1, 0.9)}),
    ("Adam", {"betas": (0, 0)}),
    ("Adam", {"lr": [0.1], "foreach": True}),
    ("Adam", {"lr": [0.1, 0.2]}),
    ("Adam", {"betas": ([0.9], 0.99)}),
    ("Adagrad", {"fused": True, "foreach": True}),
    ("Adagrad", {"lr_decay": -1}),
    ("Adagrad", {"initial_accumulator_value": -1}),
    ("NAdam", {"momentum_decay": -1}),
    ("RMSprop", {"momentum": -1}),
    ("RMSprop", {"alpha": -1}),
    ("Adadelta", {"rho": 1.5}),
    ("ASGD", {"lr": [0.1, 0.2]}),
    ("Rprop", {"etas": (1.0, 1.2)}),
    ("SGD", {"learning_rate": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), BAD_OPTIONS)
def test_bad_options_are_refused_in_pytorchs_words(name, options):
    found = []
    for torch in (ours, theirs):
        shape = (-1,) if any(isinstance(o, list) and len(o) > 1 for o in options.values()) else ()
        given = with_tensors(torch, options, shape)
        w = torch.ones(2, requires_grad=True)
        found.append(outcome(lambda w=w, t=torch, g=given: getattr(t.optim, name)([w], **g)))
    assert found[0] == found[1]
    assert found[0][0] is not None


PARAMETERS = {
    "none": lambda t, w, b: [],
    "a tensor": lambda t, w, b: w,
    "a set": lambda t, w, b: [{"params": {w, b}}],
    "a result": lambda t, w, b: [w * 2],
    "a number": lambda t, w, b: [3],
    "a class": lambda t, w, b: [int],
    "twice in a group": lambda t, w, b: [w, w],
    "twice in two groups": lambda t, w, b: [{"params": w}, {"params": [b, w]}],
    "no dict": lambda t, w, b: [{"params": w}, b],
    "some named": lambda t, w, b: [("w", w), b],
    "groups some named": lambda t, w, b: [{"params": [("w", w)]}, {"params": [b]}],
    "no params": lambda t, w, b: [{"lr": 1.0}],
    "iterator": lambda t, w, b: iter([w, b]),
    "named": lambda t, w, b: [("w", w), ("b", b)],
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_are_checked_as_pytorch_checks_them(case):
    found = []
    for torch in (ours, theirs):
        w, b = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
        made = []

        def make(t=torch, w=w, b=b, made=made):
            made.append(t.optim.SGD(PARAMETERS[case](t, w, b)))

        found.append((*outcome(make), [repr(each) for each in made]))
    assert found[0] == found[1]


def test_a_required_option_has_to_be_set():
    found = []
    for torch in (ours, theirs):
        base = torch.optim.Optimizer
        required = __import__(base.__module__, fromlist=["required"]).required
        w = torch.ones(2, requires_grad=True)
        found.append(outcome(lambda b=base, w=w, r=required: b([w], {"lr": r})))
    assert found[0] == found[1]
    assert "required optimization parameter lr" in found[0][0][1]


def test_fused_refuses_complex_parameters():
    w = ours.ones(2, dtype=ours.complex64, requires_grad=True)
    w.grad = ours.ones(2, dtype=ours.complex64)
    for name in ("SGD", "Adam"):
        optimizer = getattr(ours.optim, name)(
            [w], fused=True, **({"momentum": 0.9} if name == "SGD" else {})
        )
        with pytest.raises(
            RuntimeError, match="`fused=True` requires all the params to be floating"
        ):
            optimizer.step()


# -- steps --------------------------------------------------------------------------------------------------------


def test_a_closure_is_called_with_gradients_on_and_its_loss_returned():
    for name in NAMES:
        seen = []
        for torch in (ours, theirs):
            w = torch.tensor([1.0, -2.0], requires_grad=True)
            optimizer = getattr(torch.optim, name)([w], lr=0.1)

            def closure(w=w, optimizer=optimizer):
                optimizer.zero_grad()
                loss = (w * w).sum()
                loss.backward()
                return loss

            with torch.no_grad():
                losses = [optimizer.step(closure).item() for _ in range(3)]
            seen.append([*losses, *w.tolist()])
        np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5, atol=1e-6)


def test_groups_have_their_own_options():
    ends = []
    for torch in (ours, theirs):
        w, b, c = (torch.full((2,), x, requires_grad=True) for x in (1.0, 2.0, 3.0))
        optimizer = torch.optim.AdamW([{"params": [w]}, {"params": b, "lr": 0.5}], lr=0.1)
        optimizer.add_param_group({"params": c, "weight_decay": 0.5, "betas": (0.5, 0.5)})
        for _ in range(5):
            optimizer.zero_grad()
            (w * b * c).sum().backward()
            optimizer.step()
        ends.append(np.stack([elements(each) for each in (w, b, c)]))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)


def test_a_parameter_without_gradient_stays_and_has_no_state():
    w, b = ours.ones(2, requires_grad=True), ours.ones(2, requires_grad=True)
    optimizer = ours.optim.Adam([w, b])
    w.grad = ours.ones(2)
    optimizer.step()
    assert b.tolist() == [1.0, 1.0]
    assert set(optimizer.state) == {w}


def test_zero_grad_forgets_gradients_or_fills_them_in_place():
    w = ours.ones(2, requires_grad=True)
    optimizer = ours.optim.SGD([w])
    (w.grad,) = ours.autograd.grad((w * w).sum(), w, create_graph=True)
    kept = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is kept
    assert not kept.requires_grad
    assert kept.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_a_parameter_is_changed_in_place():
    seen = []
    for torch in (ours, theirs):
        w = torch.ones(3, requires_grad=True)
        data, version = w.data, w._version
        w.grad = torch.ones(3)
        torch.optim.SGD([w], lr=0.5).step()
        seen.append((data.tolist(), w._version - version, w.is_leaf, w.requires_grad))
    assert seen[0] == seen[1]


def test_an_expanded_parameter_is_refused():
    for torch in (ours, theirs):
        w = torch.ones(1).expand(3).requires_grad_()
        w.grad = torch.ones(3)
        with pytest.raises(RuntimeError, match="single memory location"):
            torch.optim.SGD([w], lr=0.5).step()


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"momentum": 0.9}), ("Adam", {}), ("RMSprop", {"eps": 0.1}), ("NAdam", {})],
)
def test_a_differentiable_step_is_differentiated(name, options):
    slopes = []
    for torch in (ours, theirs):
        start = torch.tensor([1.0, -2.0], requires_grad=True)
        slope = torch.tensor([0.3, 0.7], requires_grad=True)
        w = start.clone()
        optimizer = getattr(torch.optim, name)([w], lr=0.1, differentiable=True, **options)
        for k in range(1, 4):
            w.grad = slope * k
            optimizer.step()
        (w * w).sum().backward()
        slopes.append([*start.grad.tolist(), *slope.grad.tolist(), *w.tolist()])
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-4, atol=1e-6)


def test_a_differentiable_step_on_a_leaf_is_refused():
    for torch in (ours, theirs):
        w = torch.ones(2, requires_grad=True)
        w.grad = torch.ones(2)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            torch.optim.SGD([w], differentiable=True).step()


def test_a_differentiable_step_refuses_a_rate_that_wants_a_gradient():
    w = ours.ones(2, requires_grad=True).clone()
    w.grad = ours.ones(2)
    optimizer = ours.optim.SGD([w], lr=ours.tensor(0.1, requires_grad=True), differentiable=True)
    with pytest.raises(NotImplementedError, match="with respect to lr"):
        optimizer.step()


def test_capturable_changes_nothing():
    ends = []
    for capturable in (False, True):
        w = ours.tensor([1.0, -2.0], requires_grad=True)
        optimizer = ours.optim.NAdam([w], capturable=capturable)
        w.grad = ours.ones(2)
        optimizer.step()
        ends.append(w.tolist())
    assert ends[0] == ends[1]


# -- LBFGS --------------------------------------------------------------------------------------------------------


def rosenbrock(torch, w):
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def valley(torch, w):
    return (w.abs() ** 1.5).sum() + (w.sum() - 1) ** 2 + torch.exp(-w[0])


@pytest.mark.parametrize("loss", [rosenbrock, valley])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.001, "max_iter": 4},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 6, "history_size": 2, "lr": 0.5},
        {"line_search_fn": "strong_wolfe", "max_eval": 5},
    ],
    ids=["fixed steps", "line search", "short history", "few evaluations"],
)
def test_lbfgs_takes_pytorchs_steps(loss, options):
    seen = []
    for torch in (ours, theirs):
        w = torch.tensor([-1.2, 0.7], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([w], **options)
        calls = []

        def closure(t=torch, w=w, optimizer=optimizer, calls=calls):
            optimizer.zero_grad()
            value = loss(t, w)
            value.backward()
            calls.append(value.item())
            return value

        for _ in range(3):
            optimizer.step(closure)
        (state,) = optimizer.state_dict()["state"].values()
        seen.append((calls, w.tolist(), state["n_iter"], state["func_evals"], sorted(state)))
    assert seen[0][2:] == seen[1][2:]
    np.testing.assert_allclose(seen[0][0], seen[1][0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=1e-6, atol=1e-9)


def test_lbfgs_takes_one_group_and_one_line_search():
    for torch in (ours, theirs):
        w, b = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
        with pytest.raises(ValueError, match="doesn't support per-parameter options"):
            torch.optim.LBFGS([{"params": w}, {"params": b}])
        optimizer = torch.optim.LBFGS([w], line_search_fn="armijo")

        def closure(w=w):
            w.grad = None
            loss = (w * w).sum()
            loss.backward()
            return loss

        with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
            optimizer.step(closure)


# -- hooks and optimizers of one's own ----------------------------------------------------------------------------


def test_step_hooks_are_called_in_pytorchs_order():
    seen = []
    for torch in (ours, theirs):
        module = __import__(torch.optim.Optimizer.__module__, fromlist=["Optimizer"])
        w = torch.ones(1, requires_grad=True)
        w.grad = torch.ones(1)
        optimizer = torch.optim.SGD([w], lr=0.1)
        called = []

        def hook(name, called=called):
            return lambda optimizer, args, kwargs: called.append((name, len(args), sorted(kwargs)))

        handles = [
            optimizer.register_step_pre_hook(hook("before")),
            optimizer.register_step_post_hook(hook("after")),
            module.register_optimizer_step_pre_hook(hook("before all")),
            module.register_optimizer_step_post_hook(hook("after all")),
        ]
        optimizer.step()
        optimizer.step(closure=None)
        for handle in handles:
            handle.remove()
        optimizer.step()
        swapped = optimizer.register_step_pre_hook(
            lambda optimizer, args, kwargs: ((*args, lambda: 3), kwargs)
        )
        called.append(optimizer.step())
        swapped.remove()
        optimizer.register_step_pre_hook(lambda *_: 3)
        with pytest.raises(RuntimeError, match=r"must return None or a tuple"):
            optimizer.step()
        seen.append(called)
    assert seen[0] == seen[1]


def test_an_optimizer_of_ones_own_has_groups_state_and_hooks():
    seen = []
    for torch in (ours, theirs):

        class Signs(torch.optim.Optimizer):
            def __init__(self, params, lr=0.5):
                super().__init__(params, {"lr": lr})

            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        state = self.state[p]
                        state["count"] = state.get("count", 0) + 1
                        p.data.add_(p.grad.sign(), alpha=-group["lr"])

        w = torch.tensor([1.0, -1.0], requires_grad=True)
        optimizer, called = Signs([w]), []
        optimizer.register_step_post_hook(lambda *_, called=called: called.append("after"))
        (w * w).sum().backward()
        optimizer.step()
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        schedule.step()
        seen.append((w.tolist(), called, optimizer.state_dict(), repr(optimizer)))
    assert seen[0] == seen[1]


def test_a_wrapper_that_is_an_optimizer_by_its_class_alone_steps():
    def program(torch, see):
        class Wrapper(torch.optim.Optimizer):
            def __init__(self, inner):
                self.inner, self.param_groups = inner, inner.param_groups

            def step(self, closure=None):
                return self.inner.step(closure)

        weight = torch.ones(2, requires_grad=True)
        optimizer = Wrapper(torch.optim.SGD([weight], lr=0.5))
        (weight * 2).sum().backward()
        optimizer.step()
        see(weight, torch.utils.checkpoint.get_device_states(weight))

    assert_same(program)
