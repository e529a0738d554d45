"""Programs as strangers write them, run on both sides: what they print is the same, word for word."""

import contextlib
import io
import re

import pytest

from tests.both_sides import theirs

PROGRAMS = {
    "a device, chosen": """
        import torch
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        print("Using", device, torch.cuda.device_count(), torch.backends.mps.is_available())
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.manual_seed(42)
        torch.cuda.manual_seed_all(42)
        torch.use_deterministic_algorithms(True)
        x = torch.rand(2, 2, device=device).to(device)
        print(x, x.is_cuda, x.device, x.get_device())
    """,
    "mini-batches of linear regression": """
        import torch
        from torch.utils.data import TensorDataset, DataLoader, random_split
        torch.manual_seed(0)
        X = torch.randn(100, 3)
        y = X @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(100)
        train, val = random_split(TensorDataset(X, y), [0.8, 0.2])
        loader = DataLoader(train, batch_size=16, shuffle=True)
        w = torch.zeros(3, requires_grad=True)
        opt = torch.optim.SGD([w], lr=0.1)
        for epoch in range(3):
            total = 0.0
            for xb, yb in loader:
                loss = ((xb @ w - yb) ** 2).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
                total += loss.item() * len(xb)
            print(f"epoch {epoch}: {total / len(train):.4f}")
        with torch.no_grad():
            errors = [((xb @ w - yb) ** 2).mean().item() for xb, yb in DataLoader(val, batch_size=32)]
        print([f"{e:.3f}" for e in errors], len(loader), len(val))
    """,
    "a dataset of one's own": """
        import torch
        from torch.utils.data import Dataset, DataLoader
        class Numbers(Dataset):
            def __init__(self, n, transform=None):
                self.data = list(range(n))
                self.transform = transform
            def __len__(self):
                return len(self.data)
            def __getitem__(self, i):
                x = torch.tensor([self.data[i], self.data[i] ** 2], dtype=torch.float32)
                if self.transform:
                    x = self.transform(x)
                return {"x": x, "label": i % 2, "name": f"item{i}"}
        loader = DataLoader(Numbers(7, transform=lambda t: t / 10), batch_size=3)
        for batch in loader:
            print(batch["x"], batch["label"], batch["name"])
        print(len(loader), next(iter(loader))["x"].shape)
    """,
    "collate and pad": """
        import torch
        from torch.utils.data import DataLoader
        sequences = [torch.arange(n) for n in (3, 1, 4, 2)]
        def collate(batch):
            longest = max(len(s) for s in batch)
            out = torch.zeros(len(batch), longest, dtype=torch.long)
            for i, s in enumerate(batch):
                out[i, : len(s)] = s
            return out, torch.tensor([len(s) for s in batch])
        for padded, lengths in DataLoader(sequences, batch_size=2, collate_fn=collate):
            print(padded)
            print(lengths)
    """,
    "a weighted sampler": """
        import torch
        from torch.utils.data import DataLoader, WeightedRandomSampler
        torch.manual_seed(1)
        targets = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
        counts = torch.bincount(targets)
        weights = 1.0 / counts.float()
        sampler = WeightedRandomSampler(weights[targets], num_samples=16, replacement=True)
        drawn = torch.cat([b for b in DataLoader(targets, batch_size=4, sampler=sampler)])
        print(counts, weights, drawn, torch.unique(drawn, return_counts=True))
    """,
    "a checkpoint": """
        import io, torch
        torch.manual_seed(0)
        w = torch.randn(3, requires_grad=True)
        opt = torch.optim.Adam([w], lr=0.01)
        for _ in range(5):
            opt.zero_grad(); (w ** 2).sum().backward(); opt.step()
        buffer = io.BytesIO()
        torch.save({"epoch": 5, "w": w.detach(), "opt": opt.state_dict(), "loss": (w ** 2).sum().item()}, buffer)
        buffer.seek(0)
        checkpoint = torch.load(buffer)
        print(checkpoint["epoch"], checkpoint["w"], sorted(checkpoint["opt"]))
        print(checkpoint["opt"]["state"][0])
        v = checkpoint["w"].clone().requires_grad_()
        opt2 = torch.optim.Adam([v], lr=0.01)
        opt2.load_state_dict(checkpoint["opt"])
        opt2.zero_grad(); (v ** 2).sum().backward(); opt2.step()
        print(v)
    """,
    "linear algebra": """
        import torch
        torch.manual_seed(0)
        A = torch.randn(3, 3, dtype=torch.float64)
        A = A @ A.T + 3 * torch.eye(3, dtype=torch.float64)
        b = torch.ones(3, dtype=torch.float64)
        print(torch.linalg.solve(A, b))
        print(torch.allclose(torch.linalg.inv(A) @ A, torch.eye(3, dtype=torch.float64)))
        print(torch.linalg.det(A), torch.linalg.slogdet(A))
        L = torch.linalg.cholesky(A)
        print(L, torch.dist(L @ L.T, A) < 1e-9)
        print(torch.linalg.eigvalsh(A), torch.linalg.norm(A), torch.linalg.cond(A))
        print(torch.linalg.matrix_rank(A), torch.trace(A), torch.linalg.matrix_power(A, 2))
        U, S, Vh = torch.linalg.svd(A)
        print(S, torch.allclose(U @ torch.diag(S) @ Vh, A))
        try:
            torch.linalg.inv(torch.zeros(2, 2))
        except torch.linalg.LinAlgError as e:
            print("error:", e)
    """,
    "einsum": """
        import torch
        a, b = torch.arange(6.).reshape(2, 3), torch.arange(12.).reshape(3, 4)
        print(torch.einsum("ij,jk->ik", a, b))
        print(torch.einsum("ij->ji", a), torch.einsum("ij->", a), torch.einsum("ij->i", a))
        print(torch.einsum("i,j->ij", torch.arange(3.), torch.arange(2.)))
        q, k = torch.ones(2, 2, 3, 4), torch.ones(2, 2, 3, 4)
        print(torch.einsum("bhqd,bhkd->bhqk", q, k)[0, 0])
        print(torch.tensordot(a, b, dims=1).equal(a @ b), torch.bmm(q[0], k[0].transpose(1, 2))[0, 0])
    """,
    "statistics": """
        import torch
        x = torch.tensor([3., 1., 4., 1., 5., 9., 2., 6.])
        print(x.median(), x.mode(), x.quantile(torch.tensor([.25, .5, .75])), x.kthvalue(3))
        print(torch.histc(x, bins=4, min=0, max=10), torch.var_mean(x), torch.std_mean(x))
        print(torch.unique(x, return_inverse=True), torch.bincount(x.long()))
        print(torch.cov(torch.stack([x, x.flip(0)])), torch.corrcoef(torch.stack([x, x.flip(0)])))
        print(torch.cummax(x, 0), torch.diff(x), torch.trapezoid(x))
        print(torch.searchsorted(torch.arange(0., 10, 2), x), torch.bucketize(x, torch.tensor([2., 5.])))
        print(torch.isclose(x, x + 1e-9).all(), torch.equal(x, x), torch.isin(x, torch.tensor([1., 9.])))
    """,
    "indices and masks": """
        import torch
        m = torch.ones(4, 4)
        mask = torch.triu(m, diagonal=1).bool()
        scores = torch.arange(16.).reshape(4, 4).masked_fill(mask, float("-inf"))
        print(torch.softmax(scores, dim=-1))
        print(torch.tril_indices(3, 3), torch.combinations(torch.arange(3)), torch.cartesian_prod(torch.arange(2), torch.arange(2)))
        out = torch.zeros(3).scatter_reduce(0, torch.tensor([0, 1, 0, 2]), torch.tensor([1., 2., 3., 4.]), reduce="sum")
        print(out, torch.repeat_interleave(torch.arange(3), torch.tensor([1, 2, 3])), torch.rot90(torch.arange(4).reshape(2, 2)))
        print(torch.block_diag(torch.ones(1, 2), torch.eye(2)), torch.nan_to_num(torch.tensor([float("nan"), float("inf")]), posinf=1.0))
    """,
    "a k-means": """
        import torch
        torch.manual_seed(3)
        points = torch.cat([torch.randn(20, 2) + c for c in (torch.tensor([0., 0.]), torch.tensor([5., 5.]))])
        centers = points[torch.randperm(40)[:2]].clone()
        for _ in range(5):
            labels = torch.cdist(points, centers).argmin(1)
            centers = torch.stack([points[labels == k].mean(0) for k in range(2)])
        print(centers, torch.bincount(labels), torch.cdist(points, centers).min(1).values.sum())
    """,
    "text generation": """
        import torch
        torch.manual_seed(1337)
        text = "hello world"
        chars = sorted(set(text))
        stoi = {c: i for i, c in enumerate(chars)}
        data = torch.tensor([stoi[c] for c in text], dtype=torch.long)
        N = torch.zeros(len(chars), len(chars))
        for a, b in zip(data, data[1:]):
            N[a, b] += 1
        P = (N + 1) / (N + 1).sum(1, keepdim=True)
        g = torch.Generator().manual_seed(2147483647)
        ix, out = 0, []
        for _ in range(20):
            ix = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g).item()
            out.append(chars[ix])
        print("".join(out), P[0])
        ix = torch.randint(len(data) - 4, (3,))
        print(torch.stack([data[i:i + 4] for i in ix]))
    """,
    "a fourier transform": """
        import torch, math
        t = torch.arange(8) / 8
        x = torch.sin(2 * math.pi * t) + 0.5
        X = torch.fft.rfft(x)
        print(X.abs().round(decimals=3), torch.fft.rfftfreq(8, d=1 / 8))
        print(torch.allclose(torch.fft.irfft(X, n=8), x, atol=1e-6), torch.hann_window(4))
        print(torch.polar(torch.tensor([1., 2.]), torch.tensor([0., math.pi / 2])).abs())
    """,
    "early stopping, with the best state": """
        import copy, torch
        torch.manual_seed(0)
        w = torch.tensor([5.0], requires_grad=True)
        opt = torch.optim.SGD([w], lr=0.9)
        best, best_w, patience, bad = torch.inf, None, 2, 0
        for epoch in range(20):
            opt.zero_grad(); loss = (w - 1).abs().sum(); loss.backward(); opt.step()
            if loss.item() < best:
                best, best_w, bad = loss.item(), copy.deepcopy(w.detach()), 0
            else:
                bad += 1
            if bad > patience:
                print("stop at", epoch); break
        print(f"{best:.4f}", best_w)
    """,
    "workers": """
        import torch
        from torch.utils.data import DataLoader, IterableDataset, get_worker_info
        class Stream(IterableDataset):
            def __iter__(self):
                info = get_worker_info()
                return iter(range(info.id, 6, info.num_workers))
        print([b.tolist() for b in DataLoader(Stream(), batch_size=2, num_workers=2)])
    """,
    "settings": """
        import torch
        torch.set_num_threads(1)
        print(torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.pi, torch.inf, torch.nan)
        torch.set_default_dtype(torch.float64)
        print(torch.ones(1).dtype, torch.result_type(torch.ones(1), 1), torch.can_cast(torch.float, torch.int))
        torch.set_default_dtype(torch.float32)
        print(torch.is_tensor(1), torch.is_floating_point(torch.ones(1)), torch.typename(torch.ones(1)))
        print(torch.finfo(torch.float32).eps, torch.tensor([1, 2])[torch.newaxis].shape)
    """,
    "a gaussian, fitted": """
        import torch
        torch.manual_seed(0)
        data = torch.normal(2.0, 0.5, size=(200,))
        mu, log_sigma = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        opt = torch.optim.Adam([mu, log_sigma], lr=0.05)
        for step in range(200):
            nll = (log_sigma + 0.5 * ((data - mu) / log_sigma.exp()) ** 2).mean()
            opt.zero_grad(); nll.backward(); opt.step()
        print(f"{mu.item():.2f} {log_sigma.exp().item():.2f} {data.mean():.3f}")
        print(torch.bernoulli(torch.full((5,), 0.5)), torch.poisson(torch.tensor([1., 5.])))
    """,
    "special functions": """
        import torch
        x = torch.tensor([0.25, 0.5, 0.75], requires_grad=True)
        for f in (torch.lgamma, torch.digamma, torch.erfinv, torch.logit, torch.special.expit, torch.special.xlog1py):
            y = f(x) if f is not torch.special.xlog1py else f(x, x)
            print(y.detach(), torch.autograd.grad(y.sum(), x)[0])
        print(torch.xlogy(x, 2.0).detach(), torch.logaddexp(x, x).detach(), torch.hypot(x, x).detach())
    """,
    "matrices of a small network": """
        import torch
        torch.manual_seed(0)
        X, Y = torch.randn(32, 4), torch.randint(0, 3, (32,))
        W1, b1 = torch.randn(4, 8) * 0.5, torch.zeros(8)
        W2, b2 = torch.randn(8, 3) * 0.5, torch.zeros(3)
        params = [p.requires_grad_() for p in (W1, b1, W2, b2)]
        for step in range(30):
            h = torch.addmm(b1, X, W1).tanh()
            logits = torch.addmm(b2, h, W2)
            loss = (torch.logsumexp(logits, 1) - logits.gather(1, Y[:, None]).squeeze(1)).mean()
            grads = torch.autograd.grad(loss, params)
            with torch.no_grad():
                for p, g in zip(params, grads):
                    p -= 0.5 * g
            if step % 10 == 0:
                print(step, f"{loss.item():.4f}")
        print((logits.argmax(1) == Y).float().mean())
    """,
    "broadcasts and copies": """
        import torch
        a, b = torch.broadcast_tensors(torch.arange(3).view(1, 3), torch.arange(2).view(2, 1))
        print(a, b, torch.broadcast_shapes((2, 1), (1, 3)), torch.atleast_2d(torch.ones(2)))
        x = torch.zeros(3, 3); x.fill_diagonal_(5); print(x, torch.diagflat(torch.tensor([1, 2])))
        print(torch.select_scatter(x, torch.ones(3), 0, 1), x.tril_(), torch.vander(torch.tensor([1., 2.])))
        print(torch.gcd(torch.tensor(12), torch.tensor(18)), torch.lcm(torch.tensor(4), torch.tensor(6)), torch.sgn(torch.tensor(-2.)))
        print(torch.kron(torch.eye(2), torch.ones(1, 2)), torch.cross(torch.tensor([1., 0, 0]), torch.tensor([0., 1, 0]), dim=0))
    """,
}


def printed(source, module):
    """The printed lines of a program, with another module in place of PyTorch."""
    lines = source.splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    text = "\n".join(line[margin:] for line in lines)
    if module != "torch":
        text = re.sub(r"^import (.*, )?torch", lambda m: f"import {m[1] or ''}{module} as torch", text, flags=re.M)  # fmt: skip
        text = re.sub(r"^from torch", f"from {module}", text, flags=re.M)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, module, "exec"), {"__name__": "__program__"})
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.usefixtures("settings_of_pytorch")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_same(name):
    before = theirs.get_num_threads()
    try:
        expected = printed(PROGRAMS[name], "torch")
        assert printed(PROGRAMS[name], "funcgrad.torch") == expected
    finally:
        theirs.use_deterministic_algorithms(False)
        theirs.set_num_threads(before)
