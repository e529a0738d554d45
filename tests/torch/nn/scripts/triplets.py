# An embedding by triplets; distances and cosines of what was learned.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(17)


class EmbeddingNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.PReLU(), nn.Linear(12, 3))

    def forward(self, x):
        return F.normalize(self.net(x), p=2, dim=1)


centres = torch.randn(3, 6) * 2
model = EmbeddingNet()
criterion = nn.TripletMarginLoss(margin=0.5, p=2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(10):
    a = torch.randint(0, 3, (16,))
    n = (a + torch.randint(1, 3, (16,))) % 3
    anchor = centres[a] + torch.randn(16, 6)
    positive = centres[a] + torch.randn(16, 6)
    negative = centres[n] + torch.randn(16, 6)
    loss = criterion(model(anchor), model(positive), model(negative))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 0:
        print(f"step {step}: triplet loss {loss:.4f}")
model.eval()
e = model(centres).detach()
print(torch.cdist(e, e))
print(F.cosine_similarity(e[0], e[1], dim=0), nn.PairwiseDistance()(e[:1], e[1:2]))
print(nn.CosineEmbeddingLoss()(e[:2], e[1:], torch.tensor([1.0, -1.0])))
print(model.net[1].weight)
