# Pairs and triplets: embeddings that lie near each other.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(13)
net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3))
optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
anchor, positive, negative = torch.randn(3, 16, 4)
for step in range(20):
    a, p, n = net(anchor), net(anchor + 0.1 * positive), net(negative)
    loss = nn.TripletMarginLoss(margin=1.0)(a, p, n) + nn.CosineEmbeddingLoss()(
        a, p, torch.ones(16)
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 5 == 0:
        print(f"{step:2d} {loss.item():.4f}")
similarity = F.cosine_similarity(net(anchor), net(positive))
print(similarity.shape, f"{similarity.mean().item():.3f}")
print(nn.PairwiseDistance()(net(anchor), net(negative))[:3])
print(F.normalize(net(anchor)[:1], dim=1))
