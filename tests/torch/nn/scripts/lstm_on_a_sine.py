# The next number of a sine from the numbers before it.
import torch
import torch.nn as nn


class Forecaster(nn.Module):
    def __init__(self, hidden_size=6):
        super().__init__()
        self.lstm = nn.LSTM(input_size=1, hidden_size=hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, 1)

    def forward(self, x, state=None):
        out, state = self.lstm(x, state)
        return self.linear(out[:, -1]), state


torch.manual_seed(1)
wave = torch.sin(torch.arange(40) * 0.3)
window = 8
inputs = torch.stack([wave[k : k + window] for k in range(24)]).unsqueeze(-1)
targets = wave[window : window + 24].unsqueeze(-1)
model = Forecaster()
print(model, inputs.shape, targets.shape)
loss_function = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(8):
    optimizer.zero_grad()
    prediction, (h, c) = model(inputs)
    loss = loss_function(prediction, targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 2 == 0:
        print(f"step {step} loss {loss.item():.4f}")
print(h.shape, c.shape)
with torch.no_grad():
    next_number, _ = model(inputs[:1])
print(f"{next_number.item():.3f}")
