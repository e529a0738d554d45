# Do more ones or more twos stand in a sequence? Sequences of several lengths, packed for a GRU.
import torch
import torch.nn as nn

from_utils = torch.nn.utils.rnn
torch.manual_seed(0)
sequences = [torch.randint(1, 3, (length,)) for length in (3, 5, 2, 4)]
labels = torch.tensor([[float((s == 2).sum() > (s == 1).sum())] for s in sequences])
lengths = torch.tensor([len(s) for s in sequences])
padded = from_utils.pad_sequence(sequences, batch_first=True)
print(padded)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 4, padding_idx=0)
        self.gru = nn.GRU(4, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 1)

    def forward(self, x, lengths):
        packed = from_utils.pack_padded_sequence(
            self.embedding(x), lengths, batch_first=True, enforce_sorted=False
        )
        output, hidden = self.gru(packed)
        output, found = from_utils.pad_packed_sequence(output, batch_first=True)
        assert found.tolist() == lengths.tolist()
        return self.out(torch.cat([hidden[0], hidden[1]], 1)), output


model = Counter()
print(model)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
for epoch in range(6):
    optimizer.zero_grad()
    logits, output = model(padded, lengths)
    loss = nn.BCEWithLogitsLoss()(logits, labels)
    loss.backward()
    optimizer.step()
    if epoch % 2 == 0:
        print(f"{epoch} {loss.item():.4f} {output.shape}")
print(model.embedding.weight.grad[0])
