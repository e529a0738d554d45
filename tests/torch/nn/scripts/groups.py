# Weight decay for weights and none for biases; the first layer is frozen.
import torch
import torch.nn as nn

torch.manual_seed(8)
model = nn.Sequential(nn.Linear(5, 10), nn.ELU(), nn.Linear(10, 10), nn.ELU(), nn.Linear(10, 2))
for parameter in model[0].parameters():
    parameter.requires_grad = False
frozen = model[0].weight.clone()
decay = [p for n, p in model.named_parameters() if n.endswith("weight") and p.requires_grad]
no_decay = [p for n, p in model.named_parameters() if n.endswith("bias") and p.requires_grad]
optimizer = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}], lr=0.01
)
print(optimizer)
print([tuple(p.shape) for p in filter(lambda p: p.requires_grad, model.parameters())])
x, y = torch.randn(30, 5), torch.randint(0, 2, (30,))
for epoch in range(20):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    if epoch % 5 == 0:
        print(f"{epoch} {loss.item():.4f} {norm.item():.4f}")
print((model[0].weight == frozen).all().item(), model[0].weight.grad)
