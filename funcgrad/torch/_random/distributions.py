"""PyTorch's random distributions in NumPy: arrays drawn from a generator's stream.

An array has the elements of PyTorch's CPU tensor, and the stream ends at the same position as
PyTorch's. Making tensors of the arrays is not done here.

Measured against PyTorch 2.13 on x86-64 with AVX2 or AVX-512: every function agrees bit for bit.
There are two exceptions. Without these (on ARM, for example) PyTorch computes normals by other
functions and rounds products separately from sums, so values differ in the last places (float32
normals by up to 3e-6). On Intel processors PyTorch may draw `bernoulli` with one probability, and
`exponential`, from MKL's own stream; here they always come from the generator's stream.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.torch._random.box_muller import box_muller, map_libm, multiply_add, of_polar
from funcgrad.torch._random.generator import BLOCK, Generator, default_generator
from funcgrad.torch._types.dtypes import (
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    kernel_name,
)
from funcgrad.torch._types.limits import finfo, iinfo

Shape = int | Sequence[int]

# A floating-point type holds every integer up to 2 to this power.
_DIGITS = {float16: 11, bfloat16: 8, float32: 24, float64: 53}


def _count(shape: Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _stored(values: np.ndarray, shape: Shape, dtype: dtype) -> np.ndarray:
    """The values as elements of `dtype`; as in PyTorch, half precision is rounded from float32."""
    if values.dtype == dtype.numpy_dtype:
        return values.reshape(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype in (float16, bfloat16):
            values = values.astype(np.float32)
        return values.astype(dtype.numpy_dtype).reshape(shape)


def _require_floating(dtype: dtype, kernel: str) -> None:
    if not dtype.is_floating_point:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.scalar_type}'")


def _parts_shape(shape: Shape) -> tuple[int, ...]:
    return (*((shape,) if isinstance(shape, int) else shape), 2)


def uniform(
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """`Tensor.uniform_(low, high)` and `torch.rand`: uniform in [low, high).

    Args:
      shape: of the result; an int is one dimension.
      low: the smallest value.
      high: above every value.
      dtype: floating point or complex (both parts are drawn); None is the default dtype.
      generator: None is `default_generator`.

    Raises:
      RuntimeError: the range is empty or too wide.
      NotImplementedError: an integer dtype.
    """
    dtype = dtype or get_default_dtype()
    if dtype.is_complex:
        parts = uniform(_parts_shape(shape), low, high, dtype=dtype.to_real(), generator=generator)
        return parts.view(dtype.numpy_dtype)[..., 0]
    _require_floating(dtype, "check_uniform_bounds")
    largest = finfo(dtype).max
    for name, bound in {"from": low, "to": high}.items():
        if not abs(bound) <= largest:
            raise RuntimeError(f"{name} is out of bounds for {kernel_name(dtype)}")
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{dtype.scalar_type}>::max(), but "
            f"found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )
    generator = generator or default_generator
    with generator.lock:
        draw = generator.double_uniforms if dtype is float64 else generator.uniforms
        values = draw(_count(shape))
    if (low, high) == (0.0, 1.0) and values.dtype == dtype.numpy_dtype:
        return values.reshape(shape)
    if (low, high) != (0.0, 1.0):
        start = values.dtype.type(low)
        values = multiply_add(values, values.dtype.type(high) - start, start)
    result = _stored(values, shape, dtype)
    # Rounding can reach `high`, which is not in the range; PyTorch then takes `low`.
    return np.where(result == result.dtype.type(high), result.dtype.type(low), result)


def normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
    one_by_one: bool = False,
) -> np.ndarray:
    """`Tensor.normal_(mean, std)` and `torch.randn`: normally distributed.

    Args:
      shape: of the result; an int is one dimension.
      mean: the mean; for a complex dtype, the mean of both parts.
      std: the standard deviation, not negative.
      dtype: floating point or complex (with total variance `std**2`); None is the default dtype.
      generator: None is `default_generator`.
      one_by_one: whether the numbers are drawn as for fewer than 16, as PyTorch does if the memory has gaps or another order.

    Raises:
      RuntimeError: a negative standard deviation.
      NotImplementedError: an integer dtype.
    """
    dtype = dtype or get_default_dtype()
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if dtype.is_complex:
        real = dtype.to_real()
        std = std / math.sqrt(2)
        parts = normal(
            _parts_shape(shape), mean, std, dtype=real, generator=generator, one_by_one=one_by_one
        )
        return parts.view(dtype.numpy_dtype)[..., 0]
    _require_floating(dtype, "normal_kernel_cpu")
    generator = generator or default_generator
    count = _count(shape)
    with generator.lock:
        if count < 16 or one_by_one:
            return _stored(generator.normals(count, mean, std), shape, dtype)
        whole = count - count % 16
        # Beyond half a block, a whole block's radii, sines and cosines take longer than the halves that are needed.
        few = count <= BLOCK // 2 and dtype is not float64
        draw = generator.polar if few else generator.uniforms
        if dtype is float64:
            draw = generator.double_uniforms
        # PyTorch draws for every element of a float32 or float64 result. If the last block of 16 is not
        # full, it draws the last 16 elements again. In half precision it draws for whole blocks only.
        drawn = draw(count if dtype in (float32, float64) else whole)[..., :whole]
        if count > whole:
            drawn = np.concatenate([drawn, draw(16)], axis=-1)
    made = of_polar(drawn, mean, std) if few else _normals(drawn, mean, std)
    values = made[:count]
    if count > whole:
        values[-16:] = made[-16:]
    return _stored(values, shape, dtype)


def _normals(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    # Pieces that stay in the cache are several times faster than whole arrays.
    pieces = [uniforms[start : start + 2**15] for start in range(0, uniforms.size, 2**15)]
    made = [box_muller(piece.reshape(-1, 16), mean, std).ravel() for piece in pieces]
    return made[0] if len(made) == 1 else np.concatenate(made)


def random(shape: Shape, *, dtype: dtype = int64, generator: Generator | None = None) -> np.ndarray:
    """`Tensor.random_()`: integers from 0 to the largest that `dtype` holds exactly.

    Args:
      shape: of the result; an int is one dimension.
      dtype: integer, bool or floating point.
      generator: None is `default_generator`.
    """
    largest = _largest(dtype)
    generator = generator or default_generator
    with generator.lock:
        draw = generator.double_words if dtype in (int64, float64) else generator.words
        words = draw(_count(shape))
    return _stored((words % np.uint64(largest + 1)).astype(np.int64), shape, dtype)


def _largest(dtype: dtype) -> int:
    if dtype in _DIGITS:
        return int(2 ** _DIGITS[dtype])
    return 1 if dtype is bool_ else int(np.iinfo(dtype.numpy_dtype).max)


def randint(
    shape: Shape,
    low: int,
    high: int | None,
    *,
    dtype: dtype = int64,
    generator: Generator | None = None,
) -> np.ndarray:
    """`torch.randint(low, high)` and `Tensor.random_(low, high)`: integers in [low, high).

    Args:
      shape: of the result; an int is one dimension.
      low: the smallest value.
      high: above every value; None is one more than the largest integer that `dtype` holds exactly.
      dtype: integer, bool or floating point. A floating-point dtype that cannot hold every integer
        of the range warns.
      generator: None is `default_generator`.

    Raises:
      RuntimeError: the range is empty, or `dtype` cannot hold it.
    """
    if dtype.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    generator = generator or default_generator
    if high is None and low == -(2**63):
        if dtype not in (int64, float64, float32, bfloat16):
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                "bfloat16"
            )
        with generator.lock:
            return _stored(generator.double_words(_count(shape)).view(np.int64), shape, dtype)
    if high is None:
        last = _largest(dtype)
    elif low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    else:
        low, last = _between_held(low, high, dtype)
    _check_held(low, last, dtype)
    span = last - low + 1
    with generator.lock:
        # Beyond 2**28 the remainders of 32-bit words would be visibly uneven.
        draw = generator.words if span < 2**28 else generator.double_words
        words = draw(_count(shape))
    values = words % np.uint64(span) + np.uint64(low % 2**64)
    return _stored(values.view(np.int64), shape, dtype)


def _between_held(low: int, high: int, dtype: dtype) -> tuple[int, int]:
    """First and last of [low, high); a bound moves inwards if a floating-point type rounds it outwards."""
    if not dtype.is_floating_point:
        return low, high - 1

    def rounded(value: int) -> int:
        exact = float(_stored(np.array(value), (), dtype))
        return int(exact) if math.isfinite(exact) else value

    def spacing(value: int) -> int:
        return int(2 ** (abs(value).bit_length() - _DIGITS[dtype]))

    first, end = low, high
    if rounded(low + 1) < low:
        first = rounded(low + 1) + spacing(low + 1)
    if rounded(high - 1) >= high:
        end = rounded(high - 1) - spacing(high - 1)
    if first >= end:
        raise RuntimeError(
            "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got "
            f"from={first} >= to={end}"
        )
    return first, end - 1


def _check_held(low: int, last: int, dtype: dtype) -> None:
    limits = finfo(dtype) if dtype.is_floating_point else None
    smallest = limits.min if limits else 0 if dtype is bool_ else iinfo(dtype).min
    largest = limits.max if limits else _largest(dtype)
    bounds = {"from": low, "to - 1": last}
    for name, value in bounds.items():
        if not smallest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {kernel_name(dtype)}")
    for name, value in bounds.items():
        if limits and abs(value) > 2 ** _DIGITS[dtype]:
            power = f"2^{_DIGITS[dtype]}"
            warnings.warn(
                f"{name} is out of bounds [-({power}), {power}]. Due to precision limitations "
                f"{kernel_name(dtype)} can support discrete uniform distribution only within this "
                "range.",
                stacklevel=4,
            )


def randperm(n: int, *, dtype: dtype = int64, generator: Generator | None = None) -> np.ndarray:
    """`torch.randperm(n)`: the numbers 0 to n - 1 in random order, shape (n,).

    Args:
      n: the count, below 2**32 / 20: beyond it PyTorch uses another algorithm.
      dtype: integer or floating point; bfloat16 rounds the numbers, as in PyTorch.
      generator: None is `default_generator`.

    Raises:
      RuntimeError: `n` is negative, or `dtype` cannot hold every number.
      NotImplementedError: a bool or complex dtype, or a larger `n`.
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if dtype.is_complex or dtype is bool_:
        raise NotImplementedError(f"\"randperm\" not implemented for '{dtype.scalar_type}'")
    if n > _largest(dtype) + 1 and dtype is not bfloat16:
        if not dtype.is_floating_point:
            raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
        limit = "2049" if dtype is float16 else f"2^{_DIGITS[dtype]}+1"
        raise RuntimeError(f"n cannot be greater than {limit} for {dtype.scalar_type} type.")
    if n >= (2**32 - 1) // 20:
        raise NotImplementedError(f"randperm of more than {(2**32 - 1) // 20} numbers")
    generator = generator or default_generator
    swaps = max(n - 1, 0)
    with generator.lock:
        words = generator.words(swaps)
    order = list(range(n))
    steps = (words % np.arange(n, n - swaps, -1, dtype=np.uint64)).tolist()
    for place, step in enumerate(steps):
        order[place], order[place + step] = order[place + step], order[place]
    return _stored(np.array(order, np.int64), n, dtype)


def bernoulli(
    shape: Shape,
    p: float | np.ndarray,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """`Tensor.bernoulli_(p)` and, with an array, `torch.bernoulli(p)`: 1 with probability `p`.

    Args:
      shape: of the result; an int is one dimension.
      p: one probability, or a floating-point array of probabilities that broadcasts to `shape`.
      dtype: integer, bool or floating point; None is the default dtype.
      generator: None is `default_generator`.

    Raises:
      RuntimeError: a probability is outside [0, 1].
      NotImplementedError: a complex dtype, or probabilities that are not floating point.
    """
    dtype = dtype or get_default_dtype()
    per_element = isinstance(p, np.ndarray)
    if dtype.is_complex:
        kernel = "bernoulli_tensor_cpu_self_" if per_element else "bernoulli_scalar_cpu_"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.scalar_type}'")
    single = False
    if isinstance(p, np.ndarray):
        _require_floating(from_numpy_dtype(p.dtype), "bernoulli_tensor_cpu_p_")
        single = p.dtype != np.float64
        p = np.broadcast_to(p.astype(np.float32 if single else np.float64), shape).ravel()
        if not np.all((p >= 0) & (p <= 1)):
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    elif not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    generator = generator or default_generator
    with generator.lock:
        draw = generator.uniforms if single else generator.double_uniforms
        values = draw(_count(shape))
    return _stored(values < p, shape, dtype)


def exponential(
    shape: Shape,
    rate: float = 1.0,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """`Tensor.exponential_(rate)`: exponentially distributed with mean `1 / rate`.

    Args:
      shape: of the result; an int is one dimension.
      rate: PyTorch's `lambd`, positive.
      dtype: floating point; None is the default dtype.
      generator: None is `default_generator`.

    Raises:
      RuntimeError: the rate is not positive, or the dtype is not floating point.
    """
    dtype = dtype or get_default_dtype()
    _require_continuous("Exponential", dtype, dtype.scalar_type)
    _require_positive("exponential_", "lambda", rate)
    return _transformed(lambda u: -1.0 / rate * math.log1p(-u), shape, dtype, generator)


def cauchy(
    shape: Shape,
    median: float = 0.0,
    sigma: float = 1.0,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """`Tensor.cauchy_(median, sigma)`; arguments and errors as for `exponential`."""
    dtype = dtype or get_default_dtype()
    _require_continuous("Cauchy", dtype, kernel_name(dtype))
    _require_positive("cauchy_", "sigma", sigma)
    return _transformed(
        lambda u: median + sigma * math.tan(math.pi * (u - 0.5)), shape, dtype, generator
    )


def geometric(
    shape: Shape, p: float, *, dtype: dtype | None = None, generator: Generator | None = None
) -> np.ndarray:
    """`Tensor.geometric_(p)`: trials up to the first success, for integer dtypes as well."""
    dtype = dtype or get_default_dtype()
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    scale = math.log1p(-p)
    # A uniform of exactly 0 has no logarithm; infinity stands for its result.
    return _transformed(
        lambda u: math.ceil(math.log(u) / scale) if u else math.inf, shape, dtype, generator
    )


def log_normal(
    shape: Shape,
    mean: float = 1.0,
    std: float = 2.0,
    *,
    dtype: dtype | None = None,
    generator: Generator | None = None,
) -> np.ndarray:
    """`Tensor.log_normal_(mean, std)`: the exponential of a normal with these parameters."""
    dtype = dtype or get_default_dtype()
    _require_floating(dtype, "log_normal_cpu")
    _require_positive("log_normal_", "std", std)
    generator = generator or default_generator
    with generator.lock:
        values = generator.normals(_count(shape), mean, std)
    return _stored(map_libm(_exp, values), shape, dtype)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _require_continuous(name: str, dtype: dtype, spelled: str) -> None:
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {spelled}"
        )


def _require_positive(function: str, parameter: str, value: float) -> None:
    if not value > 0:
        raise RuntimeError(f"{function} expects {parameter} > 0.0, but found {parameter}={value:g}")


def _transformed(
    function: Callable[[float], float], shape: Shape, dtype: dtype, generator: Generator | None
) -> np.ndarray:
    generator = generator or default_generator
    with generator.lock:
        uniforms = generator.double_uniforms(_count(shape))
    return _stored(map_libm(function, uniforms), shape, dtype)


def multinomial(
    weights: np.ndarray,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> np.ndarray:
    """`torch.multinomial`: indices drawn in proportion to weights.

    Args:
      weights: floating point, not negative, shape (categories,) or (rows, categories).
      num_samples: the number of indices for each row.
      replacement: whether an index may be drawn twice.
      generator: None is `default_generator`.

    Returns:
      int64 of shape (num_samples,) or (rows, num_samples).

    Raises:
      RuntimeError: PyTorch refuses a weight or the number of samples.
    """
    dtype = from_numpy_dtype(weights.dtype)
    if weights.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {dtype.scalar_type}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    generator = generator or default_generator
    by_race = not replacement or num_samples == 1
    valid = np.all((weights >= 0) & np.isfinite(weights))
    if not valid and by_race:
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not valid:
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.all(weights.sum(axis=-1) > 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if by_race:
        # The first arrivals of exponential clocks with these rates.
        with np.errstate(divide="ignore", invalid="ignore"):
            clocks = exponential(weights.shape, dtype=dtype, generator=generator)
            race = np.divide(weights, clocks)
        return np.argsort(-race, axis=-1, kind="stable")[..., :num_samples]
    wide = np.float64 if dtype is float64 else np.float32
    rows = np.cumsum(weights.reshape(-1, weights.shape[-1]), axis=-1, dtype=wide)
    rows = np.divide(rows, rows[:, -1:])
    rows[:, -1] = 1
    with generator.lock:
        uniforms = generator.double_uniforms(len(rows) * num_samples).reshape(len(rows), -1)
    found = [
        np.searchsorted(row.astype(np.float64), each)
        for row, each in zip(rows, uniforms, strict=True)
    ]
    return np.array(found, np.int64).reshape(*weights.shape[:-1], num_samples)


def poisson(rates: np.ndarray, *, generator: Generator | None = None) -> np.ndarray:
    """`torch.poisson`: numbers of events, drawn with these rates.

    Rates from 10 on are drawn by transformed rejection (W. Hörmann, "The transformed rejection method for generating Poisson
    random variables", Insurance: Mathematics and Economics 12, 1993), others by a product of uniform numbers.

    Args:
      rates: floating point, not negative.
      generator: None is `default_generator`.

    Returns:
      an array of the shape and dtype of `rates`.
    """
    generator = generator or default_generator
    with generator.lock:
        made = [_events(rate, generator) for rate in rates.astype(np.float64).reshape(-1).tolist()]
    return np.array(made, np.float64).reshape(rates.shape).astype(rates.dtype)


def _events(rate: float, generator: Generator) -> int:
    def uniform() -> float:
        return float(generator.double_uniforms(1)[0])

    if rate == 0:
        return 0
    if rate < 10:
        least, product, count = math.exp(-rate), uniform(), 0
        while product > least:
            product *= uniform()
            count += 1
        return count
    root = math.sqrt(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse, bound = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = uniform() - 0.5, uniform()
        distance = 0.5 - abs(u)
        count = math.floor((2 * a / distance + b) * u + rate + 0.43)
        if distance >= 0.07 and v <= bound:
            return count
        if count < 0 or (distance < 0.013 and v > distance):
            continue
        left = math.log(v) + math.log(inverse) - math.log(a / (distance * distance) + b)
        if left <= -rate + count * math.log(rate) - math.lgamma(count + 1):
            return count


def binomial(
    counts: np.ndarray, probs: np.ndarray, *, generator: Generator | None = None
) -> np.ndarray:
    """`torch.binomial`: numbers of successes in trials.

    An expected number from 10 on is drawn by transformed rejection (W. Hörmann, "The generation of binomial random variates",
    Journal of Statistical Computation and Simulation 46, 1993), others by the gaps between successes.

    Args:
      counts: numbers of trials, floating point, of the shape and dtype of `probs`.
      probs: the probabilities of a success.
      generator: None is `default_generator`.

    Returns:
      an array of the shape and dtype of `probs`.
    """
    generator = generator or default_generator
    pairs = zip(counts.reshape(-1), probs.reshape(-1), strict=True)
    with generator.lock:
        made = [_successes(count, prob, generator) for count, prob in pairs]
    return np.array(made, probs.dtype).reshape(probs.shape)


def _successes(count: np.floating, prob: np.floating, generator: Generator) -> float:
    if count <= 0 or prob <= 0:
        return 0
    if prob >= 1:
        return float(count)
    likely = prob > 0.5
    rare = prob.dtype.type(1 - prob) if likely else prob
    draw = _by_rejection if count * rare >= 10 else _by_gaps
    found = draw(count, rare, lambda: float(generator.double_uniforms(1)[0]))
    return float(count) - found if likely else found


def _by_gaps(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> int:
    passed, found, log_rest = 0.0, 0, float(np.log1p(-prob))
    while True:
        passed += math.ceil(math.log(uniform()) / log_rest)
        if passed > count:
            return found
        found += 1


def _by_rejection(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> int:
    root = math.sqrt(count * prob * (1 - prob))
    b = 1.15 + 2.53 * root
    a = -0.0873 + 0.0248 * b + 0.01 * float(prob)
    centre, bound = float(count * prob) + 0.5, 0.92 - 4.2 / b
    odds, alpha = float(prob / (1 - prob)), (2.83 + 5.1 / b) * root
    n, mode = float(count), math.floor((count + 1) * prob)
    while True:
        u, v = uniform() - 0.5, uniform()
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + centre)
        if not 0 <= k <= n:
            continue
        if distance >= 0.07 and v <= bound:
            return k
        left = math.log(v * alpha / (a / (distance * distance) + b))
        right = (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
        right += (n + 1) * math.log((n - mode + 1) / (n - k + 1))
        right += (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
        right += _stirling(mode) + _stirling(n - mode) - _stirling(k) - _stirling(n - k)
        if left <= right:
            return k


def _stirling(k: float) -> float:
    """The error of Stirling's formula for the logarithm of k!."""
    return math.lgamma(k + 1) - (
        (k + 0.5) * math.log(k + 1) - (k + 1) + 0.5 * math.log(2 * math.pi)
    )
