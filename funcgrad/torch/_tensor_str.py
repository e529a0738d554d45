"""The names of PyTorch's `torch._tensor_str` that libraries print their own tensors with."""

from collections.abc import Sequence
from typing import Any

from funcgrad.torch._tensor.printing import _options as PRINT_OPTS
from funcgrad.torch._tensor.printing import append_suffixes, format_values
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["PRINT_OPTS"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def _tensor_str(self: Any, indent: int) -> str:
    """The elements as text, further lines indented."""
    if self.numel() == 0:
        return "[]"
    return format_values(self.detach().resolve_conj().numpy(), self.dtype, indent)


def _add_suffixes(
    tensor_str: str, suffixes: Sequence[str], indent: int, force_newline: bool
) -> str:
    """The text of a tensor with facts after the elements, closed by a parenthesis."""
    return append_suffixes(tensor_str, suffixes, indent, force_newline) + ")"
