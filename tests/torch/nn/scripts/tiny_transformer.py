# The next letter of a text, by a transformer with one layer.
import math

import torch
import torch.nn as nn

text = "to be or not to be that is the question "
letters = sorted(set(text))
number = {letter: k for k, letter in enumerate(letters)}
data = torch.tensor([number[letter] for letter in text])


class Reader(nn.Module):
    def __init__(self, count, features=8, length=10):
        super().__init__()
        self.embedding = nn.Embedding(count, features)
        self.position = nn.Embedding(length, features)
        layer = nn.TransformerEncoderLayer(
            features, nhead=2, dim_feedforward=16, dropout=0.0, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.head = nn.Linear(features, count)
        self.scale = math.sqrt(features)

    def forward(self, x):
        length = x.size(1)
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        h = self.embedding(x) * self.scale + self.position(torch.arange(length))
        return self.head(self.encoder(h, mask=mask, is_causal=True))


torch.manual_seed(2)
starts = range(0, 24, 4)
x = torch.stack([data[k : k + 10] for k in starts])
y = torch.stack([data[k + 1 : k + 11] for k in starts])
model = Reader(len(letters))
print(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for step in range(6):
    logits = model(x)
    loss = nn.functional.cross_entropy(logits.view(-1, len(letters)), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss.item():.3f}")
model.eval()
with torch.no_grad():
    print(model(x[:1]).shape)
