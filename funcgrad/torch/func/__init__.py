"""PyTorch's `torch.func`: transformations of functions, which nest at will.

Each is a level of the engine (`engine.levels`). At a level JAX transforms every op of the function: `jax.vjp`, `jax.jvp`
or `jax.vmap`. Outer graphs stay: results are differentiable with respect to outer tensors that require grad.
"""

from typing import Any as _Any

from funcgrad.torch._func.batching import vmap
from funcgrad.torch._func.debug import debug_unwrap
from funcgrad.torch._func.gradients import grad, grad_and_value, jacrev, vjp
from funcgrad.torch._func.modules import functional_call, functionalize, stack_module_state
from funcgrad.torch._func.tangents import hessian, jacfwd, jvp, linearize
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> _Any:
    raise _no_attribute(__name__, name)
