"""The tensor and the view tensor: operands, writing in place, printing, layout, resizing."""
