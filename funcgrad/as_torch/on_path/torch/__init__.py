"""`torch` in a process that a program on the shim has started: `funcgrad.torch`."""

import sys
from importlib import import_module

from funcgrad.as_torch import install_as_torch

if __name__ == "torch":
    del sys.modules["torch"]
    install_as_torch()
    import_module("torch")
