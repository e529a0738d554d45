"""The named tuples that ops with several results return, as `torch.return_types.max`."""

from funcgrad.torch._ops.row import ROWS

__all__ = [row.title for row in ROWS.values() if row.result is not None]

globals().update({row.title: row.result for row in ROWS.values() if row.result is not None})
