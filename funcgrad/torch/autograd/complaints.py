"""What the engine complains of on the way back, in PyTorch's words."""

from funcgrad.engine import ModifiedError
from funcgrad.torch.autograd.observing import Anomaly
from funcgrad.torch.dtypes import from_numpy_dtype


def as_pytorch(error: RuntimeError) -> RuntimeError:
    """The engine's complaint in PyTorch's words."""
    if isinstance(error, ModifiedError):
        kind = from_numpy_dtype(error.value.aval.dtype).scalar_type
        return RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[torch.{kind}Tensor {list(error.value.aval.shape)}] is at version {error.version}; expected version "
            f"{error.expected} instead. Hint: {_SEEN if Anomaly.enabled else _UNSEEN}"
        )
    return RuntimeError(str(error))


_SEEN = (
    "the backtrace further above shows the operation that failed to compute its gradient. The variable in question was "
    "changed in there or anywhere later. Good luck!"
)
_UNSEEN = (
    "enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
