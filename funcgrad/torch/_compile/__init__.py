"""`torch.compile` and `funcgrad.pure`: a step is traced once and run again without Python."""

from funcgrad.torch._compile import compiled
