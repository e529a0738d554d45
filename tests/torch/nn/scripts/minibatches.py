# Mini-batches by hand, dropout in training, none in evaluation.
import torch
import torch.nn as nn

torch.manual_seed(11)
x = torch.randn(64, 6)
w = torch.randn(6, 1)
y = x @ w + 0.1 * torch.randn(64, 1)
model = nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Dropout(p=0.2), nn.Linear(20, 1))
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.SmoothL1Loss()
for epoch in range(1, 6):
    model.train()
    running = 0.0
    for rows in torch.randperm(64).split(16):
        loss = loss_fn(model(x[rows]), y[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(rows)
    model.eval()
    with torch.inference_mode():
        test = loss_fn(model(x), y)
    print(f"epoch {epoch}: train {running / 64:.4f}, test {test.item():.4f}")
