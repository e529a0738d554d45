"""Gamma and Dirichlet draws: PyTorch's stream for shapes that are tensors.

The method is that of G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on
Mathematical Software 26 (2000), with constants in float32 as PyTorch has them.
"""

import math

import numpy as np

from funcgrad.torch._random.generator import Generator, default_generator

_THIRD, _SQUEEZE = np.float32(1) / np.float32(3), float(np.float32(0.0331))


def standard_gamma(shapes: np.ndarray, *, generator: Generator | None = None) -> np.ndarray:
    """`torch._standard_gamma`: a draw of rate one for each shape.

    Args:
      shapes: float32 or float64, positive.
      generator: None is `default_generator`.

    Returns:
      an array of the shape and dtype of `shapes`, with no element below the least normal number.
    """
    generator = generator or default_generator
    with generator.lock:
        drawn = [_drawn(shape, generator) for shape in shapes.reshape(-1)]
    made = np.array(drawn, np.float64).astype(shapes.dtype).reshape(shapes.shape)
    return np.maximum(made, np.finfo(shapes.dtype).tiny)


def dirichlet(concentrations: np.ndarray, *, generator: Generator | None = None) -> np.ndarray:
    """`torch._sample_dirichlet`: vectors of sum one along the last dimension; arguments as for `standard_gamma`."""
    generator = generator or default_generator
    with generator.lock:
        drawn = [_drawn(np.float64(each), generator) for each in concentrations.reshape(-1)]
    gammas = np.array(drawn, np.float64).reshape(concentrations.shape)
    shares = (gammas / gammas.sum(-1, keepdims=True)).astype(concentrations.dtype)
    info = np.finfo(concentrations.dtype)
    return np.clip(shares, info.tiny, 1 - info.epsneg)


def _drawn(shape: np.floating, generator: Generator) -> float:
    def uniform() -> float:
        return float(generator.double_uniforms(1)[0])

    scale = 1.0
    if shape < 1:
        if shape == 0:
            return 0.0
        scale = (1 - uniform()) ** float(shape.dtype.type(1) / shape)
        shape = shape + shape.dtype.type(1)
    d = float(shape - shape.dtype.type(_THIRD))
    c = 1 / math.sqrt(9 * d)
    while True:
        y = 0.0
        while y <= 0:
            x = float(generator.normals(1, 0.0, 1.0)[0])
            y = 1 + c * x
        v, u, xx = y * y * y, 1 - uniform(), x * x
        if u < 1 - _SQUEEZE * xx * xx or math.log(u) < 0.5 * xx + d * (1 - v + math.log(v)):
            return scale * d * v
