"""`torch.func` refuses wrong use in PyTorch's words."""

import copy
import pickle

import pytest

import funcgrad.torch.func as our_func
from tests.both_sides import SIDES, ours
from tests.torch.func.samples import (
    check,
    cube_sum,
    matrix,
    vector,
)

# Writes of one of a batch to a tensor that is the same for all of it.
SHARED_WRITES = {
    "mul_": lambda t, y, x: y.mul_(x),
    "copy_": lambda t, y, x: y.copy_(x),
    "fill_": lambda t, y, x: y.fill_(x[0]),
    "pow_": lambda t, y, x: y.pow_(x),
    "addcmul_": lambda t, y, x: y.addcmul_(x, x),
    "clamp_": lambda t, y, x: y.clamp_(min=x),
    "index_put_": lambda t, y, x: y.__setitem__(t.tensor([0, 1]), x[0]),
    "index_put_ by the batch": lambda t, y, x: y.__setitem__(x.long(), 1.0),
    "index_add_": lambda t, y, x: y.index_add_(0, t.tensor([0]), x[:1]),
    "index_copy_": lambda t, y, x: y.index_copy_(0, t.tensor([0]), x[:1]),
    "scatter_": lambda t, y, x: y.scatter_(0, t.tensor([0]), x[:1]),
}

COMPLAINTS = {
    "grad of a vector": lambda t, f: f.grad(lambda x: x)(vector(t)),
    "grad of a number": lambda t, f: f.grad(lambda x: 3.0)(vector(t)),
    "argnums out of range": lambda t, f: f.grad(cube_sum, argnums=1)(vector(t)),
    "argnums twice": lambda t, f: f.grad(cube_sum, argnums=(0, 0))(vector(t)),
    "argnums of text": lambda t, f: f.grad(cube_sum, argnums="x")(vector(t)),
    "argnums with text": lambda t, f: f.grad(cube_sum, argnums=(0, "x"))(vector(t)),
    "no argnums": lambda t, f: f.grad(cube_sum, argnums=())(vector(t)),
    "has_aux without aux": lambda t, f: f.grad(cube_sum, has_aux=True)(vector(t)),
    "aux that is no tensor": lambda t, f: f.grad(lambda x: (x.sum(), 3), has_aux=True)(vector(t)),
    "grad by a number": lambda t, f: f.grad(lambda x: x)(3.0),
    "grad by integers": lambda t, f: f.grad(lambda x: x.sum())(t.ones(2, dtype=t.int64)),
    "vjp of a number": lambda t, f: f.vjp(lambda x: 3, vector(t)),
    "vjp of nothing": lambda t, f: f.vjp(lambda x: (), vector(t)),
    "vjp of bools": lambda t, f: f.vjp(lambda x: x > 0, vector(t)),
    "vjp with aux missing": lambda t, f: f.vjp(lambda x: x, vector(t), has_aux=True),
    "cotangents of another structure": lambda t, f: f.vjp(lambda x: {"a": x}, vector(t))[1](
        {"b": vector(t)}
    ),
    "a cotangent of another shape": lambda t, f: f.vjp(lambda x: x, vector(t))[1](t.ones(2)),
    "jvp without a tuple": lambda t, f: f.jvp(cube_sum, vector(t), vector(t)),
    "jvp of nothing": lambda t, f: f.jvp(cube_sum, (), ()),
    "a tangent that is no tensor": lambda t, f: f.jvp(cube_sum, (vector(t),), (3,)),
    "tangents of another structure": lambda t, f: f.jvp(
        cube_sum, (vector(t),), (vector(t), vector(t))
    ),
    "a tangent of another shape": lambda t, f: f.jvp(cube_sum, (vector(t),), (t.ones(2),)),
    "jvp of integers": lambda t, f: f.jvp(cube_sum, (t.ones(2, dtype=t.int64),), (t.ones(2),)),
    "strict jvp of a constant": lambda t, f: f.jvp(
        lambda x: t.ones(2), (vector(t),), (vector(t),), strict=True
    ),
    "jvp of a number": lambda t, f: f.jvp(lambda x: 3, (vector(t),), (vector(t),)),
    "jvp with aux missing": lambda t, f: f.jvp(
        lambda x: x, (vector(t),), (vector(t),), has_aux=True
    ),
    "jacrev chunk_size": lambda t, f: f.jacrev(cube_sum, chunk_size=0),
    "linearize, another structure": lambda t, f: f.linearize(cube_sum, vector(t))[1](
        vector(t), vector(t)
    ),
    "linearize, another shape": lambda t, f: f.linearize(cube_sum, vector(t))[1](t.ones(2)),
    "functionalize": lambda t, f: f.functionalize(cube_sum, remove="x"),
    "vmap in_dims too few": lambda t, f: f.vmap(lambda x, y: x, in_dims=(0,))(vector(t), vector(t)),
    "vmap in_dims of text": lambda t, f: f.vmap(lambda x: x, in_dims="x")(vector(t)),
    "vmap in_dims nested otherwise": lambda t, f: f.vmap(lambda x, y: x, in_dims=((0,), 0))(
        (vector(t), vector(t)), vector(t)
    ),
    "vmap in_dims not there": lambda t, f: f.vmap(lambda x: x, in_dims=1)(vector(t)),
    "vmap in_dims None": lambda t, f: f.vmap(lambda x: x, in_dims=None)(vector(t)),
    "vmap in_dims all None": lambda t, f: f.vmap(lambda x: x, in_dims=(None,))(vector(t)),
    "vmap over a number": lambda t, f: f.vmap(lambda x: x)(3),
    "vmap over nothing": lambda t, f: f.vmap(lambda x: x)(),
    "vmap over a scalar": lambda t, f: f.vmap(lambda x: x)(t.tensor(1.0)),
    "vmap over sizes that differ": lambda t, f: f.vmap(lambda x, y: x)(vector(t), t.ones(2)),
    "vmap out_dims too many": lambda t, f: f.vmap(lambda x: (x, x), out_dims=(0, 0, 0))(vector(t)),
    "vmap out_dims not there": lambda t, f: f.vmap(lambda x: x, out_dims=2)(vector(t)),
    "vmap out_dims of text": lambda t, f: f.vmap(lambda x: x, out_dims="x")(vector(t)),
    "vmap out_dims None": lambda t, f: f.vmap(lambda x: x, out_dims=None)(vector(t)),
    "vmap of a number": lambda t, f: f.vmap(lambda x: 3)(vector(t)),
    "vmap chunk_size": lambda t, f: f.vmap(lambda x: x, chunk_size=0)(vector(t)),
    "vmap randomness": lambda t, f: f.vmap(lambda x: x, randomness="x")(vector(t)),
    "item() inside vmap": lambda t, f: f.vmap(lambda x: x * x.item())(vector(t)),
    "float() inside vmap": lambda t, f: f.vmap(lambda x: x * float(x))(vector(t)),
    "int() inside vmap": lambda t, f: f.vmap(lambda x: x * int(x))(vector(t)),
    "a branch inside vmap": lambda t, f: f.vmap(lambda x: x if x > 0 else -x)(vector(t)),
    "tolist() inside vmap": lambda t, f: f.vmap(lambda x: x * x.tolist())(vector(t)),
    "numpy() inside vmap": lambda t, f: f.vmap(lambda x: x * x.numpy())(vector(t)),
    "numpy() inside grad": lambda t, f: f.grad(lambda x: x * x.numpy())(vector(t)),
    "detach().numpy() inside grad": lambda t, f: f.grad(lambda x: x * x.detach().numpy())(
        vector(t)
    ),
    "item() inside grad inside vmap": lambda t, f: f.vmap(f.grad(lambda x: x * x.item()))(
        vector(t)
    ),
    "requires_grad_() inside grad": lambda t, f: f.grad(lambda x: t.zeros(3).requires_grad_())(
        vector(t)
    ),
    "requires_grad_() inside vmap": lambda t, f: f.vmap(lambda x: x.requires_grad_())(vector(t)),
    "requires_grad_(False) inside grad": lambda t, f: f.grad(lambda x: x.requires_grad_(False))(
        vector(t)
    ),
    "backward() inside grad": lambda t, f: f.grad(lambda x: x.sum().backward())(vector(t)),
    "backward() inside vmap": lambda t, f: f.vmap(lambda x: x.sum().backward())(vector(t, True)),
    "autograd.grad inside vmap": lambda t, f: f.vmap(lambda x: t.autograd.grad(x * x, x))(
        vector(t, True)
    ),
    "in place on the argument of grad": lambda t, f: f.grad(lambda x: x.add_(1).sum())(vector(t)),
    "in place inside vmap on what is shared": lambda t, f: f.vmap(
        lambda x: t.zeros(()).add_(x).sum()
    )(vector(t)),
    **{
        f"{name} inside vmap on what is shared": (
            lambda t, f, write=write: f.vmap(lambda x: write(t, t.zeros(3), x))(matrix(t))
        )
        for name, write in SHARED_WRITES.items()
    },
    "nonzero inside vmap": lambda t, f: f.vmap(lambda x: x.nonzero())(matrix(t)),
    "where the condition holds inside vmap": lambda t, f: f.vmap(t.where)(matrix(t)),
    "a mask inside vmap": lambda t, f: f.vmap(lambda x: x[x > 0])(matrix(t)),
    "a mask of one element inside vmap": lambda t, f: f.vmap(lambda x: matrix(t)[x > 0])(vector(t)),
    "masked_select inside vmap": lambda t, f: f.vmap(lambda x: x.masked_select(x > 0))(matrix(t)),
    "tensor() of parts inside vmap": lambda t, f: f.vmap(lambda x: t.tensor([1.0, x]))(vector(t)),
    "data inside vmap": lambda t, f: f.vmap(lambda x: x.data)(vector(t)),
    "data assigned inside vmap": lambda t, f: f.vmap(lambda x: setattr(x, "data", x))(vector(t)),
    "data assigned inside grad": lambda t, f: f.grad(lambda x: setattr(x, "data", x))(vector(t)),
    "detach_() inside vmap": lambda t, f: f.vmap(lambda x: x.detach_())(vector(t)),
    "retain_grad() inside vmap": lambda t, f: f.vmap(lambda x: x.retain_grad())(vector(t)),
    "data_ptr() inside grad": lambda t, f: f.grad(lambda x: x.data_ptr())(vector(t)),
    "a storage inside vmap": lambda t, f: f.vmap(lambda x: x.untyped_storage())(vector(t)),
    "a copy inside grad": lambda t, f: f.grad(lambda x: copy.deepcopy(x))(vector(t)),
    "pickling inside vmap": lambda t, f: f.vmap(lambda x: pickle.dumps(x))(vector(t)),
    **{
        f"{name} out of range": (lambda t, f, read=read: f.vmap(read)(t.tensor([0, 7]), vector(t)))
        for name, read in {
            "an index of the batch": lambda k, x: x.expand(3)[k],
            "take by an index of the batch": lambda k, x: x.expand(3).take(k),
        }.items()
    },
    "an index that is an argument out of range": lambda t, f: f.grad(lambda x, k: x[k].sum())(
        vector(t), t.tensor([1, 7])
    ),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_complaint_is_pytorchs(case):
    check(COMPLAINTS[case])


@pytest.mark.parametrize(
    "transform", ["grad", "vjp", "jvp", "grad inside vmap", "vmap inside grad"]
)
def test_a_captured_tensor_cannot_be_changed_in_place(transform):
    for t in SIDES:
        f = t.func
        captured = t.ones(3)
        change = lambda x, y=captured: (y.add_(1) * x).sum()  # noqa: E731
        mapped = lambda x, y=captured: f.vmap(lambda z, y=y: (y.add_(1) * z).sum())(x).sum()  # noqa: B023, E731
        with pytest.raises(RuntimeError, match="would mutate a captured Tensor"):
            {
                "grad": lambda: f.grad(change)(vector(t)),  # noqa: B023
                "vjp": lambda: f.vjp(change, vector(t)),  # noqa: B023
                "jvp": lambda: f.jvp(change, (vector(t),), (vector(t),)),  # noqa: B023
                "grad inside vmap": lambda: f.vmap(f.grad(change))(matrix(t)),  # noqa: B023
                "vmap inside grad": lambda: f.grad(mapped)(vector(t)),  # noqa: B023
            }[transform]()
        assert captured.tolist() == [1.0, 1.0, 1.0]


def test_a_tensor_that_escaped_from_grad_is_a_plain_one():
    def call(t, f):
        kept = []
        f.grad(lambda x: (kept.append(x * 2), x.sum())[1])(vector(t))
        return kept[0] * 2, kept[0].tolist()

    check(call)


def test_a_tensor_that_escaped_from_vmap_is_refused():
    for t in SIDES:
        f = t.func
        kept = []
        f.vmap(lambda x: (kept.append(x), x)[1])(vector(t))  # noqa: B023
        with pytest.raises(
            RuntimeError, match="your tensor may have escaped from inside a function"
        ):
            kept[0] * 2
        assert repr(kept[0]).startswith("BatchedTensor(lvl=1, bdim=0, value=\n    tensor([")


def test_a_shape_error_inside_vmap_is_of_the_shapes_that_the_function_sees():
    with pytest.raises(RuntimeError, match=r"tensor a \(3\) must match the size of tensor b \(2\)"):
        our_func.vmap(lambda x: x + ours.ones(2))(matrix(ours))


def test_an_error_inside_leaves_no_level_behind():
    from funcgrad.engine import local

    with pytest.raises(ZeroDivisionError):
        our_func.vmap(our_func.grad(lambda x: x / (1 // 0)))(vector(ours))
    assert local.recorder.levels == ()
    assert our_func.grad(cube_sum)(vector(ours)).requires_grad is False
