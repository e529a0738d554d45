"""The tensor and the view tensor, with operands, writes in place, printing, layout and resizing."""

from funcgrad.torch._tensor import layout, resizing
