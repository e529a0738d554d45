"""`from_numpy` and `.numpy()` share memory in both directions, in every tier, as PyTorch's do."""

import gc
import threading

import numpy as np
import pytest

from tests.both_sides import ours
from tests.engine_modes import mode as engine_mode
from tests.torch.nn.sources import assert_prints_the_same

PROGRAMS = {
    "the bridge": """
        t = torch.ones(5); n = t.numpy(); print(n, type(n)); t.add_(1); print(t, n)
        n[0] = 7; print(t); n += 1; print(t, t.sum())
        a = np.ones(5); t = torch.from_numpy(a); np.add(a, 1, out=a); print(t, a); t.mul_(3); print(a)
        t[1] = 0; print(a); a[2] = 9; print(t[2], t[1:3], t * 2)
        v = t[1:4]; a[1:4] = 5; print(v, v.sum()); v += 1; print(a)
        m = v.numpy(); m[0] = -1; print(t, a, v)
    """,
    "views": """
        t = torch.arange(12.).reshape(3, 4); n = t.T.numpy(); print(n.shape, n.strides); n[0, 1] = 99; print(t)
        t.view(-1)[5] = -3; print(n)
        d = t.data.numpy(); d *= 2; print(t, n); r = t.detach().numpy(); r[:] = 0; print(t, d)
        x = torch.zeros(2, 3); b = x.expand(2, 2, 3).numpy(); x += 1; print(b.sum())
        z = torch.zeros(()); k = z.numpy(); z += 2; print(k, k.shape); k[...] = 5; print(z)
        e = torch.zeros(0, 3); print(e.numpy().shape, e[:, 1:].numpy().shape)
        i = torch.zeros(2).view(torch.int32).numpy(); i[0] = 1; print(i)
    """,
    "results made before": """
        k = torch.zeros(2, 2); r = k.numpy(); c = k.clone(); r += 5; print(c, k)
        v = k.reshape(4); s = k.t(); r += 1; print(v, s); r[0, 1] = -1; print(s, s.contiguous(), k.to(torch.float32) is k)
        i = k[torch.tensor([0, 1])]; j = k * 1; r += 1; print(i, j, k)
    """,
    "an array that is dropped": """
        t = torch.zeros(3); n = t.numpy(); n[1] = 4; del n; print(t + 1); t += 1; print(t)
        q = t.numpy(); print(q); t.zero_(); print(q)
        print(torch.ones(2).numpy() + 1, torch.from_numpy(np.ones(2)))
    """,
    "gradients": """
        w = torch.from_numpy(np.array([1., 2.])).requires_grad_(); a = w.detach().numpy()
        (w**2).sum().backward(); print(w.grad)
        with torch.no_grad():
            w -= 0.1 * w.grad
        print(a); g = w.grad.numpy(); w.grad.zero_(); print(g); (w * 3).sum().backward(); print(g)
        torch.optim.SGD([w], lr=1.0).step(); print(a, w)
        w.numpy()
    """,
    "a module": """
        a = np.arange(12, dtype=np.float32).reshape(4, 3); X = torch.from_numpy(a); y = X.sum(1, keepdim=True)
        m = nn.Linear(3, 1); opt = torch.optim.SGD(m.parameters(), lr=0.001); w = m.weight.data.numpy(); before = w.copy()
        for i in range(3):
            loss = ((m(X) - y)**2).mean(); opt.zero_grad(); loss.backward(); opt.step()
        print(np.array_equal(w, m.weight.detach().numpy()), (w != before).all()); w[:] = 0; print(m.weight)
        a[0] = 100; print(X[0], X[torch.tensor([0, 1])][0], m(X).shape, m.state_dict()["weight"].numpy())
    """,
    "every dtype": """
        for kind in "int8 int16 int32 int64 uint8 float16 float32 float64 complex64 complex128 bool".split():
            a = np.zeros((2, 2), kind); t = torch.from_numpy(a); a[0, 1] = 1; print(t); t[1, 0] = 1; print(a)
            n = t.numpy(); n[1, 1] = 1; print(t, a)
    """,
    "as_tensor and asarray": """
        a = np.arange(4.); t = torch.as_tensor(a); a[0] = 9; print(t); u = torch.as_tensor(a, dtype=torch.float32); a[1] = 8
        print(u); s = torch.asarray(a); a[2] = 7; print(s); c = torch.tensor(a); a[3] = 6; print(c, t)
        k = torch.asarray(a, copy=True); a[3] = 5; print(k); m = np.asarray(t); m[0] = 0; print(t, a)
    """,
    "arrays with gaps": """
        a = np.arange(12.).reshape(3, 4); t = torch.from_numpy(a[:, ::2]); a[0, 2] = 50; print(t); t[1, 1] = -1; print(a)
        f = torch.from_numpy(a.T); a[0, 1] = 77; print(f, f[1:]); b = torch.from_numpy(np.arange(6)[1:]); print(b + 1)
        e = torch.from_numpy(np.zeros((0, 3))); print(e, e.numpy().shape)
    """,
    "inference mode": """
        with torch.inference_mode():
            t = torch.ones(2); n = t.numpy(); t += 1; n[0] = 5; print(t, n, t.is_inference())
        n[1] = 7; print(t.is_inference(), t * 2)
        t._version
    """,
    "bits": """
        a = np.array([np.nan, 1.0, -0.0]); t = torch.from_numpy(a); print(t); a[2] = 0.0; print(1 / t); a[0] = -0.0; print(1 / t)
    """,
}


CASES = [
    *[(name, tier) for name in PROGRAMS for tier in ("auto", "recorded")],
    ("the bridge", "compiled"),
    ("gradients", "compiled"),
]


@pytest.mark.parametrize(("name", "tier"), CASES)
def test_memory_is_shared(name, tier):
    with engine_mode(tier):
        assert_prints_the_same(PROGRAMS[name])


def test_a_storage_is_plain_again_once_nobody_holds_the_array():
    t = ours.zeros(3)
    plain = type(t._storage)
    held = t.numpy()
    assert type(t._storage) is not plain
    part = held[1:]
    del held
    part[0] = 1
    assert t.tolist() == [0.0, 1.0, 0.0]
    del part
    gc.collect()
    assert t.tolist() == [0.0, 1.0, 0.0]
    assert type(t._storage) is plain


@pytest.mark.parametrize("result", ["plain", "shared"])
def test_a_compiled_function_reads_and_writes_shared_memory(result):
    data, weight = np.ones((4, 2), np.float32), np.zeros(2, np.float32)
    x, w = ours.from_numpy(data), ours.from_numpy(weight) if result == "shared" else ours.zeros(2)

    @ours.compile
    def step():
        w.add_(x.sum(0))

    for k in range(6):
        data[:] = k
        step()
    assert (step.why is None) == (
        result == "plain"
    )  # each write to NumPy's memory has to be done at once
    assert w.tolist() == [4.0 * sum(range(6))] * 2
    if result == "shared":
        assert weight.tolist() == w.tolist()
        weight[:] = 1
        step()
        assert w.tolist() == [21.0, 21.0]


def test_an_array_that_is_read_only_is_copied():
    a = np.ones(2)
    a.flags.writeable = False
    t = ours.from_numpy(a)
    t += 1
    assert (t.tolist(), a.tolist()) == ([2.0, 2.0], [1.0, 1.0])


def test_threads_lose_no_write():
    t = ours.zeros(4)
    seen = t.numpy()

    def add(k):
        for _ in range(50):
            t[k].add_(1)

    threads = [threading.Thread(target=add, args=(k,)) for k in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen.tolist() == [50.0] * 4
