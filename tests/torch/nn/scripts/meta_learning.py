# Parameters that adapt in one step to sine waves: inner steps by hand, `functional_call`, gradients through both.
import torch
import torch.nn as nn
from torch.func import functional_call, grad, vmap

torch.manual_seed(44)
net = nn.Sequential(nn.Linear(1, 10), nn.ReLU(), nn.Linear(10, 1))
params = {k: v.detach().clone().requires_grad_() for k, v in net.named_parameters()}
opt = torch.optim.Adam(params.values(), lr=0.01)


def net_loss(params, x, y):
    return nn.functional.mse_loss(functional_call(net, params, (x,)), y)


def task():
    a, p = torch.rand(1) * 4 + 1, torch.rand(1) * 3
    x1, x2 = torch.rand(5, 1) * 6 - 3, torch.rand(5, 1) * 6 - 3
    return x1, a * torch.sin(x1 + p), x2, a * torch.sin(x2 + p)


for it in range(4):
    meta_loss = 0.0
    for _ in range(3):
        x1, y1, x2, y2 = task()
        loss = net_loss(params, x1, y1)
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        fast = {k: p - 0.05 * g for (k, p), g in zip(params.items(), grads)}
        meta_loss = meta_loss + net_loss(fast, x2, y2)
    opt.zero_grad()
    (meta_loss / 3).backward()
    opt.step()
    print(f"[Iter {it}] meta loss {meta_loss.item() / 3:.4f}")
x1, y1, x2, y2 = task()
frozen = {k: p.detach() for k, p in params.items()}
per_sample = vmap(grad(net_loss), in_dims=(None, 0, 0))(frozen, x1, y1)
print({k: tuple(v.shape) for k, v in per_sample.items()})
whole = grad(net_loss)(frozen, x1, y1)
print(all(torch.allclose(per_sample[k].mean(0), whole[k], atol=1e-5) for k in whole))
models = [nn.Linear(1, 2) for _ in range(3)]
stacked, buffers = torch.func.stack_module_state(models)
out = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(
    stacked, buffers, x1
)
print(out.shape, torch.allclose(out[1], models[1](x1), atol=1e-6))
