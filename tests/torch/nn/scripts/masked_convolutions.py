# Images pixel by pixel, by convolutions whose weights are masked; and drawn from them.
import torch
import torch.nn as nn
import torch.nn.functional as F


class MaskedConv2d(nn.Conv2d):
    def __init__(self, mask_type, *args, **kwargs):
        super(MaskedConv2d, self).__init__(*args, **kwargs)
        assert mask_type in ("A", "B")
        self.register_buffer("mask", self.weight.data.clone())
        _, _, kH, kW = self.weight.size()
        self.mask.fill_(1)
        self.mask[:, :, kH // 2, kW // 2 + (mask_type == "B") :] = 0
        self.mask[:, :, kH // 2 + 1 :] = 0

    def forward(self, x):
        self.weight.data *= self.mask
        return super(MaskedConv2d, self).forward(x)


torch.manual_seed(20)
net = nn.Sequential(
    MaskedConv2d("A", 1, 6, 5, 1, 2, bias=False),
    nn.BatchNorm2d(6),
    nn.ReLU(True),
    MaskedConv2d("B", 6, 6, 3, 1, 1, bias=False),
    nn.BatchNorm2d(6),
    nn.ReLU(True),
    nn.Conv2d(6, 4, 1),
)
print(net)
images = (torch.rand(6, 1, 5, 5).cumsum(3) / 5).clamp(0, 0.999)
target = (images[:, 0] * 4).long()
optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
for epoch in range(5):
    loss = F.cross_entropy(net(images), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("epoch=%d; nll=%.4f" % (epoch, loss.item()))
print(net[0].mask[0, 0], net[0].weight.grad.abs().sum() > 0)
net.eval()
sample = torch.zeros(2, 1, 3, 3)
with torch.no_grad():
    for i in range(3):
        for j in range(3):
            out = net(sample)
            probs = F.softmax(out[:, :, i, j], dim=1)
            sample[:, :, i, j] = torch.multinomial(probs, 1).float() / 4.0
print(sample.squeeze())
