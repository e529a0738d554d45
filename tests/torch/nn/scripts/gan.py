# A GAN on a line: a generator learns a normal distribution.
import torch
import torch.nn as nn

torch.manual_seed(14)
G = nn.Sequential(nn.Linear(2, 8), nn.ReLU(True), nn.Linear(8, 1))
D = nn.Sequential(nn.Linear(1, 8), nn.LeakyReLU(0.2, inplace=True), nn.Linear(8, 1), nn.Sigmoid())
criterion = nn.BCELoss()
g_optimizer = torch.optim.Adam(G.parameters(), lr=0.005, betas=(0.5, 0.999))
d_optimizer = torch.optim.Adam(D.parameters(), lr=0.005, betas=(0.5, 0.999))
real_label, fake_label = torch.ones(32, 1), torch.zeros(32, 1)
print(G, D)
for step in range(30):
    real = 3 + 0.5 * torch.randn(32, 1)
    fake = G(torch.randn(32, 2))
    D.zero_grad()
    d_loss = criterion(D(real), real_label) + criterion(D(fake.detach()), fake_label)
    d_loss.backward()
    d_optimizer.step()
    G.zero_grad()
    g_loss = criterion(D(fake), real_label)
    g_loss.backward()
    g_optimizer.step()
    if step % 10 == 9:
        print(
            f"[{step + 1}] D {d_loss.item():.4f} G {g_loss.item():.4f} mean {fake.mean().item():.3f}"
        )
