"""`torch.compile` and `funcgrad.pure`: a step is traced once and run again without Python."""
