# A small language model: the next word from two words before it.
import torch
import torch.nn as nn
import torch.nn.functional as F

text = [
    "the",
    "cat",
    "sat",
    "on",
    "the",
    "mat",
    "and",
    "the",
    "dog",
    "sat",
    "on",
    "the",
    "log",
    "and",
    "the",
    "cat",
    "saw",
    "the",
    "dog",
]
vocab = sorted(set(text))
index = {word: k for k, word in enumerate(vocab)}
grams = [([text[k], text[k + 1]], text[k + 2]) for k in range(len(text) - 2)]


class NGram(nn.Module):
    def __init__(self, size, dim, context):
        super().__init__()
        self.embeddings = nn.Embedding(size, dim)
        self.linear1 = nn.Linear(context * dim, 16)
        self.linear2 = nn.Linear(16, size)

    def forward(self, inputs):
        embeds = self.embeddings(inputs).view((1, -1))
        out = F.relu(self.linear1(embeds))
        return F.log_softmax(self.linear2(out), dim=1)


torch.manual_seed(4)
model = NGram(len(vocab), 5, 2)
print(model)
loss_function = nn.NLLLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(5):
    total = 0
    for context, target in grams:
        ids = torch.tensor([index[w] for w in context], dtype=torch.long)
        model.zero_grad()
        loss = loss_function(model(ids), torch.tensor([index[target]], dtype=torch.long))
        loss.backward()
        optimizer.step()
        total += loss.item()
    losses.append(round(total, 2))
print([f"{loss:.2f}" for loss in losses])
print(model.embeddings.weight[index["cat"]])
