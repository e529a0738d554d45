# A small net learns from a large one: soft targets at a temperature, and hidden features.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(33)
teacher = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
student = nn.Sequential(nn.Linear(4, 4), nn.Hardswish(), nn.Linear(4, 3))
x = torch.randn(64, 4)
labels = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def train(model, loss_of, steps, lr=0.05):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(x))
        loss.backward()
        optimizer.step()
    accuracy = (model(x).argmax(-1) == labels).sum().item() / len(x)
    print(
        f"{sum(p.numel() for p in model.parameters())} parameters: {loss.item():.4f} {accuracy:.3f}"
    )


train(teacher, lambda out: F.cross_entropy(out, labels), 12)
teacher.eval()
T, alpha = 2.0, 0.25
with torch.no_grad():
    teacher_logits = teacher(x)
soft = F.softmax(teacher_logits / T, dim=-1)
kl = nn.KLDivLoss(reduction="batchmean")


def distil(out):
    distillation = kl(F.log_softmax(out / T, dim=-1), soft) * (T**2)
    return alpha * distillation + (1 - alpha) * F.cross_entropy(out, labels)


train(student, distil, 12)
print(kl(F.log_softmax(student(x), -1), F.softmax(teacher_logits, -1)).item() < 1)
print(nn.KLDivLoss(reduction="sum", log_target=True)(soft.log(), soft.log()))
