# A straight line by a Sequential of one layer.
import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.rand(100, 1)
y = 3 * x + 2 + 0.1 * torch.randn(100, 1)
model = nn.Sequential(nn.Linear(1, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
print(model)
for epoch in range(60):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 20 == 0:
        print(f"Epoch [{epoch + 1}/60], Loss: {loss.item():.4f}")
print(model[0].weight, model[0].bias)
print(loss)
print(type(loss.grad_fn).__name__, type(loss.grad_fn.next_functions[0][0]).__name__)
