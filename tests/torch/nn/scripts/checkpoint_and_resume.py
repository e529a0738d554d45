# Training is stopped, saved to a file, and resumed by another model and optimizer.
import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 1)

    def forward(self, x):
        return self.fc(self.bn(x))


torch.manual_seed(0)
x = torch.randn(20, 3)
y = x.sum(1, keepdim=True)


def train(model, optimizer, scheduler, start, end):
    model.train()
    for epoch in range(start, end):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(f"epoch {epoch} loss {loss.item():.5f} lr {scheduler.get_last_lr()}")
    return loss


model = Net()
optimizer = optim.Adam(model.parameters(), lr=0.1)
scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
loss = train(model, optimizer, scheduler, 0, 3)
print("Model's state_dict:")
for param_tensor in model.state_dict():
    print(param_tensor, "\t", model.state_dict()[param_tensor].size())
print("Optimizer's state_dict:")
for var_name in optimizer.state_dict():
    print(var_name, "\t", type(optimizer.state_dict()[var_name]).__name__)
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")
torch.save(
    {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loss": loss.detach(),
        "rng": torch.get_rng_state(),
    },
    path,
)
torch.manual_seed(99)
model = Net()
optimizer = optim.Adam(model.parameters(), lr=0.1)
scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
checkpoint = torch.load(path, weights_only=True, map_location=torch.device("cpu"))
print(model.load_state_dict(checkpoint["model_state_dict"]))
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
scheduler.load_state_dict(checkpoint["scheduler"])
torch.set_rng_state(checkpoint["rng"])
print(checkpoint["epoch"], checkpoint["loss"], torch.rand(1))
train(model, optimizer, scheduler, checkpoint["epoch"], 5)
model.eval()
print(model(x[:2]), model.bn.num_batches_tracked)
try:
    model.load_state_dict({"fc.weight": torch.zeros(1, 4), "extra": torch.zeros(1)})
except RuntimeError as e:
    print(e)
print(model.load_state_dict({"fc.bias": torch.zeros(1)}, strict=False))
