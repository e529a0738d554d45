"""parity tells rounding from faults, measures its own tolerance, and says clearly what left nothing to compare."""

import functools
import json
import types

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as shim
from funcgrad.compare import OptionError, on, parity
from funcgrad.compare.inputs import Inputs
from tests.both_sides import SIDES as LIBRARIES
from tests.both_sides import theirs


def told(report):
    """The printed form as one line: its lines are as long as the terminal is wide."""
    return " ".join(str(report).split())


RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((6, 4), np.float32)
W = RANDOM.standard_normal((4, 3), np.float32)
Y = RANDOM.standard_normal((6, 3), np.float32)


def with_pytorch(w, x, y):
    return ((theirs.tanh(x @ w) - y) ** 2).mean()


def with_shim(w, x, y):
    return ((shim.tanh(x @ w) - y) ** 2).mean()


def op_by_op(w, x, y):
    return ((jnp.tanh(x @ w) - y) ** 2).mean()


# Each primitive of a function that is not compiled is a program of its own.
with_jax = jax.jit(op_by_op)


def off(relative):
    return lambda w, x, y: with_jax(w, x, y) * (1 + relative)


SIDES = {
    "the shim": with_shim,
    "JAX": op_by_op,
    "jitted JAX": with_jax,
    "a pure function": funcgrad.pure(with_shim),
    "a jitted pure function": jax.jit(funcgrad.pure(with_shim)),
    "a partial": functools.partial(with_jax),
    "a transformation's value": lambda w, x, y: jax.value_and_grad(with_jax)(w, x, y)[0],
}


@pytest.mark.parametrize("side", SIDES)
def test_the_same_function_agrees_with_pytorch_in_value_gradient_and_hessian(torch, side):
    report = parity(with_pytorch, SIDES[side], W, X, Y, order=2, wrt="w", directions=1)
    assert report.ok, str(report)
    assert [leaf.name for leaf in report.leaves] == [
        "value",
        "gradient by w",
        "Hessian product 1 by w",
    ]
    assert "PyTorch" in report.reference
    assert ("shim" if side == "the shim" else "JAX") in report.candidate


def test_the_numbers_of_a_leaf_are_those_of_the_worst_element():
    def shifted(w, x, y):
        return jnp.stack([w[0, 0], w[0, 0] + jnp.float32(0.5)])

    def plain(w, x, y):
        return jnp.stack([w[0, 0], w[0, 0]])

    one = np.ones((4, 3), np.float32)
    (leaf,) = parity(plain, shifted, one, X, Y, order=0).leaves
    assert (leaf.absolute, leaf.relative, leaf.index) == (0.5, 0.5, (1,))
    assert (leaf.reference, leaf.candidate) == (1.0, 1.5)
    assert leaf.ulps == 0.5 * 2**23
    assert leaf.shadow == 0.5
    assert leaf.verdict == "real"


def test_equal_bits_are_identical():
    report = parity(with_jax, with_jax, W, X, Y)
    assert {leaf.verdict for leaf in report.leaves} == {"identical"}
    assert "identical, bit for bit" in told(report)


@pytest.mark.parametrize("relative", [1e-6, -1e-6, 1e-3, 0.5])
def test_a_fault_of_a_millionth_is_real(relative):
    report = parity(with_shim, off(relative), W, X, Y)
    assert [leaf.verdict for leaf in report.leaves] == ["real"] * 4
    assert not report.ok


def test_the_fault_that_a_run_could_have_seen_is_what_it_sees():
    sharpness = max(leaf.visible for leaf in parity(with_jax, with_shim, W, X, Y).leaves)
    assert sharpness < 1e-6
    assert not parity(with_jax, off(2 * sharpness), W, X, Y).ok
    assert parity(with_jax, off(1e-9), W, X, Y).ok  # below what float32 can hold


def test_a_fault_in_one_small_element_beside_large_ones_is_found():
    def reference(w):
        return w * 3

    def candidate(w):
        return jnp.where(jnp.abs(w) < 1, w * 3.01, w * 3)

    report = parity(
        on("shim", reference), candidate, np.array([1e6, 1e-3, 2e6], np.float32), order=0
    )
    assert report.leaves[0].verdict == "real"


def test_a_constant_that_one_side_rounds_to_float32_is_no_fault():
    def in_float32(w, x, y):
        return with_jax(w, x, y) * np.float32(0.1).astype(x.dtype)

    report = parity(lambda w, x, y: with_shim(w, x, y) * 0.1, in_float32, W, X, Y)
    assert report.ok, str(report)
    assert "a constant" in told(report)


def test_fewer_digits_in_one_dtype_alone_are_found_though_the_shadow_agrees():
    def in_bfloat16(w, x, y):
        if x.dtype == jnp.float32:
            w, x = (each.astype(jnp.bfloat16).astype(jnp.float32) for each in (w, x))
        return with_jax(w, x, y)

    report = parity(with_jax, in_bfloat16, W, X, Y, order=0)
    assert report.leaves[0].verdict == "real"
    assert "fewer digits" in report.leaves[0].why


def test_a_less_stable_formula_is_rounding():
    def two_passes(x):
        return ((x - x.mean()) ** 2).mean()

    def one_pass(x):
        return (x**2).mean() - x.mean() ** 2

    x = (100 + RANDOM.standard_normal(50)).astype(np.float32)
    for pair in ((two_passes, one_pass), (one_pass, two_passes)):
        report = parity(on("shim", pair[0]), on("jax", jax.jit(pair[1])), x)
        assert report.ok, str(report)


def test_a_gradient_that_is_zero_but_for_rounding_agrees_with_zero():
    def shifted(b, x):  # softmax does not depend on a shift
        return (jax.nn.softmax(x + b) ** 2).sum()

    def without(b, x):
        return (jax.nn.softmax(x) ** 2).sum() + 0 * b.sum()

    report = parity(jax.jit(without), jax.jit(shifted), np.ones(1, np.float32), X[0])
    assert report.ok, str(report)


def test_float64_needs_no_shadow():
    wide = [each.astype(np.float64) for each in (W, X, Y)]
    report = parity(with_shim, with_jax, *wide)
    assert report.ok
    assert {leaf.dtype for leaf in report.leaves} == {"float64"}
    assert all(leaf.shadow is None for leaf in report.leaves)
    assert not parity(with_shim, off(1e-13), *wide).ok
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_dtypes_are_judged_in_float64(dtype):
    narrow = [each.astype(dtype) for each in (W, X, Y)]
    report = parity(with_shim, with_jax, *narrow)
    assert report.ok, str(report)
    assert not parity(with_shim, off(0.01), *narrow).ok


def test_complex_gradients_are_pytorchs():
    def product(z):
        return (z * z * (1 + 2j) + z * 2j).sum()

    z = (X[0] + 1j * X[1]).astype(np.complex64)
    report = parity(on("shim", product), on("jax", jax.jit(product)), z)
    assert report.ok, str(report)
    assert report.leaves[1].dtype == "complex64"


def test_results_of_several_arrays_are_compared_leaf_by_leaf():
    def reference(w, x):
        return {"h": x @ w, "parts": (w.sum(), (x * 2,))}

    def candidate(w, x):
        return {"h": x @ w, "parts": [w.sum(), [x * 2 + 1]]}

    report = parity(on("shim", reference), on("jax", jax.jit(candidate)), W, X)
    assert [leaf.name for leaf in report.leaves if not leaf.ok] == ["value['parts'][1][0]"]


def test_inputs_are_pytrees_of_any_librarys_arrays_and_may_be_drawn():
    def loss(params, x):
        return (x @ params["w"] + params["b"]).sum()

    params = {"w": shim.tensor(W), "b": jnp.ones(3)}
    drawn = jax.ShapeDtypeStruct((5, 4), np.float32)
    report = parity(on("shim", loss), on("jax", loss), params, drawn)
    assert report.ok
    assert [leaf.name for leaf in report.leaves[1:]] == [
        "gradient by params['b']",
        "gradient by params['w']",
        "gradient by x",
    ]
    assert [leaf.shape for leaf in report.leaves[1:]] == [(3,), (4, 3), (5, 4)]


def test_a_mask_that_is_exact_is_not_moved():
    def masked(x, mask):
        return shim.where(mask == 1, x, -1e3 * x).sum()

    def same(x, mask):
        return jnp.where(mask == 1, x, -1e3 * x).sum()

    mask = np.ones((6, 4), np.float32)
    assert parity(masked, same, X, mask, exact="mask", wrt="x").leaves[0].band < 1e-3
    assert parity(masked, same, X, mask, wrt="x").leaves[0].band > 1


def test_integer_inputs_are_passed_and_not_differentiated_by():
    def picked(w, at):
        return w[at].sum()

    report = parity(on("shim", picked), on("jax", picked), W, np.array([0, 2]))
    assert report.ok
    assert [leaf.name for leaf in report.leaves] == ["value", "gradient by w"]


def test_integer_results_are_compared_exactly():
    report = parity(
        on("shim", lambda w: w.argmax()), on("jax", lambda w: w.argmax() + 1), W, order=0
    )
    assert report.leaves[0].verdict == "real"
    same = parity(on("shim", lambda w: w.argmax()), on("jax", lambda w: w.argmax()), W, order=0)
    assert same.ok


def test_a_number_of_pythons_is_compared_in_the_others_dtype():
    report = parity(on("shim", lambda w: w.sum().item()), on("jax", lambda w: w.sum()), W, order=0)
    assert report.ok, str(report)


# -- what leaves nothing to compare -----------------------------------------------------------------------------------

CAPTURED = jnp.ones(3, jnp.float32)


def captures_an_array(w, x, y):
    return with_jax(w * CAPTURED, x, y)


captured_by_closure = shim.ones(3, requires_grad=True)


def captures_a_tensor(w, x, y):
    def inner():
        return with_shim(w * captured_by_closure, x, y)

    return inner()


def in_place(w, x, y):
    loss = with_shim(w, x, y)
    w.data += 1
    return loss


def raising(w, x, y):
    raise ZeroDivisionError("by the candidate")


def detached(w, x, y):
    return with_shim(w, x, y).detach()


counter = iter(range(1000))


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (lambda w, x, y: (with_jax(w, x, y), 1.0), "different structures: the candidate lacks value and has"),
        (lambda w, x, y: with_jax(w, x, y)[None], r"value has shape () in the reference and (1,) in the candidate"),
        (lambda w, x, y: with_jax(w, x, y).astype(jnp.float16), "value has dtype float32 in the reference and float16"),
        (raising, "the candidate raises ZeroDivisionError: by the candidate; the reference gives value of shape ()"),
        (lambda w, x, y: with_jax(w, x, y) * (1 + next(counter)), "the candidate is not deterministic: called twice"),
        (in_place, "the candidate changes its input 'w' in place"),
        (captures_an_array, "the candidate captures the tensor 'CAPTURED', of shape (3,), from outside"),
        (captures_a_tensor, "the candidate captures the tensor 'captured_by_closure'"),
        (detached, "the candidate gives a result without a gradient"),
        (lambda w, x, y: "loss" + str(jnp.shape(w)), "the candidate returns 'loss(4, 3)'"),
        (lambda w, x, y: jnp.shape(w) and None, "the candidate returns nothing to compare"),
    ],
)  # fmt: skip
def test_the_report_says_what_left_nothing_to_compare(candidate, words):
    report = parity(with_jax, candidate, W, X, Y)
    assert not report.ok
    assert words in report.problem
    assert f"NOT COMPARED. {' '.join(report.problem.split())}" in told(report)
    with pytest.raises(AssertionError, match="NOT COMPARED"):
        report.assert_ok()


def test_both_errors_are_shown_where_both_sides_raise():
    def other(w, x, y):
        raise KeyError("by the reference")

    problem = parity(other, raising, W, X, Y).problem
    assert "the reference raises KeyError: 'by the reference'" in problem
    assert "the candidate raises ZeroDivisionError: by the candidate" in problem


def test_a_model_from_outside_is_refused_with_the_call_that_takes_its_parameters(torch):
    model = torch.nn.Linear(4, 3)
    report = parity(lambda x: model(x).sum(), lambda x: jnp.sum(x), X)
    assert "torch.func.functional_call(model, parameters, ...)" in report.problem


def test_a_model_that_is_lent_its_parameters_is_compared(torch):
    model = torch.nn.Linear(4, 3)
    params = {name: each.detach().numpy() for name, each in model.named_parameters()}

    def lent(params, x):
        return (torch.func.functional_call(model, params, (x,)) ** 2).mean()

    def by_hand(params, x):
        return jnp.mean((x @ params["weight"].T + params["bias"]) ** 2)

    report = parity(lent, by_hand, params, X)
    report.assert_ok()
    assert {leaf.name for leaf in report.leaves} >= {
        "gradient by params['weight']",
        "gradient by x",
    }


def test_an_optimizer_from_outside_is_refused():
    weights = shim.ones(3, requires_grad=True)
    optimizer = shim.optim.SGD([weights], lr=0.1)

    def stepping(w):
        optimizer.step()
        return w.sum()

    assert "uses the optimizer 'optimizer' from outside" in parity(stepping, jnp.sum, X).problem


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_numbers_of_a_side_are_no_rounding_however_small(size, dtype):
    def noisy(w, x, y):
        return with_jax(w, x, y) * (1 + size * next(counter))

    inputs = [each.astype(dtype) for each in (W, X, Y)]
    for reference, candidate, role in (
        (with_jax, noisy, "candidate"),
        (on("jax", noisy), with_jax, "reference"),
    ):
        report = parity(reference, candidate, *inputs, order=0)
        assert report.problem is not None, str(report)
        assert f"the {role} is not deterministic: called twice" in report.problem


def test_noise_that_vanishes_in_float64_is_rounding():
    def sums_in_any_order(w, x, y):
        value = np.asarray(with_jax(w, x, y))
        return value + np.spacing(np.abs(value)) * (next(counter) % 2)

    report = parity(with_jax, on("jax", sums_in_any_order), W, X, Y, order=0)
    assert report.ok, str(report)


@pytest.mark.parametrize("torch", LIBRARIES)
def test_forgotten_dropout_is_told_as_such(torch):
    def loss(w, x, y):
        return ((torch.nn.functional.dropout(x) @ w - y) ** 2).mean()

    report = parity(loss, with_jax, W, X, Y)
    assert "the reference is not deterministic: called twice" in report.problem


@pytest.mark.parametrize("torch", LIBRARIES)
def test_an_input_changed_in_place_is_told_with_its_cure(torch):
    def loss(w, x, y):
        return ((x @ w.mul_(2) - y) ** 2).mean()

    report = parity(loss, with_jax, W, X, Y)
    assert (
        "the inputs of a comparison require grad. Let it work on a copy, such as x.clone()"
        in report.problem
    )


def test_integers_must_be_equal():
    def doubled(k):
        return 2 * jnp.asarray(k)

    report = parity(doubled, lambda k: jnp.asarray(k) + jnp.asarray(k), np.arange(3), order=0)
    assert "Every element must be equal." in str(report)


def test_nothing_that_was_not_compared_is_said_to_be_sharp():
    def nothing(w, x, y):
        return with_jax(w, x, y) * jnp.nan

    report = parity(nothing, nothing, W, X, Y)
    assert "UNDECIDED" in str(report)
    assert "would have seen" not in str(report)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 3}, "the order of derivatives is 0, 1 or 2, not 3"),
        ({"wrt": "z"}, "wrt names the argument 'z'; there are: w, x, y"),
        ({"exact": 7}, "exact names the argument 7"),
        ({"device": "abacus"}, "no device 'abacus'"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        parity(with_shim, with_jax, W, X, Y, **options)


def test_integer_inputs_alone_have_no_gradient():
    with pytest.raises(OptionError, match=r"no input is floating .at is int64.*order=0"):
        parity(lambda at: jnp.sum(at), lambda at: jnp.sum(at), np.arange(3))
    with pytest.raises(OptionError, match=r"wrt names no floating input .at is int64"):
        parity(
            lambda w, at: jnp.sum(w[at]), lambda w, at: jnp.sum(w[at]), W, np.arange(3), wrt="at"
        )


def test_a_side_that_is_no_function_is_refused():
    with pytest.raises(
        OptionError, match="the candidate must be a function, such as a loss; got 3"
    ):
        parity(with_jax, 3, W, X, Y)


def test_random_numbers_of_one_side_that_float64_draws_otherwise_are_told():
    def seeded(w, noise):
        shim.manual_seed(0)
        return (w * shim.randn(5, 4, 3, dtype=w.dtype)).sum()

    shim.manual_seed(0)
    noise = shim.randn(5, 4, 3).numpy()
    found = parity(seeded, lambda w, noise: jnp.sum(w * noise), W, noise, wrt="w")
    assert "one of them computes something else there: random numbers" in told(found)
    fault = parity(lambda w: (w * 2).sum(), on("jax", lambda w: (w * 2.001).sum()), W)
    assert "in float64 the difference stays" in told(fault)


def test_a_random_key_is_an_input():
    def drawn(w, key, scale):
        return jnp.sum(w * scale * jax.random.normal(key, w.shape))

    key = jax.random.key(0)
    assert parity(drawn, drawn, W, key, np.float32(2)).ok
    assert not parity(drawn, lambda w, key, scale: drawn(w, jax.random.fold_in(key, 0), scale), W, key, 2.0).ok  # fmt: skip


def test_pytorch_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr("funcgrad.compare.libraries.find_spec", lambda name: None)
    reference = types.FunctionType(with_shim.__code__, {"shim": types.ModuleType("torch")})
    with pytest.raises(OptionError, match=r"needs PyTorch, which is not installed \(pip install"):
        parity(reference, with_jax, W, X, Y)


def nan_at(place, values):
    def function(w):
        return jnp.asarray(values).at[place].set(jnp.nan) * (1 + 0 * w.sum())

    return function


def test_nan_on_one_side_is_real_and_on_both_sides_is_told():
    ones = np.ones(3, np.float32)
    plain, spoiled = (lambda w: jnp.ones(3) * (1 + 0 * w.sum())), nan_at(1, ones)
    (leaf,) = parity(plain, spoiled, W, order=0).leaves
    assert (leaf.verdict, leaf.why) == ("real", "NaN in the candidate only")
    assert leaf.index == (1,)
    (leaf,) = parity(spoiled, plain, W, order=0).leaves
    assert (leaf.verdict, leaf.why) == ("real", "NaN in the reference only")
    both = parity(spoiled, spoiled, W, order=0)
    assert both.ok
    assert "one element is NaN on both sides and not compared" in told(both)
    nothing = parity(nan_at(slice(None), ones), nan_at(slice(None), ones), W, order=0)
    assert nothing.leaves[0].verdict == "undecided"
    assert not nothing.ok


def test_without_memory_for_the_shadow_the_dtype_alone_decides():
    def hungry(w, x, y):
        if x.dtype == jnp.float64:
            raise MemoryError
        return with_jax(w, x, y)

    report = parity(with_shim, hungry, W, X, Y)
    assert report.ok
    assert "no memory for the float64 shadow" in told(report)
    assert all(leaf.shadow is None for leaf in report.leaves)
    assert report.leaves[0].visible > 1e-7


def test_without_memory_to_widen_the_inputs_the_dtype_alone_decides(monkeypatch):
    def no_memory(self):
        raise MemoryError

    monkeypatch.setattr(Inputs, "wide", no_memory)
    report = parity(with_shim, with_jax, W, X, Y)
    assert report.ok
    assert "no memory for the float64 shadow" in told(report)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 91.6 MiB"),
        RuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 48000000 bytes."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 48000000 bytes."),
    ],
)  # fmt: skip
def test_memory_that_runs_out_in_the_dtype_itself_is_the_problem(error):
    def hungry(w, x, y):
        raise error

    report = parity(with_shim, on("jax", hungry), W, X, Y)
    assert report.problem.startswith("there is no memory to compare inputs of this size")
    assert str(error)[:20] in report.problem


def test_a_side_that_cannot_run_in_float64_is_judged_without_a_shadow():
    def narrow(w, x, y):
        return with_jax(w, x, y.astype(jnp.float32)).astype(jnp.float32)

    report = parity(with_shim, narrow, W, X, Y, wrt="w")
    assert report.ok
    assert "there is no float64 shadow" in told(report)


def test_an_input_without_influence_is_told():
    report = parity(on("shim", lambda w, x: w.sum()), on("jax", lambda w, x: w.sum()), W, X)
    assert report.ok
    assert "does not use x: its gradient is None" in told(report)


def test_the_default_dtype_is_what_it_was(torch):
    parity(with_pytorch, with_shim, W, X, Y)
    assert torch.get_default_dtype() == torch.float32
    assert shim.get_default_dtype() == shim.float32


# -- how it shows itself ----------------------------------------------------------------------------------------------


def test_the_printed_form_names_the_verdict_first_and_the_leaf():
    report = parity(with_shim, off(1e-3), W, X, Y)
    printed = told(report)
    assert printed.startswith(
        "<lambda> (JAX) against with_shim (the shim): A REAL DIFFERENCE in value, gradient by w"
    )
    assert f"{report.leaves[0].reference:.9g}" in printed
    assert "one unit in the last place (ulp)" in printed
    assert "this run would have seen a fault of" in printed


@pytest.mark.parametrize("columns", [40, 70, 100, 200])
def test_the_printed_form_fits_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    report = parity(with_jax, off(1e-3), W, X, Y, shadow=False)
    assert max(map(len, str(report).splitlines())) <= columns
    assert all(leaf.name in str(report) for leaf in report.leaves)


def test_html_and_json_hold_the_report():
    report = parity(with_jax, off(1e-3), W, X, Y)
    assert "A REAL DIFFERENCE" in report._repr_html_()
    assert "&lt;lambda&gt;" in report._repr_html_()
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["ok"] is False
    assert found["leaves"][1]["name"] == "gradient by w"
    assert found["leaves"][1]["bands"] > 8
    assert report.worst.verdict == "real"


def test_assert_ok_is_silent_where_they_agree():
    parity(with_shim, with_jax, W, X, Y).assert_ok()


def test_a_function_that_calls_a_pure_one_takes_arrays():
    module = shim.nn.Linear(3, 1)
    forward = funcgrad.pure(module)

    def loss(params, x):
        prediction, _ = forward(params, {}, x)
        return jnp.sum(prediction**2)

    def again(params, x):
        return jnp.sum((x @ params["weight"].T + params["bias"]) ** 2)

    params = {name: np.asarray(value) for name, value in forward.parameters().items()}
    report = parity(jax.jit(loss), jax.jit(again), params, np.ones((2, 3), np.float32))
    report.assert_ok()
    assert report.reference == "loss (JAX)"
