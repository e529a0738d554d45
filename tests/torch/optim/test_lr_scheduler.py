"""Schedules give PyTorch's learning rates, state dicts, warnings and refusals."""

import copy
import inspect
import math
import warnings

import pytest

from tests.both_sides import ours, theirs

pytestmark = pytest.mark.usefixtures("torch")


class Halving:
    """A factor with state of its own."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, step):
        return self.scale * 0.5**step


def scheduled(name, *args, **kwargs):
    return lambda torch, optimizer: getattr(torch.optim.lr_scheduler, name)(
        optimizer, *args, **kwargs
    )


def sequence(torch, optimizer):
    parts = torch.optim.lr_scheduler
    return parts.SequentialLR(
        optimizer,
        [
            parts.LinearLR(optimizer, 0.1, total_iters=3),
            parts.ExponentialLR(optimizer, 0.5),
            parts.StepLR(optimizer, 2),
        ],
        milestones=[3, 6],
    )


def chain(torch, optimizer):
    parts = torch.optim.lr_scheduler
    return parts.ChainedScheduler(
        [parts.ConstantLR(optimizer, 0.1, total_iters=4), parts.ExponentialLR(optimizer, 0.9)]
    )


def nested_sequence(torch, optimizer):
    parts = torch.optim.lr_scheduler
    inner = parts.SequentialLR(
        optimizer,
        [parts.ConstantLR(optimizer, 0.5, 2), parts.CosineAnnealingLR(optimizer, 5)],
        milestones=[2],
    )
    return parts.SequentialLR(optimizer, [inner, parts.PolynomialLR(optimizer, 4)], [5])


SCHEDULES = {
    "LambdaLR": scheduled("LambdaLR", lambda step: 0.95**step),
    "LambdaLR, one each": scheduled("LambdaLR", [lambda step: 1 / (1 + step), Halving(2.0)]),
    "MultiplicativeLR": scheduled("MultiplicativeLR", lambda step: 0.9),
    "StepLR": scheduled("StepLR", 3, gamma=0.3),
    "MultiStepLR": scheduled("MultiStepLR", [2, 5, 5, 9], gamma=0.5),
    "ConstantLR": scheduled("ConstantLR", factor=0.3, total_iters=4),
    "LinearLR": scheduled("LinearLR", start_factor=0.2, end_factor=0.7, total_iters=6),
    "ExponentialLR": scheduled("ExponentialLR", 0.8),
    "PolynomialLR": scheduled("PolynomialLR", 7, power=1.7),
    "CosineAnnealingLR": scheduled("CosineAnnealingLR", 4, eta_min=0.01),
    "CosineAnnealingWarmRestarts": scheduled(
        "CosineAnnealingWarmRestarts", 3, T_mult=2, eta_min=0.01
    ),
    "CosineAnnealingWarmRestarts, equal": scheduled("CosineAnnealingWarmRestarts", 4),
    "CyclicLR": scheduled("CyclicLR", 0.01, 0.2, step_size_up=3, step_size_down=2),
    "CyclicLR, triangular2": scheduled("CyclicLR", 0.01, [0.2, 0.3], 2, mode="triangular2"),
    "CyclicLR, exp_range": scheduled("CyclicLR", 0.01, 0.2, 3, mode="exp_range", gamma=0.9),
    "CyclicLR, scale_fn": scheduled(
        "CyclicLR", 0.01, 0.2, 3, scale_fn=Halving(), scale_mode="iterations"
    ),
    "OneCycleLR": scheduled("OneCycleLR", 0.5, total_steps=15),
    "OneCycleLR, three phases": scheduled(
        "OneCycleLR", [0.5, 0.1], epochs=3, steps_per_epoch=5, three_phase=True
    ),
    "OneCycleLR, linear": scheduled(
        "OneCycleLR", 0.5, 15, anneal_strategy="linear", cycle_momentum=False
    ),
    "SequentialLR": sequence,
    "SequentialLR, nested": nested_sequence,
    "ChainedScheduler": chain,
}


def made(torch, case, optimizer):
    """A schedule; one inside two others warns when it is made, in PyTorch too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler = SCHEDULES[case](torch, optimizer)
    assert len(caught) == (case == "SequentialLR, nested")
    return scheduler


def optimizer_of(torch, name="SGD", rate=0.1, rates=(0.5,)):
    w, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    options = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(torch.optim, name)(
        [{"params": w}, {"params": b, "lr": rates[0]}], lr=rate, **options
    )


def rates_of(torch, case, name="SGD", steps=14):
    optimizer = optimizer_of(torch, name)
    scheduler = made(torch, case, optimizer)
    seen = []
    for _ in range(steps):
        seen.extend(
            number
            for group in optimizer.param_groups
            for number in (group["lr"], group.get("momentum", 0), *group.get("betas", ()))
        )
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", SCHEDULES)
def test_rates_are_pytorchs(case, name):
    mine, reference = (rates_of(torch, case, name) for torch in (ours, theirs))
    assert mine == pytest.approx(reference, rel=1e-13, abs=1e-15)


def plain(state):
    """A state dict without what no two runs share."""
    if isinstance(state, dict):
        return {key: plain(held) for key, held in state.items()}
    if isinstance(state, (list, tuple)):
        return [plain(held) for held in state]
    return state


@pytest.mark.parametrize("case", SCHEDULES)
def test_state_dicts_are_pytorchs_and_are_taken_over(case):
    states = []
    for torch in (ours, theirs):
        optimizer = optimizer_of(torch)
        scheduler = made(torch, case, optimizer)
        for _ in range(4):
            optimizer.step()
            scheduler.step()
        states.append(plain(scheduler.state_dict()))
    mine, reference = states
    assert set(mine) == set(reference)
    for key, held in reference.items():
        if isinstance(held, float):
            held = pytest.approx(held, rel=1e-13)
        assert mine[key] == held or key in ("_last_lr", "_schedulers")
    # PyTorch's state goes on here as in PyTorch.
    optimizer = optimizer_of(ours)
    scheduler = made(ours, case, optimizer)
    scheduler.load_state_dict(copy.deepcopy(reference))
    assert scheduler.last_epoch == 4 if hasattr(scheduler, "last_epoch") else True
    assert scheduler.get_last_lr() == pytest.approx(reference["_last_lr"])


def test_a_schedule_goes_on_from_its_state():
    optimizer = optimizer_of(ours)
    expected = rates_of(ours, "CosineAnnealingLR", steps=8)[::4]
    scheduler = SCHEDULES["CosineAnnealingLR"](ours, optimizer)
    rates = []
    for k in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        if k == 3:
            held, state = scheduler.state_dict(), optimizer.state_dict()
            optimizer = optimizer_of(ours)
            scheduler = SCHEDULES["CosineAnnealingLR"](ours, optimizer)
            optimizer.load_state_dict(state)
            scheduler.load_state_dict(held)
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "measures"),
    [
        ({}, [1.0] * 13),
        ({"patience": 1, "factor": 0.5}, [3, 2, 2, 2, 2, 1, 1, 1]),
        ({"mode": "max", "patience": 0, "cooldown": 2}, [1, 0, 0, 0, 0, 2, 1]),
        ({"threshold_mode": "abs", "threshold": 0.5, "patience": 0}, [3, 2.6, 2.4, 2.0]),
        ({"mode": "max", "threshold_mode": "abs", "threshold": 0.5, "patience": 0}, [3, 3.4, 3.6]),
        ({"patience": 0, "min_lr": [0.05, 0.2], "factor": 0.3}, [1, 1, 1, 1]),
        ({"patience": 0, "eps": 0.06, "factor": 0.5}, [1, 1, 1, 1]),
        ({"patience": 0}, [float("nan")] * 3),
    ],
)
def test_a_plateau_reduces_rates_as_pytorchs_does(options, measures):
    seen = []
    for torch in (ours, theirs):
        optimizer = optimizer_of(torch)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for measure in measures:
            scheduler.step(torch.tensor(float(measure)))
            rates.append(
                [*scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.in_cooldown]
            )
        state = {key: held for key, held in scheduler.state_dict().items() if key != "best"}
        seen.append((rates, state))
    assert seen[0] == seen[1]


def test_tensors_as_rates_stay_the_tensors_they_are():
    for case in ("StepLR", "LambdaLR", "CosineAnnealingLR", "OneCycleLR", "CyclicLR"):
        seen = []
        for torch in (ours, theirs):
            rate = torch.tensor(0.1)
            optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=rate, momentum=0.9)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler = SCHEDULES[case](torch, optimizer)
            rates = []
            for _ in range(5):
                optimizer.step()
                scheduler.step()
                rates.append(rate.item())
            # OneCycleLR puts numbers in the place of rates, in PyTorch too.
            seen.append((rates, optimizer.param_groups[0]["lr"] is rate))
        assert seen[0][0] == pytest.approx(seen[1][0], rel=1e-6)
        assert seen[0][1] == seen[1][1]


# -- warnings and refusals ----------------------------------------------------------------------------------------


def outcome(program, torch):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = program(torch)
        except Exception as raised:
            result = (type(raised), str(raised).replace("funcgrad.torch", "torch"))
    return result, [(each.category, str(each.message)) for each in caught]


def stepped_first(torch):
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer_of(torch), 3)
    scheduler.step()
    scheduler.step()


def step_overridden(torch):
    optimizer = optimizer_of(torch)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    optimizer.step = lambda: None
    optimizer.step()
    scheduler.step()


def in_order(torch):
    optimizer = optimizer_of(torch)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    optimizer.step()
    scheduler.step()


def rate_asked_for(torch):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer_of(torch), 0.5).get_lr()


def epoch_given(torch):
    parts, rates = torch.optim.lr_scheduler, []
    for make in (
        lambda o: parts.StepLR(o, 3),
        lambda o: parts.MultiStepLR(o, [2, 4]),
        lambda o: parts.ConstantLR(o, 0.5),
        lambda o: parts.LinearLR(o, 0.5),
        lambda o: parts.ExponentialLR(o, 0.5),
        lambda o: parts.PolynomialLR(o, 8, 2.0),
        lambda o: parts.CosineAnnealingLR(o, 9),
        lambda o: parts.LambdaLR(o, lambda k: 1 / (k + 1)),
        lambda o: parts.CosineAnnealingWarmRestarts(o, 3, 2),
        lambda o: parts.CosineAnnealingWarmRestarts(o, 3),
    ):
        optimizer = optimizer_of(torch)
        scheduler = make(optimizer)
        optimizer.step()
        scheduler.step(4)
        rates += [round(rate, 12) for rate in scheduler.get_last_lr()]
    return rates


def plateau_epoch_given(torch):
    torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer_of(torch)).step(1.0, epoch=3)


def resumed_without_initial_rates(torch):
    torch.optim.lr_scheduler.StepLR(optimizer_of(torch), 3, last_epoch=2)


def past_the_end(torch):
    optimizer = optimizer_of(torch)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    for _ in range(3):
        optimizer.step()
        scheduler.step()


def other_optimizer(torch):
    parts = torch.optim.lr_scheduler
    schedules = [parts.StepLR(optimizer_of(torch), 3) for _ in range(2)]
    parts.ChainedScheduler(schedules)


def plateau_in_a_chain(torch):
    parts, optimizer = torch.optim.lr_scheduler, optimizer_of(torch)
    parts.SequentialLR(
        optimizer, [parts.StepLR(optimizer, 3), parts.ReduceLROnPlateau(optimizer)], [2]
    )


def milestones_missing(torch):
    parts, optimizer = torch.optim.lr_scheduler, optimizer_of(torch)
    parts.SequentialLR(optimizer, [parts.StepLR(optimizer, 3)], [2])


def group_added_to_a_plateau(torch):
    optimizer = optimizer_of(torch)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0, 0])
    optimizer.add_param_group({"params": torch.ones(1, requires_grad=True)})
    scheduler.step(1.0)
    scheduler.step(1.0)


PROGRAMS = [
    stepped_first,
    step_overridden,
    in_order,
    rate_asked_for,
    epoch_given,
    plateau_epoch_given,
    resumed_without_initial_rates,
    past_the_end,
    other_optimizer,
    plateau_in_a_chain,
    milestones_missing,
    group_added_to_a_plateau,
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_warnings_and_refusals_are_pytorchs(program):
    assert outcome(program, ours) == outcome(program, theirs)


BAD = [
    ("LambdaLR", ([abs],), {}),
    ("MultiplicativeLR", (3,), {}),
    ("ConstantLR", (1.5,), {}),
    ("LinearLR", (0.0,), {}),
    ("LinearLR", (0.5, 2.0), {}),
    ("CosineAnnealingWarmRestarts", (0,), {}),
    ("CosineAnnealingWarmRestarts", (2, 0), {}),
    ("CosineAnnealingWarmRestarts", (2, 1, "low"), {}),
    ("CyclicLR", ([0.1], 0.2), {}),
    ("CyclicLR", (0.1, 0.2), {"mode": "square"}),
    ("OneCycleLR", (0.1,), {}),
    ("OneCycleLR", (0.1, 0), {}),
    ("OneCycleLR", (0.1,), {"epochs": -1, "steps_per_epoch": 3}),
    ("OneCycleLR", (0.1,), {"epochs": 1, "steps_per_epoch": 1.5}),
    ("OneCycleLR", (0.1, 5), {"pct_start": 2.0}),
    ("OneCycleLR", (0.1, 5), {"anneal_strategy": "square"}),
    ("ReduceLROnPlateau", ("best",), {}),
    ("ReduceLROnPlateau", (), {"factor": 1.0}),
    ("ReduceLROnPlateau", (), {"threshold_mode": "both"}),
    ("ReduceLROnPlateau", (), {"min_lr": [0.1]}),
    ("SequentialLR", ([], []), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), BAD)
def test_bad_arguments_are_refused_in_pytorchs_words(name, args, kwargs):
    found = [
        outcome(lambda t: scheduled(name, *args, **kwargs)(t, optimizer_of(t)), torch)
        for torch in (ours, theirs)
    ]
    assert found[0] == found[1]
    assert isinstance(found[0][0][0], type)


@pytest.mark.parametrize("name", ["StepLR", "CyclicLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_a_schedule_needs_an_optimizer(name):
    arguments = {"StepLR": (1,), "CyclicLR": (0.1, 0.2), "OneCycleLR": (0.1, 5)}.get(name, ())
    with pytest.raises(TypeError, match="list is not an Optimizer"):
        getattr(ours.optim.lr_scheduler, name)([], *arguments)


def test_momentum_is_cycled_only_where_there_is_one():
    for name, arguments in (("CyclicLR", (0.1, 0.2)), ("OneCycleLR", (0.1, 5))):
        optimizer = ours.optim.Adagrad([ours.ones(1, requires_grad=True)])
        with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
            getattr(ours.optim.lr_scheduler, name)(optimizer, *arguments)


@pytest.mark.parametrize("name", [n for n in ours.optim.lr_scheduler.__all__ if n != "LRScheduler"])
def test_signatures_are_pytorchs(name):
    mine, reference = (
        inspect.signature(getattr(t.optim.lr_scheduler, name)).parameters for t in (ours, theirs)
    )
    assert [(p.name, p.kind, p.default) for p in mine.values()] == [
        (p.name, p.kind, p.default) for p in reference.values()
    ]


def test_every_schedule_of_pytorch_is_here():
    assert set(ours.optim.lr_scheduler.__all__) == set(theirs.optim.lr_scheduler.__all__)


def test_a_schedule_of_ones_own_defines_get_lr():
    class Warmup(ours.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base * min(1.0, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    optimizer = optimizer_of(ours)
    scheduler, rates = Warmup(optimizer), []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])


def test_a_plateau_starts_from_infinity():
    scheduler = ours.optim.lr_scheduler.ReduceLROnPlateau(optimizer_of(ours))
    assert scheduler.best == math.inf
