# Ratings by embeddings and biases, in a dataset of one's own over NumPy arrays.
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

np.random.seed(0)
torch.manual_seed(0)


class Ratings(Dataset):
    def __init__(self, users, items, ratings):
        self.users = torch.tensor(users, dtype=torch.int64)
        self.items = torch.tensor(items, dtype=torch.int64)
        self.ratings = torch.tensor(ratings, dtype=torch.float32)

    def __len__(self):
        return len(self.ratings)

    def __getitem__(self, i):
        return {"user": self.users[i], "item": self.items[i], "rating": self.ratings[i]}


class MF(nn.Module):
    def __init__(self, n_users, n_items, k=3):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, k)
        self.item_factors = nn.Embedding(n_items, k)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        for e in (self.user_bias, self.item_bias):
            e.weight.data.fill_(0.0)
        self.mu = nn.Parameter(torch.tensor(3.0))

    def forward(self, u, i):
        dot = (self.user_factors(u) * self.item_factors(i)).sum(1, keepdim=True)
        return (self.mu + self.user_bias(u) + self.item_bias(i) + dot).squeeze()


users, items = np.random.randint(0, 5, 40), np.random.randint(0, 6, 40)
ratings = np.clip(users % 3 + items % 2 + np.random.randn(40), 1, 5)
loader = DataLoader(Ratings(users, items, ratings), batch_size=16, shuffle=True)
model = MF(5, 6)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-5)
for epoch in range(4):
    total, n = 0.0, 0
    for batch in loader:
        pred = model(batch["user"], batch["item"])
        loss = nn.functional.mse_loss(pred, batch["rating"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(pred)
        n += len(pred)
    print(f"epoch {epoch}: rmse {np.sqrt(total / n):.4f}")
print(model.mu, model.user_bias.weight.squeeze().tolist()[:1] != [0.0])
with torch.no_grad():
    scores = model(torch.full((6,), 2), torch.arange(6))
    print(scores.argsort(descending=True), scores.numpy().round(3).shape)
