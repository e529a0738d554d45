# Features and gradients taken out of a net by hooks: an activation map of classes.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(8)
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(4, 4, 3, padding=1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(4, 2),
)
activation, gradients = {}, {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


handles = []
for name, layer in model.named_children():
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        handles.append(layer.register_forward_hook(get_activation(f"{layer._get_name()}_{name}")))
target_layer = model[3]
handles.append(
    target_layer.register_full_backward_hook(lambda m, gi, go: gradients.update(value=go[0]))
)
pre = model.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
x = torch.rand(2, 1, 6, 6)
out = model(x)
print({k: tuple(v.shape) for k, v in activation.items()})
out[:, 1].sum().backward()
weights = gradients["value"].mean(dim=[2, 3], keepdim=True)
cam = F.relu((weights * activation["Conv2d_3"]).sum(dim=1, keepdim=True))
cam = F.interpolate(cam, size=x.shape[2:], mode="bilinear", align_corners=False)
cam = (cam - cam.min()) / (cam.max() - cam.min() + 1e-8)
print(cam.shape, cam.max(), f"{cam.mean().item():.4f}")
for handle in handles:
    handle.remove()
pre.remove()
activation.clear()
print(torch.equal(model(x * 2), out), activation)
extractor = nn.Sequential(*list(model.children())[:-1])
print(extractor(x).shape, sum(p.numel() for p in extractor.parameters()))
for name, module in model.named_modules():
    print(
        repr(name),
        module.__class__.__name__,
        sum(p.numel() for p in module.parameters(recurse=False)),
    )
for name, p in model.named_parameters():
    if p.grad is not None:
        print(f"{name:12s} grad norm {p.grad.norm():.4f}")
    if name == "3.bias":
        break
