"""The tensor and the view tensor: operands, writing in place, printing, layout, resizing."""

from funcgrad.torch._tensor import layout, resizing
