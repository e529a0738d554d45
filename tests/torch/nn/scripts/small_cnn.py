# Bars that lie or stand, told apart by a small convolutional network.
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc = nn.Linear(8 * 2 * 2, 2)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.pool(torch.relu(self.conv2(x)))
        return self.fc(torch.flatten(x, 1))


torch.manual_seed(0)
images = 0.3 * torch.randn(24, 1, 8, 8)
labels = torch.arange(24) % 2
for k in range(24):
    place = k % 8
    if k % 2:
        images[k, 0, place] += 1
    else:
        images[k, 0, :, place] += 1

net = Net()
print(net)
print(sum(p.numel() for p in net.parameters()), "parameters")
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for epoch in range(3):
    net.train()
    running = 0.0
    for start in range(0, 24, 8):
        optimizer.zero_grad()
        outputs = net(images[start : start + 8])
        loss = criterion(outputs, labels[start : start + 8])
        loss.backward()
        optimizer.step()
        running += loss.item()
    net.eval()
    with torch.no_grad():
        predicted = net(images).argmax(1)
    print(
        f"epoch {epoch + 1}: loss {running / 3:.3f}, {(predicted == labels).sum().item()} of 24 right"
    )
print(net.bn1.num_batches_tracked, net.bn1.running_mean.shape, list(net.state_dict())[:4])
