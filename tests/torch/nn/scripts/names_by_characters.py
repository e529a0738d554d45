# The language of a name, by an RNN of two linear layers over one-hot letters, and an update by hand.
import string

import torch
import torch.nn as nn

letters = string.ascii_lowercase
names = {"en": ["smith", "jones", "brown"], "it": ["rossi", "bianchi", "verdi"]}
categories = list(names)
torch.manual_seed(7)


def line_to_tensor(line):
    tensor = torch.zeros(len(line), 1, len(letters))
    for li, letter in enumerate(line):
        tensor[li][0][letters.find(letter)] = 1
    return tensor


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = self.i2h(combined)
        return self.softmax(self.i2o(combined)), hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


rnn = RNN(len(letters), 8, len(categories))
criterion = nn.NLLLoss()


def train(category_tensor, line_tensor):
    hidden = rnn.initHidden()
    rnn.zero_grad()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    loss = criterion(output, category_tensor)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-0.05)
    return output, loss.item()


for step in range(4):
    for category, lines in names.items():
        for line in lines:
            target = torch.tensor([categories.index(category)], dtype=torch.long)
            output, loss = train(target, line_to_tensor(line))
            top_n, top_i = output.topk(1)
            guess = categories[top_i[0].item()]
    print("%d %.4f %s / %s %s" % (step, loss, line, guess, "✓" if guess == category else "✗"))
with torch.no_grad():
    hidden = rnn.initHidden()
    for letter in line_to_tensor("conti"):
        output, hidden = rnn(letter, hidden)
    topv, topi = output.topk(2, 1, True)
    for i in range(2):
        print("(%.2f) %s" % (topv[0][i].item(), categories[topi[0][i].item()]))
