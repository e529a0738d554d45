# Three clouds of points, told apart by a perceptron with Adam.
import torch
import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self, features, hidden, classes):
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.act = nn.ReLU()
        self.out = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.out(self.act(self.hidden(x)))


torch.manual_seed(1)
centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
labels = torch.arange(90) % 3
points = centres[labels] + torch.randn(90, 2)
model = Classifier(2, 16, 3)
print(model)
print("parameters:", sum(p.numel() for p in model.parameters() if p.requires_grad))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for epoch in range(1, 41):
    model.train()
    logits = model(points)
    loss = criterion(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        print(f"epoch {epoch:2d} loss {loss.item():.3f} accuracy {accuracy.item():.2f}")
model.eval()
with torch.no_grad():
    probabilities = nn.functional.softmax(model(points[:2]), dim=1)
print(probabilities)
_, predicted = torch.max(probabilities, 1)
print("predicted", predicted.tolist())
