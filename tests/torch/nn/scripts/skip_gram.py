# Word vectors by skip-grams and drawn negatives.
import torch
import torch.nn as nn
import torch.nn.functional as F

corpus = "the quick brown fox jumps over the lazy dog the fox sleeps".split()
vocab = {w: i for i, w in enumerate(dict.fromkeys(corpus))}
ids = [vocab[w] for w in corpus]
pairs = [(ids[i], ids[j]) for i in range(len(ids)) for j in (i - 1, i + 1) if 0 <= j < len(ids)]
counts = torch.bincount(torch.tensor(ids), minlength=len(vocab)).float()
weights = counts**0.75
weights /= weights.sum()
torch.manual_seed(6)


class SkipGram(nn.Module):
    def __init__(self, vocab_size, dim):
        super().__init__()
        self.center = nn.Embedding(vocab_size, dim)
        self.outside = nn.Embedding(vocab_size, dim)
        r = 0.5 / dim
        self.center.weight.data.uniform_(-r, r)
        self.outside.weight.data.zero_()

    def forward(self, c, o, neg):
        v = self.center(c)
        u = self.outside(o)
        u_neg = self.outside(neg)
        pos = F.logsigmoid(torch.sum(v * u, dim=1))
        negs = F.logsigmoid(-torch.bmm(u_neg, v.unsqueeze(2)).squeeze(2)).sum(1)
        return -(pos + negs).mean()


model = SkipGram(len(vocab), 4)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.5)
center, outside = (torch.LongTensor(each) for each in zip(*pairs))
print(center.type(), weights)
for epoch in range(6):
    neg = torch.multinomial(weights, len(pairs) * 3, replacement=True).view(len(pairs), 3)
    optimizer.zero_grad()
    loss = model(center, outside, neg)
    loss.backward()
    optimizer.step()
    print("epoch", epoch, "loss", round(loss.item(), 4))
vectors = model.center.weight.detach()
sims = F.cosine_similarity(vectors[vocab["fox"]].unsqueeze(0), vectors)
best = torch.topk(sims, 3)
print([(list(vocab)[i], round(s.item(), 3)) for s, i in zip(best.values, best.indices)][1:])
