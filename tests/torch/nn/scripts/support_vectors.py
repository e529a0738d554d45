# A support vector machine by a hinge loss with weight decay by hand, on NumPy data with `Variable`.
import numpy as np
import torch
import torch.nn as nn
from torch.autograd import Variable

rng = np.random.RandomState(0)
X = np.vstack([rng.randn(20, 2) + [2, 2], rng.randn(20, 2) - [2, 2]])
Y = np.array([1] * 20 + [-1] * 20)
X = (X - X.mean()) / X.std()
torch.manual_seed(0)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
X = torch.FloatTensor(X)
Y = torch.FloatTensor(Y)
N = len(Y)
model.train()
for epoch in range(4):
    perm = torch.randperm(N)
    sum_loss = 0
    for i in range(0, N, 8):
        x = Variable(X[perm[i : i + 8]])
        y = Variable(Y[perm[i : i + 8]])
        optimizer.zero_grad()
        output = model(x).squeeze()
        weight = model.weight.squeeze()
        loss = torch.mean(torch.clamp(1 - y * output, min=0))
        loss += 0.01 * (weight.t() @ weight) / 2.0
        loss.backward()
        optimizer.step()
        sum_loss += loss.item()
    print("Epoch: {:4d}\tloss: {:.4f}".format(epoch, sum_loss / N))
W = model.weight[0].data.cpu().numpy()
b = model.bias[0].data.cpu().numpy()
delta = 0.5
xy = np.stack(np.meshgrid(np.arange(-1, 1, delta), np.arange(-1, 1, delta)), -1).reshape(-1, 2)
z = (W.dot(xy.T) + b).reshape(4, 4)
print(
    z.shape,
    (z > 0).sum(),
    type(W).__name__,
    W.dtype,
    (np.sign(X.numpy() @ W + b) == Y.numpy()).mean(),
)
print(
    nn.HingeEmbeddingLoss()(model(X).squeeze().detach(), Y),
    nn.SoftMarginLoss()(model(X).squeeze(), Y).item() < 1,
)
