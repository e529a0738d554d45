# A language model of characters: an LSTM whose state is carried on, and text drawn from it.
import torch
import torch.nn as nn

torch.manual_seed(11)
text = "hello world, hello torch. "
chars = sorted(list(set(text)))
stoi = {ch: i for i, ch in enumerate(chars)}
itos = {i: ch for ch, i in stoi.items()}
data = torch.tensor([stoi[c] for c in text * 4])


class CharLSTM(nn.Module):
    def __init__(self, vocab, hidden, layers=2):
        super().__init__()
        self.encoder = nn.Embedding(vocab, hidden)
        self.rnn = nn.LSTM(hidden, hidden, layers, dropout=0.0, batch_first=True)
        self.decoder = nn.Linear(hidden, vocab)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.nlayers, self.nhid = layers, hidden

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.encoder(x), hidden)
        return self.decoder(out), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (
            weight.new_zeros(self.nlayers, bsz, self.nhid),
            weight.new_zeros(self.nlayers, bsz, self.nhid),
        )


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


model = CharLSTM(len(chars), 12)
print(model, len(list(model.parameters())))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
criterion = nn.CrossEntropyLoss()
batches = data[:96].view(2, -1)
hidden = model.init_hidden(2)
for i in range(0, 40, 8):
    seq_len = min(8, batches.size(1) - 1 - i)
    x, y = batches[:, i : i + seq_len], batches[:, i + 1 : i + 1 + seq_len]
    hidden = repackage_hidden(hidden)
    model.zero_grad()
    output, hidden = model(x, hidden)
    loss = criterion(output.reshape(-1, len(chars)), y.reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    print(f"{i:3d} loss {loss.item():.3f} ppl {torch.exp(loss).item():.2f}")
model.eval()
hidden = model.init_hidden(1)
x = torch.tensor([[stoi["h"]]])
out = "h"
with torch.no_grad():
    for _ in range(12):
        output, hidden = model(x, hidden)
        weights = output.squeeze().div(0.8).exp()
        index = torch.multinomial(weights, 1)[0]
        x.fill_(index)
        out += itos[index.item()]
print(repr(out))
