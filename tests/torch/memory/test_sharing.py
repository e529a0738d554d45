"""`from_numpy`, `as_tensor` and `.numpy()` share memory as in PyTorch: a write to one is seen in the other."""

import copy
import gc
import pickle

import numpy as np
import pytest

from funcgrad import engine
from tests.both_sides import DTYPES, assert_same, attempt, ours


def array_is_written(torch, see):
    array = np.ones(3, np.float32)
    tensors = torch.from_numpy(array), torch.as_tensor(array), torch.asarray(array)
    copies = torch.tensor(array), torch.as_tensor(array, dtype=torch.float64)
    copies += (torch.asarray(array, copy=True), tensors[0] * 1)
    array[1] = 7
    see(*tensors, *copies)


def tensor_is_written(torch, see):
    array = np.zeros((4, 2))
    t = torch.from_numpy(array)
    for k in range(4):
        t[k] = torch.tensor([k, k + 0.5])
    t.add_(1)
    t[t > 4] = -1
    torch.mul(t, 2, out=t)
    see(array)
    array[0] = 100
    t.index_add_(0, torch.tensor([0, 2]), torch.ones(2, 2, dtype=torch.float64))
    see(array, t.sum())


def array_of_a_tensor(torch, see):
    t = torch.ones(2, 2)
    held, converted, copied = t.numpy(), np.asarray(t), np.array(t.numpy())
    t += 1
    held[0, 0] = 9
    see(held, converted, copied, t, t.sum())
    column = t[:, 0].numpy()
    column[:] = 3
    t[0].mul_(2)
    see(t, column, t.view(4), t.t().numpy())


def arrays_with_strides(torch, see):
    array = np.arange(12.0).reshape(3, 4)
    for part in (array.T, array[:, ::2], array[1:], array[:, :1], np.array(3.0), array[:0]):
        t = torch.from_numpy(part)
        t.add_(1)
        see(t, t.stride(), t.is_contiguous(), array)
    for make in (torch.from_numpy, torch.tensor, torch.as_tensor):
        see(attempt(make, array[::-1]))


def dtypes(torch, see):
    for kind in DTYPES:
        if kind == "bfloat16":
            continue  # which NumPy has not
        array = np.array([1, 0, 1], kind)
        t = torch.from_numpy(array)
        array[1] = 1
        see(t, t.numpy())
    see(attempt(torch.from_numpy, [1]), attempt(torch.from_numpy, np.array(["a"]))[0])


def a_view_is_all_that_is_left(torch, see):
    array = np.arange(4.0)
    t = torch.from_numpy(array[1:])
    whole = array
    del array
    gc.collect()
    whole[1] = 50
    see(t)


def results_have_memory_of_their_own(torch, see):
    array = np.array([3.0, 1.0, 2.0])
    t = torch.from_numpy(array)
    results = [
        *(t.clone(), t.flip(0), t.repeat(2), t.roll(0), torch.cat([t]), torch.stack([t])),
        *(torch.where(t > 0, t, t), t.clamp(min=-9), t.abs(), t.sort()[0], t.sum(), t[[0, 1, 2]]),
        *(t.float(), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), torch.tensor(t.tolist())),
    ]
    views = (
        t.detach(),
        t.view(3, 1),
        t.expand(2, 3),
        t.to(torch.float64),
        t.reshape(1, 3),
        t[1:],
        +t,
    )
    array[:] = 0
    see(*results, *views)


def gradients(torch, see):
    array, w = np.array([[1.0, 2.0], [3.0, 4.0]]), torch.ones(2, dtype=torch.float64)
    w.requires_grad_()
    loss = (torch.from_numpy(array) @ w).sum()
    array[:] = 10  # what was saved for the way back is this memory
    loss.backward()
    gradient, weights = w.grad.numpy(), w.detach().numpy()
    (2 * w).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
    see(loss, gradient, weights)
    for optimizer in (torch.optim.SGD([w], lr=0.5), torch.optim.Adam([w], lr=0.5)):
        optimizer.step()
        see(weights, w)
    data = torch.ones(2, dtype=torch.float64)
    product = (w * data).sum()
    data.numpy()  # a read is no write
    torch.autograd.grad(product, w, retain_graph=True)
    data.add_(1)
    see(attempt(product.backward))


def inside_transformations(torch, see):
    array = np.ones(2, np.float32)
    t = torch.from_numpy(array)
    for k in range(3):
        array[0] = k
        see(
            torch.func.grad(lambda x: (x * x * t).sum())(t),
            torch.func.vmap(lambda x: x * t.sum())(t),
        )
        see(torch.func.jvp(lambda x: x * t, (t,), (torch.ones(2),)))
        see(torch.autograd.functional.jacobian(lambda x: x**2, t))


def a_loader_reads_what_is_there(torch, see):
    array = np.arange(6.0).reshape(3, 2)
    data = torch.utils.data.TensorDataset(torch.from_numpy(array))
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    for k in range(2):
        array[0] = 10 * k
        see(*[batch for (batch,) in loader])


PROGRAMS = [
    array_is_written,
    tensor_is_written,
    array_of_a_tensor,
    arrays_with_strides,
    dtypes,
    a_view_is_all_that_is_left,
    results_have_memory_of_their_own,
    gradients,
    inside_transformations,
    a_loader_reads_what_is_there,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_memory_is_shared_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("mode", ["recorded", "op_by_op", "compiled"])
@pytest.mark.parametrize("program", [tensor_is_written, gradients], ids=lambda each: each.__name__)
def test_it_is_shared_in_every_mode(mode, program):
    with engine.mode(mode):
        assert_same(program)


def test_a_compiled_function_reads_what_is_there():
    array, w = np.ones(2, np.float32), ours.ones(2, requires_grad=True)
    t = ours.from_numpy(array)

    @ours.compile
    def loss(t):
        return (t * w).sum()

    @ours.compile
    def count(t):
        t.add_(1)

    for k in range(4):
        array[0] = k
        assert loss(t).item() == k + array[1]
        count(t)
        assert array.tolist() == [k + 1, k + 2]
