"""A mapped function that writes its argument in place and returns it: the batch lies where `out_dims` says, as in PyTorch."""

import pytest

from tests.both_sides import ours, theirs


def doubled(a):
    a.mul_(2)
    return a


def written_through_a_view(a):
    a[0].mul_(2)
    return a


def a_view_of_the_written(a):
    a += 1
    return a[:1]


def copied(a):
    a.add_(1)
    return a * 1


FUNCTIONS = [doubled, written_through_a_view, a_view_of_the_written, copied]
ARGUMENTS = ["base", "base.t()", "base[:, 1:]", "base[None] * 1"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("in_dims", [0, 1])
@pytest.mark.parametrize("out_dims", [0, 1])
def test_batch_lies_where_out_dims_says(function, argument, in_dims, out_dims):
    def outcome(torch):
        base = torch.arange(6.0).reshape(2, 3)
        given = eval(argument, {"base": base})
        found = torch.func.vmap(function, in_dims=in_dims, out_dims=out_dims)(given)
        return tuple(found.shape), found.tolist(), given.tolist(), base.tolist()

    assert outcome(ours) == outcome(theirs)


def test_gradient_through_a_mapped_write():
    def outcome(torch):
        def loss(x):
            return torch.func.vmap(doubled, in_dims=1)(x * 1).pow(2).sum()

        return torch.func.grad(loss)(torch.arange(6.0).reshape(2, 3)).tolist()

    assert outcome(ours) == outcome(theirs)
