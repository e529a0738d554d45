"""PyTorch's checks of a tensor's tangent."""

from funcgrad.torch._tensor.tensor import Tensor


def check_dtypes(primal: Tensor, tangent: Tensor) -> None:
    """Check the dtypes of a tensor and of its tangent.

    Raises:
        ValueError: a dtype is neither floating point nor complex.
    """
    for what, tensor in (("primal", primal), ("tangent", tangent)):
        if not tensor._storage.aval.inexact:
            raise ValueError(
                f"Expected {what} to be floating point or complex, but got: {tensor.dtype}"
            )


def check_sizes(primal: Tensor, tangent: Tensor) -> None:
    """Check that a tangent has its tensor's shape.

    Raises:
        RuntimeError: the shapes differ.
    """
    if primal.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(primal.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )
