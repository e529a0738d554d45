"""Whether JAX computes on the CPU. Where nothing else can be there, JAX is not asked: its answer takes 30 ms in a new process."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
from jax._src import xla_bridge


def on_cpu() -> bool:
    """Whether JAX's default device is the CPU."""
    if xla_bridge.backends_are_initialized() or _chosen() or others_possible():
        return jax.default_backend() == "cpu"
    return True


def _chosen() -> bool:
    """Whether somebody chose a platform that may be another."""
    config: Any = jax.config
    return bool({config.jax_platforms, config.read("jax_platform_name")} - {None, "", "cpu"})


@cache
def others_possible() -> bool:
    """Whether there may be another device than the CPU: a plugin of JAX's is installed, or a TPU or its library is there."""
    named = ("TPU_LIBRARY_PATH", "PJRT_NAMES_AND_LIBRARY_PATHS")  # these tell JAX of one
    return (
        any(each in os.environ for each in named)
        or any(find_spec(each) is not None for each in ("jax_plugins", "libtpu"))
        or any(Path(each, "libtpu.so").exists() for each in ("/lib", "/usr/lib", "/usr/local/lib"))
        or any(Path("/dev").glob("accel*"))
        or any(b"jax_plugins" in each for each in _entry_points())
    )


def _entry_points() -> Iterator[bytes]:
    """The entry points of installed packages. `importlib.metadata` takes ten times as long to read them."""
    for folder in dict.fromkeys(sys.path):
        try:
            with os.scandir(folder or ".") as found:
                packages = [
                    each.path for each in found if each.name.endswith((".dist-info", ".egg-info"))
                ]
        except OSError:
            continue
        for package in packages:
            try:
                with open(f"{package}/entry_points.txt", "rb") as file:
                    yield file.read()
            except OSError:  # most have none
                continue
