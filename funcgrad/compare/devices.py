"""Names of devices, the same for JAX and for PyTorch."""

from contextlib import AbstractContextManager

import jax

from funcgrad.compare.errors import OptionError

PLATFORMS = {"cpu": "cpu", "gpu": "cuda"}
"""JAX's name of a platform, and PyTorch's."""


def devices() -> dict[str, jax.Device]:
    """Return the devices of this process by name, the default one first.

    >>> from funcgrad.compare.devices import devices
    >>> "cpu" in devices()
    True
    """
    found = list(jax.local_devices())
    for platform in PLATFORMS:
        try:
            found += [at for at in jax.local_devices(backend=platform) if at not in found]
        except RuntimeError:  # this is how JAX says that there is no such platform
            continue
    first: dict[str, jax.Device] = {}
    for device in found:
        first.setdefault(device.platform, device)
    return first | {f"{at.platform}:{at.local_hardware_id}": at for at in found}


def find_device(name: str | None) -> jax.Device:
    """Return the device called `cpu`, `gpu`, `tpu`, `gpu:1` and so on; `cuda` means `gpu`.

    Args:
        name: its name, or None for JAX's default device.

    Raises:
        OptionError: there is no such device.

    >>> from funcgrad.compare.devices import find_device
    >>> find_device("cpu")
    CpuDevice(id=0)
    """
    known = devices()
    if name is None:
        return next(iter(known.values()))
    wanted = name.lower().replace("cuda", "gpu")
    if wanted not in known:
        raise OptionError(f"there is no device {name!r} here; there are: {', '.join(known)}")
    return known[wanted]


def pytorch_name(device: jax.Device) -> str | None:
    """Return PyTorch's name of a device, or None where PyTorch has none of that kind."""
    platform = PLATFORMS.get(device.platform)
    if platform == "cuda":
        return f"cuda:{device.local_hardware_id}"
    return platform


def on_host() -> AbstractContextManager[object]:
    """A block whose computations run on the CPU, if there is one: the checks of a comparison."""
    return jax.default_device(devices().get("cpu"))
