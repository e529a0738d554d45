# Sequences of labels without alignment: a GRU over frames and the CTC loss, decoded greedily.
import torch
from torch import nn

torch.manual_seed(12)


class SpeechModel(nn.Module):
    def __init__(self, n_feats=3, hidden=8, n_class=4):
        super().__init__()
        self.norm = nn.LayerNorm(n_feats)
        self.rnn = nn.GRU(n_feats, hidden, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, n_class)
        )

    def forward(self, x):
        out, _ = self.rnn(self.norm(x))
        return self.classifier(out)


def greedy(output, blank=0):
    best, decoded = output.argmax(dim=2), []
    for args in best:
        chars = []
        for j, index in enumerate(args):
            if index != blank and not (j != 0 and index == args[j - 1]):
                chars.append(index.item())
        decoded.append(chars)
    return decoded


model = SpeechModel()
criterion = nn.CTCLoss(blank=0, zero_infinity=True)
optimizer = torch.optim.AdamW(model.parameters(), 0.02)
targets = [torch.tensor([1, 2]), torch.tensor([3]), torch.tensor([2, 2, 1])]
labels = nn.utils.rnn.pad_sequence(targets, batch_first=True)
target_lengths = torch.tensor([len(t) for t in targets])
x = torch.randn(3, 8, 3)
input_lengths = torch.full((3,), 8, dtype=torch.long)
for epoch in range(10):
    optimizer.zero_grad()
    output = nn.functional.log_softmax(model(x), dim=2)
    loss = criterion(output.transpose(0, 1), labels, input_lengths, target_lengths)
    loss.backward()
    optimizer.step()
    if epoch % 3 == 0:
        print(f"Train Epoch: {epoch} Loss: {loss.item():.4f}")
print(greedy(output))
flat = torch.cat(targets)
print(
    criterion(
        output.transpose(0, 1), flat, tuple(input_lengths.tolist()), tuple(target_lengths.tolist())
    )
)
