# Dropout that stays on: predictions with their spread; and a net with two outputs.
import torch
from torch import nn

torch.manual_seed(55)
x = torch.linspace(-2, 2, 24).unsqueeze(1)
y = x.pow(3) * 0.3 + 0.2 * torch.randn(x.size())


def enable_dropout(model):
    for m in model.modules():
        if m.__class__.__name__.startswith("Dropout"):
            m.train()


net = nn.Sequential(
    nn.Linear(1, 20),
    nn.SiLU(),
    nn.Dropout(0.2),
    nn.Linear(20, 20),
    nn.SiLU(),
    nn.Dropout(p=0.2),
    nn.Linear(20, 2),
)
criterion = nn.GaussianNLLLoss()
optimizer = torch.optim.NAdam(net.parameters(), lr=0.01)
for epoch in range(12):
    net.train()
    mean, raw = net(x).chunk(2, dim=1)
    loss = criterion(mean, y, nn.functional.softplus(raw) + 1e-3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 4 == 0:
        print(f"Epoch {epoch}: {loss.item():.4f}")
net.eval()
enable_dropout(net)
print([m.training for m in net.children()])
with torch.no_grad():
    samples = torch.stack([net(x)[:, 0] for _ in range(10)])
mean, std = samples.mean(0), samples.std(dim=0, unbiased=True)
lower, upper = mean - 2 * std, mean + 2 * std
inside = ((y[:, 0] >= lower) & (y[:, 0] <= upper)).float().mean()
print(samples.shape, f"{std.mean():.3f}", f"{inside:.3f}", samples.quantile(0.5, dim=0)[:2])
torch.manual_seed(1)
ens = [nn.Linear(1, 1) for _ in range(3)]
print(torch.var_mean(torch.cat([m(x[:1]) for m in ens])))
