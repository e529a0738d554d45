"""`torch.version`: the version of PyTorch whose interface this is, and the platforms of PyTorch's own builds, which are none."""

__version__ = "2.13.0"
cuda: str | None = None
debug = False
git_version = "Unknown"
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
