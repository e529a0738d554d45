# A learning rate that falls by steps, then with the loss.
import torch
import torch.nn as nn

torch.manual_seed(6)
x, y = torch.randn(50, 4), torch.randn(50, 1)
for name in ("StepLR", "ExponentialLR", "ReduceLROnPlateau", "CosineAnnealingLR"):
    torch.manual_seed(7)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = {
        "StepLR": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=5, gamma=0.5),
        "ExponentialLR": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.9),
        "ReduceLROnPlateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=1),
        "CosineAnnealingLR": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=10),
    }[name](optimizer)
    for epoch in range(15):
        optimizer.zero_grad()
        loss = nn.functional.l1_loss(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step(loss.item()) if name == "ReduceLROnPlateau" else schedule.step()
        if epoch % 5 == 4:
            print(name, epoch, f"{optimizer.param_groups[0]['lr']:.5f}", f"{loss.item():.4f}")
