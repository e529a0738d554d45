"""The reductions of losses, and the old arguments `size_average` and `reduce` that stood for them."""

import warnings


def legacy_get_string(size_average: bool | None, reduce: bool | None, stacklevel: int = 2) -> str:
    """The reduction that the old arguments mean.

    Warns:
        UserWarning: always, because they are deprecated.
    """
    mean = size_average is None or size_average
    reduces = reduce is None or reduce
    found = "mean" if mean and reduces else "sum" if reduces else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.",
        stacklevel=stacklevel + 1,
    )
    return found


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction of a loss: "none", "mean" or "sum".

    Raises:
        ValueError: it is none of these.
    """
    if size_average is not None or reduce is not None:
        return legacy_get_string(size_average, reduce, 3)
    return checked(reduction)


def checked(reduction: str) -> str:
    """A reduction by its name.

    Raises:
        ValueError: there is no such reduction.
    """
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=4,
        )
        return "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction
