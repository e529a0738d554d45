# A U-net on made masks with a Dice loss: skip connections, padding, upsampling.
import torch
import torch.nn as nn
import torch.nn.functional as F


class DoubleConv(nn.Module):
    """(convolution => [BN] => ReLU) * 2"""

    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, bilinear):
        super().__init__()
        self.inc = DoubleConv(1, 4)
        self.down1 = Down(4, 4 if bilinear else 8)
        self.up1 = Up(8, 4, bilinear)
        self.outc = nn.Conv2d(4, 1, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        return self.outc(self.up1(self.down1(x1), x1))


def dice_loss(logits, masks, smooth=1.0):
    probs = torch.sigmoid(logits).view(-1)
    masks = masks.view(-1)
    return 1 - (2.0 * (probs * masks).sum() + smooth) / (probs.sum() + masks.sum() + smooth)


for bilinear in (True, False):
    torch.manual_seed(9)
    model = UNet(bilinear)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
    masks = torch.zeros(2, 1, 7, 7)
    masks[0, 0, 2:5, 2:5] = 1
    masks[1, 0, :3, 4:] = 1
    images = masks + 0.3 * torch.randn(2, 1, 7, 7)
    for step in range(3):
        optimizer.zero_grad()
        pred = model(images)
        loss = F.binary_cross_entropy_with_logits(pred, masks) + dice_loss(pred, masks)
        loss.backward()
        optimizer.step()
        iou = ((pred > 0) & (masks > 0.5)).sum() / ((pred > 0) | (masks > 0.5)).sum()
        print(f"{step} loss {loss.item():.4f} iou {iou:.3f}")
print(model.up1)
