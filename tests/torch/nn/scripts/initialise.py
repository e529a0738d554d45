# Initial values by `apply`.
import torch
import torch.nn as nn

torch.manual_seed(10)


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
        m.bias.data.fill_(0.01)
    elif isinstance(m, nn.Embedding):
        nn.init.normal_(m.weight, mean=0.0, std=0.02)


model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
model.apply(init_weights)
print(model[0].weight)
print(model[0].bias, model[2].weight.std().item() > 0)
table = nn.Embedding(4, 2)
table.apply(init_weights)
print(table.weight)
for name, init in (
    ("kaiming", lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
    ("uniform", lambda w: nn.init.uniform_(w, -0.1, 0.1)),
    ("trunc", lambda w: nn.init.trunc_normal_(w, std=0.02)),
    ("constant", lambda w: nn.init.constant_(w, 0.3)),
):
    with torch.no_grad():
        init(model[2].weight)
    print(name, f"{model[2].weight.mean().item():.5f} {model[2].weight.std().item():.5f}")
