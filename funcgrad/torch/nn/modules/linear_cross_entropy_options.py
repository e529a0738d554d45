"""`LinearCrossEntropyOptions`: how `linear_cross_entropy` is to save memory. Here it changes nothing."""

from dataclasses import dataclass
from typing import Any

from funcgrad.torch._types.dtypes import bfloat16, float16, float32, float64

__all__ = ["LinearCrossEntropyOptions"]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """PyTorch's options for parts of a batch, one after the other. XLA plans the memory here, and results are the same.

    Raises:
        ValueError: an option is not one of PyTorch's.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, mark, factor = self.chunking_method.partition(":")
            if name != "aspect_ratio" or (mark and not (factor.isdigit() and int(factor))):
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in (None, float16, bfloat16, float32, float64):
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, torch.float64}, got "
                f"{self.acc_dtype!r}. Pass acc_dtype=None to let the op pick automatically."
            )
