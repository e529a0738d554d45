"""Linear algebra on JAX's own `jax.numpy.linalg`: one file a factorization. `funcgrad.torch.linalg` gives the ops PyTorch's names."""

from funcgrad.torch._ops.linalg import (
    cholesky,
    determinants,
    eigenvalues,
    ldl,
    low_rank,
    lu,
    matrix_products,
    norms,
    qr,
    singular_values,
    solving,
)
