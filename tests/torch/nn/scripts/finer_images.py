# Images made finer by a net with a pixel shuffle; orthogonal initial weights and the signal to noise ratio.
from math import log10

import torch
import torch.nn as nn
import torch.nn.init as init
from torch.utils.data import DataLoader, Dataset


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 4, (3, 3), (1, 1), (1, 1))
        self.conv2 = nn.Conv2d(4, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        return self.pixel_shuffle(self.conv2(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv2.weight)


class Pictures(Dataset):
    def __init__(self, n):
        rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
        self.images = [torch.sin(rows * (i + 1) / 6 + columns / 3)[None] for i in range(n)]

    def __getitem__(self, index):
        image = self.images[index]
        small = nn.functional.avg_pool2d(image, 2)
        return small, image

    def __len__(self):
        return len(self.images)


torch.manual_seed(123)
loader = DataLoader(dataset=Pictures(6), num_workers=0, batch_size=3, shuffle=True)
model = Net(upscale_factor=2)
w = model.conv1.weight.flatten(1)
print(torch.dist(w @ w.t(), 2 * torch.eye(4)) < 1e-5)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(1, 4):
    epoch_loss = 0
    for iteration, batch in enumerate(loader, 1):
        input, target = batch[0], batch[1]
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        epoch_loss += loss.item()
        loss.backward()
        optimizer.step()
    avg_psnr = 0
    with torch.no_grad():
        for batch in loader:
            mse = criterion(model(batch[0]), batch[1])
            avg_psnr += 10 * log10(1 / mse.item())
    print(
        "===> Epoch {} Complete: Avg. Loss: {:.4f}, PSNR: {:.4f} dB".format(
            epoch, epoch_loss / len(loader), avg_psnr / len(loader)
        )
    )
