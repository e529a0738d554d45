# Two tasks with shared layers, learned weights of the losses, and parameters in lists and dictionaries.
import torch
import torch.nn as nn


class MultiTask(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.shared = nn.Sequential()
        self.shared.add_module("fc", nn.Linear(4, 8))
        self.shared.append(nn.Mish())
        self.heads = nn.ModuleDict({name: nn.Linear(8, n) for name, n in tasks.items()})
        self.log_vars = nn.ParameterDict({name: nn.Parameter(torch.zeros(1)) for name in tasks})
        self.scales = nn.ParameterList([nn.Parameter(torch.full((8,), 0.5 + i)) for i in range(2)])

    def forward(self, x):
        z = self.shared(x)
        for scale in self.scales:
            z = z * scale
        return {name: head(z) for name, head in self.heads.items()}


torch.manual_seed(3)
model = MultiTask({"kind": 3, "size": 1})
print(model)
x = torch.randn(30, 4)
kind, size = x[:, :3].argmax(1), x.norm(dim=1, keepdim=True)
losses = {"kind": nn.CrossEntropyLoss(), "size": nn.HuberLoss()}
optimizer = torch.optim.Adamax(
    [
        {"params": [p for n, p in model.named_parameters() if "log_vars" not in n]},
        {"params": model.log_vars.parameters(), "lr": 0.05},
    ],
    lr=0.02,
)
for epoch in range(8):
    out = model(x)
    total = 0
    for name, target in (("kind", kind), ("size", size)):
        precision = torch.exp(-model.log_vars[name])
        total = total + (precision * losses[name](out[name], target) + model.log_vars[name]).sum()
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    if epoch % 3 == 0:
        print(
            f"{epoch} total={total.item():.4f}",
            {k: round(v.item(), 4) for k, v in model.log_vars.items()},
        )
print(list(model.state_dict().keys()))
print(
    "kind" in model.heads, len(model.scales), model.heads.keys(), model.get_submodule("shared.fc")
)
model.heads.pop("size")
model.shared.insert(1, nn.Dropout(0.5))
print(model.shared, [n for n, _ in model.heads.named_children()])
del model.shared[1]
print(model.shared[-1], model.shared[:1], sum(1 for _ in model.modules()))
