# Look into a network by hooks: activations, and gradients on their way back.
import torch
import torch.nn as nn

torch.manual_seed(9)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
activations = {}


def save(name):
    def hook(module, inputs, output):
        activations[name] = output.detach()

    return hook


handles = [module.register_forward_hook(save(name)) for name, module in model.named_children()]
model[2].register_full_backward_hook(
    lambda module, grads_in, grads_out: print(
        type(module).__name__, grads_in[0].shape, grads_out[0].shape
    )
)
model[0].weight.register_hook(lambda grad: grad * 2)
x = torch.randn(5, 3)
loss = model(x).pow(2).mean()
loss.backward()
for name, value in activations.items():
    print(name, tuple(value.shape), f"{value.mean().item():.4f}")
print(model[0].weight.grad)
for handle in handles:
    handle.remove()
activations.clear()
model(x)
print("after removal:", activations)
