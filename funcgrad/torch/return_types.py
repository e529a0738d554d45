"""The named tuples that ops with several results return, as `torch.return_types.max`."""

from funcgrad.torch._ops.row import ROWS as _ROWS

# PyTorch returns plain tuples from these, or has no such function.
_PLAIN = (
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "batch_norm",
    "gru",
    "lstm",
    "lstm_cell",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "rnn_relu",
    "rnn_tanh",
    "std_mean",
    "var_mean",
)
_NAMED = {
    row.title: row.result
    for row in _ROWS.values()
    if row.result is not None and row.title not in _PLAIN
}

__all__ = list(_NAMED)

globals().update(_NAMED)
