"""The functions under the modules.

Behaviour: https://pytorch.org/docs/stable/nn.functional.html
"""

from funcgrad.torch._ops.linear import bilinear, linear

__all__ = ["bilinear", "linear"]
