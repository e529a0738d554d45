"""PyTorch's `torch.library`, as far as ops written in Python go: `custom_op` and what is registered for one."""

from collections.abc import Callable
from typing import Any, NoReturn

from funcgrad.torch._custom_ops import OPS, REFUSED_LIBRARIES, custom_op, found_op, infer_schema
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.testing import assert_close as _assert_close

__all__ = [
    "Library",
    "custom_op",
    "infer_schema",
    "opcheck",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_vmap",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class Library:
    """Refused: it writes to PyTorch's dispatcher, which is not here."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> NoReturn:
        raise NotImplementedError(
            "torch.library.Library: there is no dispatcher here. torch.library.custom_op makes an op"
        )


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, _stacklevel: int = 1) -> Any:
    """`register_fake` of an op, given itself or by name; without a function: a decorator.

    Once a compiled library was refused, an op that is not here may be one of its ops: nothing is registered for it.
    """
    if REFUSED_LIBRARIES and isinstance(op, str) and op not in OPS:
        return (lambda made: made) if func is None else func
    of = found_op(op)
    return of.register_fake if func is None else of.register_fake(func)


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """`register_kernel` of an op, given itself or by name; without a function: a decorator."""
    return found_op(op).register_kernel(device_types, func)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """`register_autograd` of an op, given itself or by name."""
    found_op(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """`register_vmap` of an op, given itself or by name; without a function: a decorator."""
    return found_op(op).register_vmap(func)


_TESTS = ("test_schema", "test_autograd_registration", "test_faketensor")


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: Any = _TESTS,
    raise_exception: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
) -> dict[str, Any]:
    """Check an op on one set of arguments.

    Args:
        op: the op.
        args, kwargs: its arguments.
        test_utils: which checks: that only arguments change that may ("test_schema"), that it takes part in the graph
            ("test_autograd_registration"), that its results for tensors without elements look like the real ones
            ("test_faketensor").
        raise_exception: whether the first failure is raised.
        atol, rtol: of comparisons.

    Returns:
        "SUCCESS" or the error, by the name of the check.

    Raises:
        NotImplementedError: another check is asked for.
    """
    of, named = found_op(op), kwargs or {}
    checks = {"test_schema": _unchanged, "test_autograd_registration": _in_graph, "test_faketensor": _looks_alike}  # fmt: skip
    found: dict[str, Any] = {}
    for name in [test_utils] if isinstance(test_utils, str) else test_utils:
        if name not in checks:
            raise NotImplementedError(f"opcheck: {name} is not here; {', '.join(checks)} are")
        try:
            checks[name](of, args, named)
            found[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise
            found[name] = error
    return found


def _parts(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _unchanged(op: Any, args: Any, kwargs: Any) -> None:
    names = list(op._signature.parameters)
    before = [each.detach().clone() if hasattr(each, "detach") else each for each in args]
    op(*args, **kwargs)
    for name, old, new in zip(names, before, args, strict=False):
        if hasattr(new, "detach") and op._mutates != "unknown" and name not in op._mutates:
            _assert_close(new.detach(), old, rtol=0, atol=0, equal_nan=True, msg=f"{op}: {name} was changed in place, and mutates_args does not name it")  # fmt: skip


def _in_graph(op: Any, args: Any, kwargs: Any) -> None:
    wanted = any(getattr(each, "requires_grad", False) for each in args)
    floats = [each for each in _parts(op(*args, **kwargs)) if each is not None and each.dtype.is_floating_point]  # fmt: skip
    if wanted and floats and not any(each.requires_grad for each in floats):
        raise AssertionError(f"{op}: no result requires grad, although an argument does")


def _looks_alike(op: Any, args: Any, kwargs: Any) -> None:
    bare = [each.detach().to("meta") if hasattr(each, "detach") else each for each in args]
    for real, fake in zip(_parts(op(*args, **kwargs)), _parts(op(*bare, **kwargs)), strict=True):
        if real is None and fake is None:
            continue
        facts = [(each.shape, each.dtype, each.stride()) for each in (real, fake)]
        if facts[0] != facts[1]:
            raise AssertionError(f"{op}: the fake result has {facts[1]}, the real one {facts[0]}")
