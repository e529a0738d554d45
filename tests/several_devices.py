"""Programs that need several devices, in a process of their own: JAX counts its devices once, at its start."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def output_with(devices: int, *arguments: str | Path) -> str:
    """The output of Python with these arguments, where a CPU is so many devices; fails if it fails."""
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
