# A circle inside a ring: a sigmoid at the end, and BCELoss; then the same with logits.
import torch
import torch.nn as nn

for with_logits in (False, True):
    torch.manual_seed(2)
    x = torch.randn(120, 2)
    y = (x.pow(2).sum(1, keepdim=True) < 1.2).float()
    layers = [nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 1)]
    model = nn.Sequential(*layers) if with_logits else nn.Sequential(*layers, nn.Sigmoid())
    criterion = nn.BCEWithLogitsLoss() if with_logits else nn.BCELoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.02)
    for epoch in range(30):
        out = model(x)
        loss = criterion(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if epoch % 10 == 9:
            p = torch.sigmoid(out) if with_logits else out
            right = ((p > 0.5).float() == y).sum().item()
            print("epoch", epoch + 1, f"loss {loss.item():.3f}", f"right {right}/{len(y)}")
    print(criterion, loss)
