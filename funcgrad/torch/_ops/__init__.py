"""The ops: one declaration an op, one file for each kind of op. Importing this room publishes them all."""

from funcgrad.torch._ops import (
    along_a_dim,
    brackets,
    conversions,
    creation,
    from_jax,
    index_put,
    joining,
    legacy,
    linear_algebra,
    matmul,
    pointwise,
    powers,
    products,
    random_fills,
    reductions,
    selecting,
    special_functions,
    ternary,
    views,
)
