"""Views where more than eager code is going on: compiled steps, JAX transformations, threads, copies, long programs."""

import copy
import gc
import pickle
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
from tests.both_sides import SIDES, ours, theirs


def training_step(torch):
    """A step that reads and writes views of tensors around it, and one that it makes itself."""
    x = torch.arange(12.0).reshape(4, 3) / 10
    history = torch.zeros(3, 2)
    last = history[-1]
    w = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)

    def step():
        made = torch.zeros(4)
        for k in range(4):
            made[k] = (x[k] * w).sum()
        loss = (made[1:] ** 2).mean() + w[0] * made[0]
        loss.backward()
        with torch.no_grad():
            w[:2] -= 0.01 * w.grad[:2]
            w.data[2] += 0.5
            history[:-1] = history[1:].clone()
            last.copy_(torch.stack([loss.detach(), w[1]]))
        w.grad = None
        return loss

    return step, w, history, last


def test_a_compiled_step_reads_and_writes_views():
    step, w, history, last = training_step(ours)
    compiled = ours.compile(step)
    expected, *others = training_step(theirs)
    for _ in range(6):
        np.testing.assert_allclose(compiled().item(), expected().item(), rtol=1e-5)
    assert compiled.why is None
    for mine, reference in zip((w, history, last), others, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), rtol=1e-5)


def test_a_compiled_function_of_views_sees_each_and_writes_to_it():
    data = ours.arange(12.0).reshape(6, 2).clone()

    @ours.compile
    def double(rows):
        rows.mul_(2)
        return rows.sum()

    sums = [double(data[k : k + 2]).item() for k in (0, 2, 4, 0, 2, 4)]
    assert sums == [12.0, 44.0, 76.0, 24.0, 88.0, 152.0]
    assert data.tolist() == (np.arange(12.0).reshape(6, 2) * 4).tolist()


def written(x):
    """A function written with views and in-place ops."""
    y = x * 1
    y[0] = y[1] * 2
    y.view(-1)[3:] += 1
    y.t()[1] *= 3
    return (y[:, 1:] ** 2).sum() + y[0, 0]


def test_views_inside_jax_transformations():
    pure = funcgrad.pure(written)
    x = jnp.arange(6.0).reshape(2, 3)
    reference = theirs.tensor(np.asarray(x), requires_grad=True)
    value = written(reference)
    value.backward()
    np.testing.assert_allclose(pure(x), value.item(), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(pure)(x), value.item(), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(pure)(x), reference.grad, rtol=1e-6)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(pure))(jnp.stack([x, x + 1]))[0], reference.grad, rtol=1e-6
    )


def test_backward_through_views_inside_jit():
    def gradient(x):
        w = x.detach().requires_grad_()
        written(w).backward()
        return w.grad

    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(
        jax.jit(funcgrad.pure(gradient))(x), jax.grad(funcgrad.pure(written))(x), rtol=1e-6
    )


def test_eight_threads_write_their_rows_of_one_tensor():
    shared = ours.zeros(8, 100)
    failures = []

    def work(k):
        try:
            row = shared[k]
            for step in range(20):
                # Reading and writing back is not one step, here as in PyTorch; each thread has a tensor of its own.
                mine = ours.ones(4, requires_grad=True)
                y = mine * step
                y[1:3] = y[:2].clone() * k
                (y * 1).sum().backward()
                expected = [step * (1.0 + k), step * float(k), 0.0, float(step)]
                assert mine.grad.tolist() == pytest.approx(expected)
                assert row.shape == (100,)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("torch", SIDES, ids=["funcgrad", "pytorch"])
def test_tensors_copied_together_share_elements_as_before(torch):
    base = torch.arange(6.0)
    view = base[2:4]
    alias = base.detach()
    copies = copy.deepcopy([base, view, alias])
    copies[0].zero_()
    assert [each.tolist() for each in copies] == [[0.0] * 6, [0.0] * 2, [0.0] * 6]
    assert base.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [each._is_view() for each in copies] == [False] * 3
    assert (copies[1].storage_offset(), copies[1].stride()) == (2, (1,))
    alone = copy.deepcopy(view)
    alone.add_(1)
    assert (alone.tolist(), view.tolist()) == ([3.0, 4.0], [2.0, 3.0])


@pytest.mark.parametrize("torch", SIDES, ids=["funcgrad", "pytorch"])
def test_a_pickled_view_has_its_elements(torch):
    x = torch.arange(6.0).reshape(2, 3)
    assert pickle.loads(pickle.dumps(x.t()[1])).tolist() == [1.0, 4.0]


def test_a_view_ends_with_its_last_reference_and_so_do_its_base_and_graph():
    def views_written_to():
        leaf = ours.ones(6, requires_grad=True)
        base = leaf * 2
        view = base[1:]
        view.mul_(3)
        other = base[0]
        other.exp_()
        (view.sum() + other).backward()
        return [base, view, other, base.grad_fn, view.grad_fn, base._storage, view._storage]

    views_written_to()  # JAX's first trace of an op leaves frames behind
    gc.collect()
    gc.disable()
    try:
        references = [weakref.ref(each) for each in views_written_to()]
        assert [reference() for reference in references] == [None] * len(references)
    finally:
        gc.enable()


def test_ten_thousand_views_one_on_another():
    leaf = ours.ones(6, requires_grad=True)
    base = view = leaf * 1
    for k in range(10_000):
        view = view.view(2, 3) if k % 2 else view.view(6)
    view.mul_(3)
    assert view._base is base
    view.sum().backward()
    assert leaf.grad.tolist() == [3.0] * 6


def test_where_memory_is_shared_the_pointers_tell():
    x = ours.zeros(4, 3)
    assert x.data_ptr() == x.view(-1).data_ptr() == x.detach().data_ptr() == x.data.data_ptr()
    assert x[1].data_ptr() - x.data_ptr() == 3 * x.element_size()
    assert x[1].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert x.clone().data_ptr() != x.data_ptr()
    assert x.is_set_to(x.view(4, 3))
    assert not x.is_set_to(x[:2])
    assert x.untyped_storage().nbytes() == 48


def test_a_tensor_detached_in_place_lets_go_of_its_graph():
    def written_to():
        base = ours.ones(6, requires_grad=True) * 2
        base[1:].mul_(3)
        return base, weakref.ref(base.grad_fn)

    written_to()  # JAX's first trace of an op leaves frames behind
    gc.collect()
    gc.disable()
    try:
        base, node = written_to()
        base.detach_()
        assert node() is None
    finally:
        gc.enable()
