"""The parts of the programs in the tests of custom functions."""


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def function(
    torch, backward=lambda ctx, *gradients: gradients[0], forward=lambda ctx, x, *rest: x * 2
):
    """A function named My of these two."""
    return type(
        "My",
        (torch.autograd.Function,),
        {"forward": staticmethod(forward), "backward": staticmethod(backward)},
    )
