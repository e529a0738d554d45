# Learning rates of many schedulers, stepped by batches and by epochs.
import torch
from torch import nn
from torch.optim import SGD, AdamW, lr_scheduler


def rates(make, steps=10, momentum=False):
    model = nn.Linear(2, 1)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(round(optimizer.param_groups[0]["lr"], 5))
        if momentum:
            seen.append(round(optimizer.param_groups[0]["momentum"], 4))
        optimizer.step()
        scheduler.step()
    print(type(scheduler).__name__, seen, scheduler.get_last_lr())


torch.manual_seed(0)
rates(lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda epoch: 0.95**epoch))
rates(lambda o: lr_scheduler.LambdaLR(o, lambda s: min(1.0, (s + 1) / 4)))
rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5, eta_min=0.01))
rates(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2))
rates(lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=12), momentum=True)
rates(
    lambda o: lr_scheduler.OneCycleLR(o, 0.2, steps_per_epoch=4, epochs=3, anneal_strategy="linear")
)
rates(
    lambda o: lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3, mode="triangular2")
)
rates(lambda o: lr_scheduler.PolynomialLR(o, total_iters=6, power=2))
rates(
    lambda o: lr_scheduler.SequentialLR(
        o,
        schedulers=[
            lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=3),
            lr_scheduler.CosineAnnealingLR(o, T_max=7),
        ],
        milestones=[3],
    )
)
rates(
    lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.9)]
    )
)
model = nn.Linear(1, 1)
optimizer = AdamW(model.parameters(), lr=0.1)
plateau = lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=1)
for epoch, val_loss in enumerate([1.0, 0.8, 0.9, 0.85, 0.9, 0.7]):
    optimizer.step()
    plateau.step(val_loss)
    print(epoch, val_loss, optimizer.param_groups[0]["lr"], plateau.num_bad_epochs)
print(plateau.get_last_lr(), sorted(plateau.state_dict())[:4])
