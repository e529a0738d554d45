"""`torch.backends.cuda`: switches for products on GPUs."""

from types import SimpleNamespace

from funcgrad.torch._types.accelerators import count

__all__ = ["is_built", "matmul"]

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    fp32_precision="none",
)


def is_built() -> bool:
    """Whether JAX has GPUs."""
    return bool(count("cuda"))


def __dir__() -> list[str]:
    return __all__
