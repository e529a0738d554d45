"""The ops: one declaration an op, one file for each kind of op. Importing this room publishes them all."""

from funcgrad.torch._ops import (
    along_a_dim,
    brackets,
    comparing,
    complex_numbers,
    conversions,
    creation,
    from_jax,
    grids,
    index_put,
    joining,
    legacy,
    linear_algebra,
    matmul,
    pointwise,
    powers,
    products,
    random_draws,
    random_fills,
    reductions,
    running,
    scattering,
    searching,
    selecting,
    settings,
    special_functions,
    statistics,
    ternary,
    views,
)

from funcgrad.torch._ops import aliases  # isort: skip
