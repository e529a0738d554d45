"""`ctc_loss` and its derivatives are PyTorch's, in float64; errors too."""

import itertools

import numpy as np
import pytest

from tests.both_sides import assert_alike, ours, outcome, theirs

TARGETS = [[1, 2, 3], [2, 2, 1], [4, 4, 4]]
IN_A_ROW = [1, 2, 3, 2, 2, 4]
# Targets, input lengths, target lengths: in the last two a row has too few steps, and none.
LENGTHS = [(TARGETS, [6, 5, 6], [3, 2, 1]), (TARGETS, [6, 4, 4], [3, 3, 3]), (TARGETS, [6, 4, 0], [3, 3, 0])]  # fmt: skip


def found(torch, targets, lengths, sizes, shape=(6, 3, 5), leaf="logits", as_list=False, **options):
    """The loss, its node and the gradient of a leaf; or the error."""

    def call():
        numbers = np.random.default_rng(0).normal(size=shape)
        logits = torch.tensor(numbers, requires_grad=True)
        logs = logits if leaf == "log_probs" else logits.log_softmax(-1)
        both = (lengths, sizes) if as_list else (torch.tensor(lengths), torch.tensor(sizes))
        loss = torch.nn.functional.ctc_loss(logs, torch.tensor(targets), *both, **options)
        weights = torch.arange(1.0, loss.numel() + 1).double().reshape(tuple(loss.shape))
        (loss * weights).sum().backward()
        return type(loss.grad_fn).__name__, loss.detach().numpy(), logits.grad.numpy()

    return outcome(lambda: call())


def assert_losses_agree(*args, **kwargs):
    mine, expected = (found(torch, *args, **kwargs) for torch in (ours, theirs))
    assert_alike(mine, expected, 1e-10, 1e-13)
    return expected


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("given", LENGTHS, ids=["possible", "impossible", "empty"])
def test_losses_and_gradients(given, reduction, zero_infinity):
    for leaf in ("logits", "log_probs"):
        assert_losses_agree(*given, leaf=leaf, reduction=reduction, zero_infinity=zero_infinity)


def test_forms_of_the_arguments():
    assert_losses_agree(IN_A_ROW, [6, 4, 1], [3, 2, 1], reduction="none", as_list=True)
    assert_losses_agree(TARGETS, [6, 4, 1], [0, 3, 1], blank=3, reduction="none")
    assert_losses_agree([1, 2, 2], [6], [3], shape=(6, 5))
    assert_losses_agree([1, 2, 2], 6, 3, shape=(6, 5), reduction="none")
    assert_losses_agree([[1], [2]], [1, 1], [1, 0], shape=(1, 2, 5), reduction="none")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((IN_A_ROW, [6, 4, 1], [3, 2, 2]), {}),
        ((TARGETS, [6, 4, 7], [3, 2, 1]), {}),
        ((TARGETS, [6, 4, 1], [3, 2, 4]), {}),
        ((TARGETS, [6, 4], [3, 2, 1]), {}),
        ((TARGETS, [6, 4, 1], [3, 2]), {}),
        ((TARGETS, [6, -4, 1], [3, 2, 1]), {}),
        ((TARGETS, [6, 4, 1], [3, -2, 1]), {}),
        ((TARGETS, [6, 4, 1], [3.0, 2.0, 1.0]), {}),
        ((TARGETS, [6, 4, 1], [3, 2, 1]), {"blank": 5}),
        ((TARGETS, [6, 4, 1], [3, 2, 1]), {"reduction": "y"}),
        ((TARGETS, [6, 4, 1], [3, 2, 1]), {"shape": (6, 3, 5, 1)}),
    ],
)
def test_errors(given, options):
    assert isinstance(assert_losses_agree(*given, **options)[1], str)


def test_a_label_that_is_no_class_is_refused():
    """PyTorch reads other memory."""
    kind, words = found(ours, [[1, 5, 3]] * 3, [6, 6, 6], [3, 3, 3])
    assert kind is RuntimeError
    assert "[0, 5)" in words


def test_all_paths_count():
    """Brute force: the sum over all paths that show the labels once blanks and repetitions are taken away."""
    logs = np.log(np.random.default_rng(1).dirichlet(np.ones(3), 4))
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        shown = [c for k, c in enumerate(path) if c and (k == 0 or path[k - 1] != c)]
        if shown == [2, 2]:
            total += np.exp(sum(logs[k, c] for k, c in enumerate(path)))
    loss = ours.nn.CTCLoss(reduction="sum")(ours.tensor(logs)[:, None], ours.tensor([[2, 2]]), [4], [2])  # fmt: skip
    assert loss.item() == pytest.approx(-np.log(total), rel=1e-12)
