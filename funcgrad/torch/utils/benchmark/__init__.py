"""PyTorch's `torch.utils.benchmark`: times of statements, and tables of them.

Behaviour: https://pytorch.org/docs/stable/benchmark_utils.html
"""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils.benchmark._compare import Compare
from funcgrad.torch.utils.benchmark._measurement import Measurement, TaskSpec
from funcgrad.torch.utils.benchmark._timer import Timer

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
