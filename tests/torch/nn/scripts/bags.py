# Sentences as bags of words, several labels each, counts by Poisson.
import torch
import torch.nn as nn

torch.manual_seed(15)
words = torch.randint(0, 20, (60,))
offsets = torch.arange(0, 60, 5)
labels = (torch.rand(12, 3) > 0.5).float()


class Bags(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(20, 6, mode="mean")
        self.labels = nn.Linear(6, 3)
        self.count = nn.Linear(6, 1)

    def forward(self, words, offsets):
        bag = self.table(words, offsets)
        return self.labels(bag), self.count(bag).squeeze(1)


model = Bags()
print(model)
optimizer = torch.optim.NAdam(model.parameters(), lr=0.05)
counts = labels.sum(1)
for step in range(16):
    logits, rate = model(words, offsets)
    loss = nn.MultiLabelSoftMarginLoss()(logits, labels) + nn.PoissonNLLLoss()(rate, counts)
    model.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 5 == 0:
        print(step, f"{loss.item():.4f}")
print(nn.functional.one_hot(counts.long(), 4).sum(0).tolist())
print(model.table.weight.grad.abs().sum(1)[:4])
