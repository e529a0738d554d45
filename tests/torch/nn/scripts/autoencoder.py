# Eight numbers squeezed into three.
import torch
import torch.nn as nn
import torch.nn.functional as F


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 6), nn.LeakyReLU(0.1), nn.Linear(6, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.1), nn.Linear(6, 8))

    def forward(self, x):
        return self.decoder(self.encoder(x))


torch.manual_seed(3)
basis = torch.randn(3, 8)
data = torch.randn(64, 3) @ basis
model = Autoencoder()
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-5)
for epoch in range(50):
    loss = F.mse_loss(model(data), data)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        print(f"{epoch:3d}: {loss.item():.4f}")
codes = model.encoder(data[:2])
print(codes.shape, codes.requires_grad, codes.detach().abs().sum() > 0)
print({name: tuple(p.shape) for name, p in model.named_parameters()})
