# Stop when the validation loss gets worse, and go back to the best weights.
import copy

import torch
import torch.nn as nn

torch.manual_seed(5)
x = torch.linspace(-1, 1, 40).unsqueeze(1)
y = torch.sin(3 * x) + 0.3 * torch.randn(40, 1)
order = torch.randperm(40)
train, valid = order[:30], order[30:]
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
best, best_state, patience, waited = float("inf"), None, 5, 0
for epoch in range(60):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x[train]), y[train])
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        val = criterion(model(x[valid]), y[valid]).item()
    if val < best - 1e-3:
        best, best_state, waited = val, copy.deepcopy(model.state_dict()), 0
    else:
        waited += 1
        if waited == patience:
            print(f"stopped at epoch {epoch}")
            break
model.load_state_dict(best_state)
with torch.no_grad():
    again = criterion(model(x[valid]), y[valid]).item()
print(f"best {best:.4f} again {again:.4f}")
print(list(best_state), best_state["0.weight"].shape)
print(model.training, again == best)
