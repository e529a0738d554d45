# A moving average of the weights by hand, gradients gathered over batches, and scaling that is switched off.
import copy

import torch
import torch.nn as nn


class EMA:
    def __init__(self, model, decay=0.9):
        self.module = copy.deepcopy(model).eval()
        self.decay = decay
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for ema_v, model_v in zip(self.module.state_dict().values(), model.state_dict().values()):
            if ema_v.dtype.is_floating_point:
                ema_v.copy_(self.decay * ema_v + (1.0 - self.decay) * model_v)
            else:
                ema_v.copy_(model_v)


torch.manual_seed(19)
device = torch.device("cpu")
use_amp = False
model = nn.Sequential(
    nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU6(), nn.Linear(8, 2)
).to(device)
ema = EMA(model)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01, alpha=0.9)
scaler = torch.amp.GradScaler("cpu", enabled=use_amp)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0]))
accumulation_steps = 2
x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))
for epoch in range(3):
    optimizer.zero_grad(set_to_none=True)
    for i, (xb, yb) in enumerate(zip(x.chunk(4), y.chunk(4))):
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16, enabled=use_amp):
            loss = criterion(model(xb), yb) / accumulation_steps
        scaler.scale(loss).backward()
        if (i + 1) % accumulation_steps == 0:
            scaler.unscale_(optimizer)
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            ema.update(model)
    print(f"epoch {epoch} loss {loss.item() * accumulation_steps:.4f} norm {grad_norm.item():.4f}")
model.eval()
with torch.no_grad():
    print(ema.module(x[:2]), model(x[:2]).shape)
print(ema.module[1].num_batches_tracked, model[1].running_var[:3], scaler.is_enabled())
print(all(not p.requires_grad for p in ema.module.parameters()))
