# Inputs changed by the sign of their gradient so that a classifier errs.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(4)
data = torch.rand(30, 5)
target = (data.sum(1) > 2.5).long()
model = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Linear(10, 2), nn.LogSoftmax(dim=1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _ in range(30):
    optimizer.zero_grad()
    F.nll_loss(model(data), target).backward()
    optimizer.step()
model.eval()


def fgsm_attack(image, epsilon, data_grad):
    perturbed_image = image + epsilon * data_grad.sign()
    return torch.clamp(perturbed_image, 0, 1)


for eps in (0.0, 0.05, 0.1, 0.2):
    correct = 0
    for x, y in zip(data.split(1), target.split(1)):
        x = x.clone()
        x.requires_grad = True
        output = model(x)
        init_pred = output.max(1, keepdim=True)[1]
        if init_pred.item() != y.item():
            continue
        loss = F.nll_loss(output, y)
        model.zero_grad()
        loss.backward()
        perturbed = fgsm_attack(x, eps, x.grad.data)
        final_pred = model(perturbed).max(1, keepdim=True)[1]
        correct += int(final_pred.item() == y.item())
    print("Epsilon: {}\tTest Accuracy = {} / {}".format(eps, correct, len(data)))
x = data[:3].clone().requires_grad_(True)
saliency = torch.autograd.grad(model(x)[:, 1].sum(), x)[0].abs()
print(saliency.max(dim=1), saliency.shape)
