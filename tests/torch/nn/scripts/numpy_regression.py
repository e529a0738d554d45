# A line through points given as NumPy arrays, with old-style printing.
import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(0)
x_train = np.array([[3.3], [4.4], [5.5], [6.71], [6.93], [4.168], [9.779]], dtype=np.float32)
y_train = np.array([[1.7], [2.76], [2.09], [3.19], [1.694], [1.573], [3.366]], dtype=np.float32)
model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
for epoch in range(30):
    inputs = torch.from_numpy(x_train)
    targets = torch.from_numpy(y_train)
    outputs = model(inputs)
    loss = criterion(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 10 == 0:
        print("Epoch [{}/{}], Loss: {:.4f}".format(epoch + 1, 30, loss.item()))
predicted = model(torch.from_numpy(x_train)).detach().numpy()
print(predicted.shape, predicted.dtype, np.abs(predicted - y_train).mean().round(4))
[w, b] = model.parameters()
print("w = %.3f, b = %.3f" % (w[0][0].item(), b.item()))
try:
    outputs.numpy()
except RuntimeError as error:
    print(error)
