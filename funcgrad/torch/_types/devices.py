"""`device`: PyTorch's name for the place of a tensor's elements, and the JAX device behind it."""

import re
import threading
from typing import Any

import jax

from funcgrad.engine.values import META

# PyTorch's device types and "tpu"; then the JAX platform of each (None is JAX's default). A type without
# a platform can be named but not used.
_DEVICE_TYPES = (
    *("cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga"),
    *("maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone", "tpu"),
)
PLATFORMS = {"cpu": "cpu", "cuda": "gpu", "hip": "gpu", "tpu": "tpu", "xla": None}
_DEVICE_STRING = re.compile(r"([a-zA-Z_]+)(?::(0|[1-9][0-9]*))?")


class _Blocks(threading.local):
    """The `with device(...)` blocks that a thread is in."""

    def __init__(self) -> None:
        self.entered: list[Any] = []


_blocks = _Blocks()


class _MetaBlock:
    """Makes `meta` the device of new tensors; JAX has no such device."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class _Default:
    """Whether new tensors have no elements outside of all blocks, in every thread."""

    is_meta = False


def set_default(where: "device | None") -> None:
    """Choose the device of new tensors outside of all blocks; JAX's own default if None.

    Raises:
        RuntimeError, AssertionError: JAX does not have it.
    """
    found = None if where is None else where.jax_device()
    _Default.is_meta = found is META
    jax.config.update("jax_default_device", None if found is META else found)


def is_meta(where: "device | str | int | None") -> bool:
    """Whether a new tensor has no elements: on this device, or on the default device if it is None."""
    if where is not None:
        return device(where).type == "meta"
    entered = _blocks.entered
    return isinstance(entered[-1], _MetaBlock) if entered else _Default.is_meta


class device:
    """Where a tensor lives, named as PyTorch names it.

    Examples are `device("cuda:1")`, `device("cuda", 1)`, `device("cpu")` and `device("tpu")`. "cuda"
    is JAX's GPU platform (ROCm included), and "xla" is JAX's default platform. Only `jax_device`
    checks that the machine has the device.

    Attributes:
      type: the kind of device, such as `"cuda"`.
      index: the number of the device among its kind; None for the current one.

    Raises:
      RuntimeError: the text does not name a device.

    >>> device("cuda:1"), str(device("cpu")), device("cuda", 0) == device("cuda")
    (device(type='cuda', index=1), 'cpu', False)

    Behaviour: https://pytorch.org/docs/stable/tensor_attributes.html#torch-device
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: "str | int | device", index: int | None = None) -> None:
        """Parse a device string, or take its two parts."""
        if isinstance(type, device) and index is None:
            kind, number = type.type, type.index
        elif isinstance(type, int) and not isinstance(type, bool) and index is None:
            kind, number = _accelerator_type(), type
        elif isinstance(type, str):
            kind, number = _parse_device(type)
            if index is not None:
                if isinstance(index, bool) or not isinstance(index, int):
                    raise TypeError(
                        "device(): argument 'index' (position 2) must be int, "
                        f"not {index.__class__.__name__}"
                    )
                if number is not None:
                    raise RuntimeError(
                        "type (string) must not include an index because index was passed "
                        f"explicitly: {type}"
                    )
                number = index
        else:
            raise TypeError(
                f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}"
            )
        if number is not None and number < 0:
            raise RuntimeError("Device index must not be negative")
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", number)

    @classmethod
    def from_jax(cls, jax_device: "jax.Device") -> "device":
        """The name of a JAX device; JAX's only CPU is `cpu`, without an index."""
        if jax_device is META:
            return cls("meta")
        names = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda", "rocm": "cuda", "tpu": "tpu"}
        platform = jax_device.platform
        kind = names.get(platform, "xla")
        position = jax_device.client.local_devices().index(jax_device)
        return cls(kind, None if kind == "cpu" and position == 0 else position)

    def jax_device(self) -> "jax.Device":
        """This process's JAX device of this name; the first one if `index` is None.

        Raises:
          RuntimeError: JAX does not have the platform here, or has too few devices of it.
          AssertionError: JAX has no GPU, in PyTorch's words.

        >>> device("cpu").jax_device().platform
        'cpu'
        """
        if self.type == "mps":
            raise RuntimeError("PyTorch is not linked with support for mps devices")
        if self.type == "xpu":
            raise AssertionError("Torch not compiled with XPU enabled")
        if self.type == "meta":
            return META
        if self.type not in PLATFORMS:
            raise RuntimeError(f"JAX has no platform for device type '{self.type}'")
        try:
            found = jax.local_devices(backend=PLATFORMS[self.type])
        except RuntimeError as error:
            if self.type == "cuda":
                raise AssertionError("Torch not compiled with CUDA enabled") from error
            raise RuntimeError(
                f"device '{self}' is not available: JAX's platform here is "
                f"'{jax.default_backend()}'"
            ) from error
        index = self.index or 0
        if index >= len(found):
            raise RuntimeError(f"device '{self}' is not available: JAX finds {len(found)} of them")
        return found[index]

    def __repr__(self) -> str:
        """PyTorch's spelling, such as `device(type='cuda', index=1)`."""
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        """The device string, such as `cuda:1`."""
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        """Same type and same index; `cuda` is not `cuda:0`."""
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash((self.type, self.index))

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Refuse: a device is a value."""
        raise AttributeError(f"attribute {attribute!r} of 'torch.device' objects is not writable")

    def __enter__(self) -> "device":
        """Make this the device of new tensors in this thread, until the block ends."""
        block: Any = _MetaBlock() if self.type == "meta" else jax.default_device(self.jax_device())
        block.__enter__()
        _blocks.entered.append(block)
        return self

    def __exit__(self, *error: Any) -> None:
        """Go back to the device before."""
        _blocks.entered.pop().__exit__(*error)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by its parts."""
        return device, (self.type,) if self.index is None else (self.type, self.index)


def _parse_device(text: str) -> tuple[str, int | None]:
    if not text:
        raise RuntimeError("Device string must not be empty")
    match = _DEVICE_STRING.fullmatch(text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    kind, index = match.groups()
    if kind not in _DEVICE_TYPES:
        raise RuntimeError(
            f"Expected one of {', '.join(_DEVICE_TYPES)} device type at start of device string: "
            f"{kind}"
        )
    return kind, None if index is None else int(index)


def _accelerator_type() -> str:
    kind = {"gpu": "cuda", "tpu": "tpu"}.get(jax.default_backend())
    if kind is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    return kind
