"""PyTorch's CPU generator in NumPy: seeding, state, and the words and numbers of its stream.

The distributions, which turn words into random numbers, are in `distributions`.
"""

import math
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad.torch._random.box_muller import multiply_add, polar
from funcgrad.torch._types import devices

# PyTorch's seed for a new generator.
_DEFAULT_SEED = 67280421310721

# The C struct whose bytes `torch.Generator.get_state` returns; the gaps are fields out of use.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key", "normal", "has_normal"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", (624,)), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class _Refusal(threading.local):
    """The reason why this thread must not draw random numbers now; empty if it may."""

    reason = ""


refusal = _Refusal()


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """Refuse to draw random numbers inside a `with` block, with this reason as the error."""
    before, refusal.reason = refusal.reason, reason
    try:
        yield
    finally:
        refusal.reason = before


def check_may_draw() -> None:
    """Check that this thread may draw random numbers now.

    Raises:
        RuntimeError: it is inside `refused`.
    """
    if refusal.reason:
        raise RuntimeError(refusal.reason)


# mt19937 makes so many words at a time.
BLOCK = 624


class _Stream:
    """A position among the words of mt19937, which come in blocks.

    Attributes:
        seed: the seed.
        spare: the second of a pair of normal numbers, until it is drawn.
        left: how many words of the block are not drawn yet.
    """

    __slots__ = ("_bits", "_block", "_polar", "_seeder", "left", "seed", "spare")

    def __init__(self) -> None:
        # The old RandomState seeds mt19937 as PyTorch does; only its words are used.
        self._bits = np.random.MT19937(0)
        self._seeder = np.random.RandomState(self._bits)
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Go to the first word of a seed."""
        self.seed, self.left = seed, 0
        self.spare: float | None = None
        self._seeder.seed(seed % 2**32)

    @property
    def key(self) -> np.ndarray:
        """The state of mt19937 that the block was made from."""
        return self._bits.state["state"]["key"]

    def go_to(self, key: np.ndarray, position: int) -> None:
        """Go to a word of the block that is made from `key`."""
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": position},
        }
        self._next_block(BLOCK - position)

    def _next_block(self, count: int = BLOCK) -> None:
        self._block: np.ndarray = self._bits.random_raw(count)
        self._block.flags.writeable = False
        self._polar: np.ndarray | None = None
        self.left = count

    def _pieces(self, count: int) -> Iterator[slice]:
        """The places of the next words, each in the block that is there when it is asked for."""
        while count:
            if not self.left:
                self._next_block()
            start = len(self._block) - self.left
            taken = min(count, self.left)
            self.left -= taken
            count -= taken
            yield slice(start, start + taken)

    def words(self, count: int) -> np.ndarray:
        """The next words, not to be changed."""
        rest = min(count, self.left)
        whole = (count - rest) // BLOCK * BLOCK
        parts = [self._block[piece] for piece in self._pieces(rest)]
        if whole:
            parts.append(self._bits.random_raw(whole))
        parts += [self._block[piece] for piece in self._pieces(count - rest - whole)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint64), *parts])

    def polar(self, count: int) -> np.ndarray:
        """See `Generator.polar`."""
        parts = []
        for piece in self._pieces(count):
            if self._polar is None:
                self._polar = polar(_uniforms(self._block))
            parts.append(self._polar[:, piece])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _uniforms(words: np.ndarray) -> np.ndarray:
    return (words & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


class _Threads(threading.local):
    """The stream that a thread draws from in place of the default generator's own."""

    stream: _Stream | None = None


class Generator:
    """The stream of random words that PyTorch's CPU generator gives for the same seed.

    Every device gets the CPU's numbers, so that results do not depend on the device.

    >>> generator = Generator().manual_seed(0)
    >>> generator.uniforms(2)
    array([0.4962566, 0.7682218], dtype=float32)

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Generator.html
    """

    # Positions as tensors, which `_ops.random_draws` adds.
    get_state: Callable[[], Any]
    set_state: Callable[[Any], "Generator"]
    # The default generator's: a thread can have a stream for itself.
    _threads: _Threads | None = None

    def __init__(self, device: str | devices.device = "cpu") -> None:
        """Make a generator with PyTorch's fixed first seed."""
        self.device = devices.device(device)
        # Each sampling function holds this lock, because its words must be consecutive.
        self.lock = threading.RLock()
        self._own = _Stream()
        self.manual_seed(_DEFAULT_SEED)

    @property
    def _stream(self) -> _Stream:
        return (self._threads and self._threads.stream) or self._own

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream of `seed`, from -2**63 to 2**64 - 1. Only its low 32 bits choose the stream.

        Raises:
          RuntimeError: the seed is not an integer.
          ValueError: the seed is out of range.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        with self.lock:
            self._stream.begin(int(seed) % 2**64)
        return self

    def seed(self) -> int:
        """Start from an unpredictable seed, and return it."""
        seed = secrets.randbits(53)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that started the stream."""
        return self._stream.seed

    def position(self) -> np.ndarray:
        """The stream's position as bytes, uint8 of shape (5056,), in PyTorch's own format."""
        with self.lock:
            stream = self._stream
            key, position = stream.key, BLOCK - stream.left
            record = np.zeros((), _STATE)
            # After seeding, PyTorch sets the position to 0 and NumPy to 624. Drawing changes the key.
            fresh = position == BLOCK and int(key[0]) == stream.seed % 2**32
            record["seed"] = stream.seed
            record["left"] = 625 - position
            record["seeded"] = 1
            record["next"] = 0 if fresh else position
            record["key"] = key
            record["normal"] = stream.spare or 0.0
            record["has_normal"] = stream.spare is not None
        return np.frombuffer(record.tobytes(), np.uint8).copy()

    def go_to(self, state: np.ndarray) -> None:
        """Go to a position, of this stream or of PyTorch's.

        Raises:
          TypeError: `state` is not an array of uint8.
          RuntimeError: the bytes are not a state.
        """
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE.itemsize} but found the input "
                f"RNG state size to be {state.size}"
            )
        record = np.frombuffer(state.tobytes(), _STATE)[0]
        left, position = int(record["left"]), int(record["next"])
        if not (record["seeded"] == 1 and 0 < left <= 624 and position <= 624):
            raise RuntimeError("Invalid mt19937 state")
        with self.lock:
            key = record["key"].astype(np.uint32)
            stream = self._stream
            stream.go_to(key, BLOCK if left == 1 else position)
            stream.seed = int(record["seed"])
            stream.spare = float(record["normal"]) if record["has_normal"] else None

    def clone_state(self) -> "Generator":
        """A second generator at the same position."""
        clone = Generator(self.device)
        clone.go_to(self.position())
        return clone

    def __copy__(self) -> "Generator":
        """A second generator at the same position: two generators never share a stream."""
        return self.clone_state()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Generator":
        """A second generator at the same position."""
        return self.clone_state()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the position."""
        return _restore, (self.device, self.position())

    def _raw(self, count: int) -> np.ndarray:
        check_may_draw()
        return self._stream.words(count)

    def words(self, count: int) -> np.ndarray:
        """The next `count` 32-bit words, as uint64."""
        return self._raw(count)

    def double_words(self, count: int) -> np.ndarray:
        """The next `count` 64-bit words; each is made of two 32-bit words, the high one first."""
        words = self._raw(2 * count)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def uniforms(self, count: int) -> np.ndarray:
        """Float32 numbers in [0, 1), each from 24 bits of one word."""
        return _uniforms(self.words(count))

    def polar(self, count: int) -> np.ndarray:
        """The radii, sines and cosines that the next `count` words stand for in float32 normals, as three rows.

        They are computed for a whole block of words, since NumPy takes as long for a few.
        """
        check_may_draw()
        return self._stream.polar(count)

    def double_uniforms(self, count: int) -> np.ndarray:
        """Float64 numbers in [0, 1), each from 53 bits of two words."""
        return (self.double_words(count) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53

    def normals(self, count: int, mean: float, std: float) -> np.ndarray:
        """Float64 normals, drawn in pairs; a spare one waits for the next call."""
        stream = self._stream
        values = [] if stream.spare is None else [stream.spare]
        pairs = (count - len(values) + 1) // 2
        uniforms = self.double_uniforms(2 * pairs).tolist()
        for angle, tail in zip(uniforms[0::2], uniforms[1::2], strict=True):
            radius = math.sqrt(-2.0 * math.log1p(-tail))
            theta = 2.0 * math.pi * angle
            values += [radius * math.cos(theta), radius * math.sin(theta)]
        stream.spare = values.pop() if len(values) > count else None
        return multiply_add(np.array(values, np.float64), std, mean)


def _restore(device: devices.device, state: np.ndarray) -> Generator:
    generator = Generator(device)
    generator.go_to(state)
    return generator


_threads = _Threads()


def leave_default_stream() -> None:
    """Give this thread a stream of its own, as a process has one."""
    _threads.stream = _Stream()


@contextmanager
def apart() -> Iterator[None]:
    """Inside a `with` block, draw from the default generator's stream without moving it."""
    before, _threads.stream = _threads.stream, _Stream()
    try:
        yield
    finally:
        _threads.stream = before


default_generator = Generator()
default_generator._threads = _threads
default_generator.seed()
