"""Parametrizations of weights: by length and direction, by the largest singular value, and orthogonal ones.

Behaviour: https://pytorch.org/docs/stable/nn.html#utilities
"""

from typing import Any

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules.module import Module
from funcgrad.torch.nn.utils import parametrize
from funcgrad.torch.nn.utils._norms import (
    TRANSPOSED,
    as_matrix,
    check_iterations,
    norm_except_dim,
    of_length,
)

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def __dir__() -> list[str]:
    return __all__


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return of_length(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> Any:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Let a weight be a direction times a length.

    Args:
        module: has the weight. It loads states of `torch.nn.utils.weight_norm` too.
        name: the weight's.
        dim: the dimension along which each part has a length of its own; None for one length.

    >>> import funcgrad.torch as torch
    >>> layer = weight_norm(torch.nn.Linear(2, 3))
    >>> [tuple(p.shape) for p in layer.parametrizations.weight.parameters()]
    [(3, 1), (3, 2)]
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state: dict[str, Any], prefix: str, *_: Any) -> None:
        old = [f"{prefix}{name}{end}" for end in ("_g", "_v")]
        if all(key in state for key in old):
            for k, key in enumerate(old):
                state[f"{prefix}parametrizations.{name}.original{k}"] = state.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    _u: Any
    _v: Any

    def __init__(
        self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        check_iterations(n_power_iterations)
        self.dim, self.eps = dim % ndim, eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                start = matrix.new_empty(size).normal_(0, 1)
                self.register_buffer(name, functional.normalize(start, dim=0, eps=eps))
            self._approach(matrix, 15)

    def _approach(self, matrix: Any, steps: int) -> None:
        """Take steps of power iteration, in the buffers' own memory."""
        with torch.no_grad():
            for _ in range(steps):
                u = torch.mv(matrix, self._v)
                self._u.copy_(functional.normalize(u, dim=0, eps=self.eps))
                v = torch.mv(matrix.mH, self._u)
                self._v.copy_(functional.normalize(v, dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return functional.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._approach(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value: Any) -> Any:
        return value


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its largest singular value.

    Args:
        module: has the weight.
        name: the weight's.
        n_power_iterations: how many steps of power iteration each use in training takes.
        eps: the least length that a vector is divided by.
        dim: the dimension of the outputs: 0 if None, and 1 for transposed convolutions.

    Raises:
        ValueError, IndexError: there is no such weight, or an option is out of range.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if isinstance(module, TRANSPOSED) else 0
    made = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, made)
    return module


# ------------------------------------------------------------------------------------------- orthogonal matrices

_MAPS = ("matrix_exp", "cayley", "householder")


def _is_orthogonal(matrix: Any) -> bool:
    n, k = matrix.shape[-2:]
    one = torch.eye(k, dtype=matrix.dtype)
    return torch.allclose(matrix.mH @ matrix, one, atol=10.0 * n * torch.finfo(matrix.dtype).eps)


def _reflections(matrix: Any) -> tuple[Any, Any]:
    """LAPACK's form of a QR factorization: R above the diagonal, Householder vectors below, and their factors."""
    packed, factors = np.linalg.qr(matrix.numpy(force=True), mode="raw")
    return torch.tensor(packed.swapaxes(-1, -2).copy()), torch.tensor(factors.copy())


def _made_orthogonal(matrix: Any) -> Any:
    """The Q of a QR factorization whose R has a positive diagonal."""
    packed, factors = _reflections(matrix)
    signs = packed.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    return torch.linalg.householder_product(packed, factors) * signs


class _Orthogonal(Module):
    base: Any

    def __init__(self, weight: Any, kind: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and kind == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.kind = weight.shape, kind
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        wide = X.size(-2) < X.size(-1)
        X = X.mT if wide else X
        n, k = X.shape[-2:]
        if self.kind == "householder":
            vectors = X.tril(diagonal=-1)
            factors = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
            made = torch.linalg.householder_product(vectors, factors)
            made = made * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                X = torch.cat([X, X.new_zeros(*X.shape[:-2], n, n - k)], dim=-1)
            skew = X - X.mH
            if self.kind == "matrix_exp":
                made = torch.matrix_exp(skew)
            else:
                one = torch.eye(n, dtype=X.dtype, device=X.device)
                made = torch.linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
            made = made[..., :k] if n != k else made
        if hasattr(self, "base"):
            made = self.base @ made
        return made.mT if wide else made

    def right_inverse(self, Q: Any) -> Any:
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        with torch.no_grad():
            wide = Q.size(-2) < Q.size(-1)
            tall = Q.mT if wide else Q
            n, k = tall.shape[-2:]
            if not hasattr(self, "base"):
                if self.kind != "householder":
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                        "use_trivialization=False."
                    )
                packed, factors = _reflections(tall)
                diagonal = packed.diagonal(dim1=-2, dim2=-1)
                diagonal.sign_()
                diagonal[factors == 0.0] *= -1
                return packed.mT if wide else packed
            if n == k:
                self.base = tall.clone() if _is_orthogonal(tall) else _made_orthogonal(tall)
            else:
                more = torch.randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype, device=tall.device)
                self.base = _made_orthogonal(torch.cat([tall, more], dim=-1))
            start = torch.zeros_like(Q)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """Keep a matrix orthogonal: its columns, or its rows if it has more columns than rows, are orthonormal.

    Args:
        module: has the matrix, or a batch of matrices.
        name: its name.
        orthogonal_map: "matrix_exp", "cayley" or "householder"; None chooses by shape and dtype.
        use_trivialization: whether the map starts at the matrix that is assigned, which is kept as a buffer.

    Raises:
        ValueError: there is no such matrix or map.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.dtype.is_complex else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
