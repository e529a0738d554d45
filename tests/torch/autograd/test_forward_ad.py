"""Forward mode next to PyTorch's: dual tensors, what they do in ops, in place, beside the graph, and the errors."""

import contextlib

import pytest

from tests.both_sides import SIDES, assert_same, ours, result_of


def forward_ad(t):
    return t.autograd.forward_ad


def unpacked(t, tensor):
    primal, tangent = forward_ad(t).unpack_dual(tensor)
    return primal, tangent


def check(call):
    assert_same(result_of(call, "autograd.forward_ad"))


def x(t, requires_grad=False):
    return t.tensor([1.0, 2.0, 3.0], requires_grad=requires_grad)


def v(t):
    return t.tensor([1.0, 0.0, 1.0])


def changed(change, tensor):
    change(tensor)
    return tensor


# Each gets a dual tensor, and its result is unpacked while the level is there.
OPS = {
    "itself": lambda t, d: d,
    "a product": lambda t, d: d * d,
    "a reduction": lambda t, d: (d.sin() * 2).sum(),
    "two results of one": lambda t, d: d + d.exp(),
    "with a plain tensor": lambda t, d: d * x(t) + x(t),
    "a matrix product": lambda t, d: t.ones(2, 3) @ d,
    "a power": lambda t, d: d**3,
    "a copy": lambda t, d: d.clone(),
    "another dtype": lambda t, d: d.to(t.float64),
    "detached": lambda t, d: d.detach(),
    "data": lambda t, d: d.data,
    "a comparison": lambda t, d: d > 0,
    "a plain tensor": lambda t, d: x(t) * 2,
    "what does not depend on it": lambda t, d: d.detach() * 2,
    "in place into a plain tensor": lambda t, d: t.zeros(3).add_(d),
    "in place on a dual result": lambda t, d: d.clone().mul_(2).add_(x(t)),
    "detached in place": lambda t, d: d.clone().detach_(),
    "overwritten by a number": lambda t, d: d.clone().zero_(),
    "under no_grad": lambda t, d: t.no_grad()(lambda: d * d)(),
    "in inference mode": lambda t, d: t.inference_mode()(lambda: d * 2)(),
}


@pytest.mark.parametrize("case", OPS)
def test_tangents_through_ops(case):
    def call(t, fw):
        with fw.dual_level():
            return unpacked(t, OPS[case](t, fw.make_dual(x(t), v(t))))

    check(call)


def test_a_dual_tensor_shares_its_storage():
    def call(t, fw):
        base, tangent = x(t), v(t)
        with fw.dual_level():
            dual = fw.make_dual(base, tangent)
            dual.mul_(2)
            first = unpacked(t, dual), base.tolist(), tangent.tolist(), unpacked(t, base)
            base.add_(1)
            return first, unpacked(t, dual), dual._version == base._version

    check(call)


BESIDE_THE_GRAPH = {
    "flags": lambda t, fw, w, d: [d.requires_grad, d.is_leaf, type(d.grad_fn).__name__],
    "the tangent of a gradient": lambda t, fw, w, d: unpacked(
        t, t.autograd.grad((d**3).sum(), w)[0]
    ),
    "the tangent of a gradient, by the dual": lambda t, fw, w, d: unpacked(
        t, t.autograd.grad((d**3).sum(), d)[0]
    ),
    "the tangent of a gradient, with a graph": lambda t, fw, w, d: unpacked(
        t, t.autograd.grad((d**3).sum(), w, create_graph=True)[0]
    ),
    "the gradient of a tangent": lambda t, fw, w, d: t.autograd.grad(
        unpacked(t, (d**3).sum())[1], w
    ),
    "the gradient of the tangent of a gradient": lambda t, fw, w, d: t.autograd.grad(
        unpacked(t, t.autograd.grad((d**4).sum(), w, create_graph=True)[0])[1].sum(), w
    ),
    "the gradient by a tangent": lambda t, fw, w, d: (
        lambda tangent: t.autograd.grad(
            unpacked(t, (fw.make_dual(x(t), tangent) ** 3).sum())[1], tangent
        )
    )(v(t).requires_grad_()),
    "a gradient gathered has no tangent": lambda t, fw, w, d: (
        (d**3).sum().backward(),
        unpacked(t, w.grad),
    ),
    "in place on a dual of a leaf": lambda t, fw, w, d: d.mul_(2),
    "in place on a part of a dual of a leaf": lambda t, fw, w, d: d[0].mul_(2),
    "unpacked nodes": lambda t, fw, w, d: [
        unpacked(t, d)[0].requires_grad,
        unpacked(t, d)[1].requires_grad,
    ],
}


@pytest.mark.parametrize("case", BESIDE_THE_GRAPH)
def test_forward_beside_reverse(case):
    def call(t, fw):
        w = x(t, requires_grad=True)
        with fw.dual_level():
            return BESIDE_THE_GRAPH[case](t, fw, w, fw.make_dual(w, v(t)))

    check(call)


def test_tangents_end_with_their_level():
    def call(t, fw):
        with fw.dual_level():
            dual = fw.make_dual(x(t), v(t))
            kept = dual * 3
        after = unpacked(t, kept)
        with fw.dual_level():
            return after, unpacked(t, kept), unpacked(t, dual * 2), kept.tolist(), repr(dual)

    check(call)


def test_printed_form():
    def call(t, fw):
        with fw.dual_level():
            dual = fw.make_dual(x(t), v(t))
            w = fw.make_dual(x(t, True), t.ones(3) * 1234.5)
            return repr(dual), repr(dual * 2), repr(w), dual.tolist(), dual.sum().item()

    check(call)


MIXED = {
    "sin": lambda y: y.sin(),
    "sum": lambda y: y.sum(),
    "view": lambda y: y[1:],
    "clone": lambda y: y.clone(),
    "float": lambda y: y.float(),
    "double": lambda y: y.double(),
    "several": lambda y: y * 2 + y.sin() * y,
}


@pytest.mark.parametrize(
    "dtypes", [("float64", "float32"), ("float32", "float64"), ("float32", "float16")]
)
@pytest.mark.parametrize("case", MIXED)
def test_a_tangent_of_another_dtype_is_carried_in_pytorchs_dtype(case, dtypes):
    def call(t, fw):
        primal, tangent = x(t).to(getattr(t, dtypes[0])), v(t).to(getattr(t, dtypes[1]))
        with fw.dual_level():
            dual = MIXED[case](fw.make_dual(primal, tangent))
            seen = [unpacked(t, dual), str(fw.unpack_dual(dual).tangent.dtype)]
        result, carried = t.func.jvp(MIXED[case], (primal,), (tangent,))
        return [*seen, result, carried, str(result.dtype), str(carried.dtype)]

    check(call)


def test_a_wider_tangent_is_refused_by_ops():
    fw = forward_ad(ours)
    with fw.dual_level():
        dual = fw.make_dual(ours.ones(2), ours.ones(2, dtype=ours.complex64))
        with pytest.raises(RuntimeError, match="convert the primal to complex64"):
            dual * 2


def test_forward_mode_can_be_switched_off():
    def call(t, fw):
        with fw.dual_level():
            dual = fw.make_dual(x(t), v(t))
            with fw._set_fwd_grad_enabled(False):
                off = unpacked(t, dual), unpacked(t, dual * 2), fw._is_fwd_grad_enabled()
            return off, unpacked(t, dual * 2), fw._is_fwd_grad_enabled()

    check(call)


def test_a_level_as_a_decorator_and_by_hand():
    def call(t, fw):
        @fw.dual_level()
        def twice():
            return unpacked(t, fw.make_dual(x(t), v(t)) * 2)

        number = fw.enter_dual_level()
        dual = fw.make_dual(x(t), v(t), level=number)
        by_hand = fw.unpack_dual(dual, level=0)
        fw.exit_dual_level(level=number)
        return twice(), number, tuple(by_hand), by_hand._fields

    check(call)


def test_a_functions_jvp_may_drop_what_forward_kept():
    def call(t, fw):
        class Exp(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.result = x.exp()
                return ctx.result

            @staticmethod
            def jvp(ctx, tangent):
                carried = tangent * ctx.result
                del ctx.result
                return carried

        with fw.dual_level():
            return unpacked(t, Exp.apply(fw.make_dual(x(t), v(t))))

    check(call)


def inside(call):
    def run(t, fw):
        with fw.dual_level():
            return call(t, fw)

    return run


COMPLAINTS = {
    "no level": lambda t, fw: fw.make_dual(x(t), v(t)),
    "no level to leave": lambda t, fw: fw.exit_dual_level(),
    "levels nested": inside(lambda t, fw: fw.enter_dual_level()),
    "the wrong level left": inside(lambda t, fw: fw.exit_dual_level(level=1)),
    "a level that is not there": inside(lambda t, fw: fw.make_dual(x(t), v(t), level=1)),
    "unpacked at a level that is not there": inside(
        lambda t, fw: fw.unpack_dual(fw.make_dual(x(t), v(t)), level=1)
    ),
    "a dual made dual": inside(lambda t, fw: fw.make_dual(fw.make_dual(x(t), v(t)), v(t))),
    "a dual as tangent": inside(lambda t, fw: fw.make_dual(x(t), fw.make_dual(x(t), v(t)))),
    "another size": inside(lambda t, fw: fw.make_dual(x(t), t.ones(2))),
    "an integer primal": inside(lambda t, fw: fw.make_dual(t.ones(3, dtype=t.int64), v(t))),
    "a plain tensor unpacked at a level that is not there": inside(
        lambda t, fw: tuple(fw.unpack_dual(x(t), level=1))
    ),
    "an integer tangent": inside(lambda t, fw: fw.make_dual(x(t), t.ones(3, dtype=t.int64))),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_complaint_is_pytorchs(case):
    check(COMPLAINTS[case])
    for t in SIDES:
        with contextlib.suppress(RuntimeError):
            forward_ad(t).exit_dual_level()


def test_plain_ops_are_recorded_as_ever_while_a_level_is_there(recorded):
    from funcgrad.engine import stats

    with forward_ad(ours).dual_level():
        before = stats().pending_ops
        plain = x(ours) * 2
        assert stats().pending_ops == before + 1
        assert plain.tolist() == [2.0, 4.0, 6.0]
