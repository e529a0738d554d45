"""Attention whose scores and mask are functions of the user's: `flex_attention`, `create_block_mask`.

A function of one score is mapped over all of them by `vmap`, and derivatives are those of the ops that it calls. PyTorch's block
masks tell a GPU's kernel which blocks to leave out. Here they hold the same numbers, and all scores are computed.
"""

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypedDict

from funcgrad.torch import func
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import bool_, float32, float64, int32
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch._types.size import Size
from funcgrad.torch._types.warning import warn

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


_Mod = Callable[..., Any]
_DEFAULT_SPARSE_BLOCK_SIZE = 128
_WHOLE = 1 << 30  # the block of a mask that leaves nothing out


class FlexKernelOptions(TypedDict, total=False):
    """Options of PyTorch's kernels on GPUs; they change nothing here."""


class AuxRequest(NamedTuple):
    """Which results to return besides the attention: the scores' logsumexp, and their maxima."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The results that an `AuxRequest` asked for; else None."""

    lse: Any = None
    max_scores: Any = None


# ------------------------------------------------------------------------------------------- functions of a score


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """The mask that leaves nothing out."""
    return FUNCTIONS["ones"]((), dtype=bool_, device=batch.device)


def or_masks(*mask_mods: _Mod) -> _Mod:
    """The function of a mask that holds where one of several does.

    Raises:
        RuntimeError: one of them is no function.
    """
    return _joined(mask_mods, "or_mask", any_of=True)


def and_masks(*mask_mods: _Mod) -> _Mod:
    """The function of a mask that holds where all of several do.

    Raises:
        RuntimeError: one of them is no function.
    """
    return _joined(mask_mods, "and_mask", any_of=False)


def _joined(mods: tuple[_Mod, ...], name: str, any_of: bool) -> _Mod:
    if not all(map(callable, mods)):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")

    def mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        found = FUNCTIONS["zeros" if any_of else "ones"]((), dtype=bool_, device=b.device)
        for mod in mods:
            one = mod(b, h, q_idx, kv_idx)
            found = found | one if any_of else found & one
        return found

    mask.__name__ = name
    return mask


def _of_sliced_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> NoReturn:
    raise RuntimeError(
        "Cannot use mask_mod from a sliced BlockMask. When you slice a BlockMask using [], the mask_mod attribute is reset. "
        "You must set it from the original BlockMask's mask_mod."
        "\n\nIncorrect usage:"
        "\n  base_mask = create_block_mask(my_mask_fn, ...)"
        "\n  sliced_mask = base_mask[:, :, block_idx]"
        "\n  sliced_mask.mask_mod = apply_offset(sliced_mask.mask_mod, offset)  # WRONG!"
        "\n\nCorrect usage:"
        "\n  base_mask = create_block_mask(my_mask_fn, ...)"
        "\n  sliced_mask = base_mask[:, :, block_idx]"
        "\n  sliced_mask.mask_mod = apply_offset(base_mask.mask_mod, offset)  # Use base_mask!"
    )


def _takes_score(mod: _Mod) -> bool:
    """Whether a function takes a score and four places, not places alone.

    Raises:
        AssertionError: it takes another number of arguments.
    """
    given = inspect.signature(mod).parameters.values()
    count = sum(each.default is each.empty for each in given)
    if count not in (4, 5):
        raise AssertionError(f"Expected 4 or 5 positional args, got {count}")
    return count == 5


def _mapped(mod: _Mod, size: tuple[int, ...], device: Any, *scores: Any) -> Any:
    """The results of a function for each batch, head, query and key."""
    ranges = [FUNCTIONS["arange"](length, device=device) for length in size]
    places = FUNCTIONS["meshgrid"](*ranges, indexing="ij")
    flat = [each.reshape(-1) for each in (*scores, *places)]
    return func.vmap(mod)(*flat).reshape(size)


# ------------------------------------------------------------------------------------------- masks of blocks

_TENSORS = (
    "kv_num_blocks",
    "kv_indices",
    "full_kv_num_blocks",
    "full_kv_indices",
    "q_num_blocks",
    "q_indices",
    "full_q_num_blocks",
    "full_q_indices",
)


def _in_order(blocks: Any) -> tuple[Any, Any]:
    """How many blocks of each row are wanted, and all blocks of the row, the wanted ones first."""
    blocks = blocks.to(int32)
    order = FUNCTIONS["argsort"](blocks, dim=-1, descending=True, stable=True)
    return blocks.sum(-1).to(int32), order.to(int32)


def _as_matrix(counts: Any, indices: Any) -> Any:
    """Which blocks are wanted, as zeros and ones; the reverse of `_in_order`."""
    columns = indices.shape[-1]
    wanted = FUNCTIONS["arange"](columns, device=indices.device) < counts.unsqueeze(-1)
    zeros = FUNCTIONS["zeros"](indices.shape, dtype=int32, device=indices.device)
    return zeros.scatter(-1, indices.long(), wanted.to(int32))


def _cropped(counts: Any, indices: Any, rows: int, columns: int) -> tuple[Any, Any]:
    indices = indices[:, :, :rows, :columns]
    counts = counts[:, :, :rows].clamp(max=columns)
    return (indices < counts.unsqueeze(-1)).sum(-1).to(int32), indices


class BlockMask:
    """A mask of attention by blocks: which blocks of keys each block of queries needs, in part or in full.

    Make one with `create_block_mask`. Behaviour: https://docs.pytorch.org/docs/stable/nn.attention.flex_attention.html

    Attributes:
        seq_lengths: how many queries and keys there are.
        kv_num_blocks, kv_indices: of each block of queries, how many blocks of keys it needs in part, and which come first.
        full_kv_num_blocks, full_kv_indices: the same for blocks needed in full, or None.
        q_num_blocks, q_indices, full_q_num_blocks, full_q_indices: the same by blocks of keys.
        BLOCK_SIZE: how many queries and keys are in a block.
        mask_mod: the function of one place that says whether it is needed.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any,
        full_kv_indices: Any,
        q_num_blocks: Any,
        q_indices: Any,
        full_q_num_blocks: Any,
        full_q_indices: Any,
        BLOCK_SIZE: tuple[int, int] = (_DEFAULT_SPARSE_BLOCK_SIZE, _DEFAULT_SPARSE_BLOCK_SIZE),
        mask_mod: _Mod = noop_mask,
    ) -> None:
        _check_blocks(kv_indices, full_kv_num_blocks, full_kv_indices)
        if (full_q_num_blocks is None) != (full_q_indices is None):
            raise AssertionError(
                "full_q_num_blocks and full_q_indices must be both provided or omitted"
            )
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: _Mod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> "BlockMask":
        """A mask of the blocks of keys that each block of queries needs; see the attributes.

        Raises:
            RuntimeError: `kv_indices` has fewer than two dimensions.
            AssertionError: one of the arguments for full blocks is missing.
        """
        _check_blocks(kv_indices, full_kv_num_blocks, full_kv_indices)
        pairs = ((kv_num_blocks, kv_indices), (full_kv_num_blocks, full_kv_indices))
        turned: list[Any] = []
        for counts, indices in pairs:
            known = compute_q_blocks and counts is not None
            turned += _in_order(_as_matrix(counts, indices).mT) if known else (None, None)
        if isinstance(BLOCK_SIZE, int):
            BLOCK_SIZE = (BLOCK_SIZE, BLOCK_SIZE)
        if seq_lengths is None:
            rows, columns = kv_indices.shape[-2:]
            seq_lengths = (rows * BLOCK_SIZE[0], columns * BLOCK_SIZE[1])
        parts: Any = (seq_lengths, *pairs[0], *pairs[1], *turned, BLOCK_SIZE, mask_mod or noop_mask)
        return cls(*parts)

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """All attributes, as PyTorch's kernels take them.

        Args:
            flatten: whether lengths and block sizes are numbers, not pairs.
        """
        tensors = [getattr(self, name) for name in _TENSORS]
        pairs: Any = (self.seq_lengths, self.BLOCK_SIZE)
        lengths, block = pairs if flatten else ((each,) for each in pairs)
        return (*lengths, *tensors, None, None, None, None, *block, self.mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of batches, heads, queries and keys."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of places."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """The percentage of places in blocks that are not needed."""
        needed = sum(each.sum().item() for each in (self.kv_num_blocks, self.full_kv_num_blocks) if each is not None)  # fmt: skip
        return 100 * (1 - needed * math.prod(self.BLOCK_SIZE) / self.numel())

    def to_dense(self) -> Any:
        """Which blocks are needed, as zeros and ones."""
        found = _as_matrix(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is None:
            return found
        return found | _as_matrix(self.full_kv_num_blocks, self.full_kv_indices)

    def to(self, device: Any) -> "BlockMask":
        """The same mask on a device."""
        moved: Any = [getattr(self, name) for name in _TENSORS]
        moved = [None if each is None else each.to(device) for each in moved]
        parts: Any = (self.seq_lengths, *moved, self.BLOCK_SIZE, self.mask_mod)
        return BlockMask(*parts)

    def __getitem__(self, index: Any) -> "BlockMask":
        """The mask of some batches, heads and blocks of queries; its `mask_mod` has to be set anew."""
        given = index if isinstance(index, tuple) else (index,)
        given = (*given, slice(None), slice(None), slice(None))[:3]
        chosen = tuple(
            slice(i % n, i % n + 1) if isinstance(i, int) and -n <= i < n else i
            for i, n in zip(given, self.kv_num_blocks.shape[:3], strict=True)
        )
        parts = [getattr(self, name) for name in _TENSORS[:4]]
        parts = [None if each is None else each[chosen] for each in parts]
        turn = self.q_indices is not None
        return _of_parts(parts, self.BLOCK_SIZE, _of_sliced_mask, self.seq_lengths, turn)

    def _adjust(self, new_q_len: int, new_kv_len: int) -> "BlockMask":
        """The upper left corner of the mask, for fewer queries and keys."""
        size = [-(-new // each) for new, each in zip((new_q_len, new_kv_len), self.BLOCK_SIZE, strict=True)]  # fmt: skip
        parts = [*_cropped(self.kv_num_blocks, self.kv_indices, *size), None, None]
        if self.full_kv_num_blocks is not None:
            parts[2:] = _cropped(self.full_kv_num_blocks, self.full_kv_indices, *size)
        turn = self.q_indices is not None
        lengths = (new_q_len, new_kv_len)
        return _of_parts(parts, self.BLOCK_SIZE, self.mask_mod, lengths, turn)

    def __repr__(self) -> str:
        """Shapes, sizes, and how much is left out."""
        shapes = [(name, getattr(self, name)) for name in _TENSORS]
        told = [f"{name}={None if each is None else each.shape}" for name, each in shapes]
        told += [f"BLOCK_SIZE={self.BLOCK_SIZE}", f"shape={self.shape}", f"sparsity={self.sparsity():.2f}%"]  # fmt: skip
        told += [f"mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}"]
        return "BlockMask(\n    " + ",\n    ".join(told) + "\n)"

    def __str__(self) -> str:
        """A picture of the blocks."""
        start = f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
        return f"{start}{self.to_string().strip()}\n)"

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """A picture of the blocks: full where they are needed, empty where they are not, grey where it differs.

        Args:
            grid_size: how many signs there are at most in a column and in a row.
            limit: how many batches and heads are shown.
        """
        dense = self.to_dense().numpy()
        grid = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        rows, columns = (max(1, -(-n // most)) for n, most in zip(dense.shape[-2:], grid, strict=True))  # fmt: skip
        shown = []
        for count, place in enumerate(itertools.product(*map(range, dense.shape[:-2]))):
            if count == limit:
                shown += ["...", "To print out more, set BlockMask.to_string(limit=N)"]
                shown += ["You can also index (BlockMask[batch, head]) to choose a specific batch or head"]  # fmt: skip
                break
            text, part = f"{place}\n", dense[place]
            for r in range(0, part.shape[0], rows):
                for c in range(0, part.shape[1], columns):
                    mean = part[r : r + rows, c : c + columns].mean()
                    text += {0: " ", 1: "█"}.get(mean, "░") * 2
                text += "\n"
            shown.append(text)
        return "\n".join(shown)


def _of_parts(parts: Any, *more: Any) -> BlockMask:
    """The mask of counts and indices in part and in full."""
    return BlockMask.from_kv_blocks(*parts, *more)


def _check_blocks(kv_indices: Any, full_counts: Any, full_indices: Any) -> None:
    if kv_indices.dim() < 2:
        raise RuntimeError("BlockMask must have at least 2 dimensions")
    if (full_counts is None) != (full_indices is None):
        raise AssertionError(
            "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
        )


def create_mask(
    mod_fn: _Mod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Any:
    """The mask of a function, element by element: of shape (batches, heads, queries, keys).

    Args:
        mod_fn: takes the numbers of batch, head, query and key, and says whether the query may attend to the key. Or it takes
            a score before these, and makes it minus infinity where it may not.
        B, H: the number of batches and heads; one if None.
        Q_LEN, KV_LEN: the number of queries and keys.
        device: the mask's device.

    >>> create_mask(lambda b, h, q, kv: q >= kv, 1, 1, 2, 3)
    tensor([[[[ True, False, False],
              [ True,  True, False]]]])
    """
    size = (B or 1, H or 1, Q_LEN, KV_LEN)
    if not _takes_score(mod_fn):
        return _mapped(mod_fn, size, device)
    zeros = FUNCTIONS["zeros"](size, device=device)
    return _mapped(mod_fn, size, device, zeros) != -math.inf


def create_block_mask(
    mask_mod: _Mod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
) -> BlockMask:
    """The mask of a function, by blocks.

    Args:
        mask_mod, B, H, Q_LEN, KV_LEN, device: as in `create_mask`, without a score.
        BLOCK_SIZE: how many queries and keys are in a block.
        _compile: accepted, with PyTorch's warning.
        separate_full_blocks: whether blocks that are needed in full are listed apart.
        compute_dq_write_order: refused: it is for a kernel of GPUs.
        dq_kv_order: for `compute_dq_write_order`.

    Raises:
        AssertionError: the function takes a score.
        NotImplementedError: `compute_dq_write_order` is asked for.

    >>> create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 256, 256).sparsity()
    25.0
    """
    if _takes_score(mask_mod):
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    if compute_dq_write_order:
        raise NotImplementedError("compute_dq_write_order is for a kernel of GPUs. Leave it out")
    if _compile:
        warn(
            "_compile flag on create_block_mask was originally added to work around a torch.compile limitation. That limitation "
            "has since been addressed. So, to compile create_block_mask, we suggest doing torch.compile(create_block_mask). "
            "This still works for now, but will be removed in the future.",
            DeprecationWarning,
        )
    block = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    rows, columns = (-(-n // each) for n, each in zip((Q_LEN, KV_LEN), block, strict=True))
    padding = (0, columns * block[1] - KV_LEN, 0, rows * block[0] - Q_LEN)
    mask = FUNCTIONS["constant_pad_nd"](mask, padding, 0)
    needed = mask.reshape(*mask.shape[:2], rows, block[0], columns, block[1]).sum((3, 5))
    full = needed == math.prod(block)
    parts = (*_in_order((needed > 0) & ~full), *_in_order(full))
    if not separate_full_blocks:
        parts = (*_in_order(needed > 0), None, None)
    return BlockMask.from_kv_blocks(*parts, block, mask_mod, (Q_LEN, KV_LEN))


# ------------------------------------------------------------------------------------------- attention


def _check(query: Any, key: Any, value: Any, mask: BlockMask | None, gqa: bool) -> None:
    many = {"query": query, "key": key, "value": value}
    if len({each.device for each in many.values()}) > 1:
        a, b, c = (f"{name}.device: {each.device}" for name, each in many.items())
        raise ValueError(
            f"Expected query, key, and value to have the same device type, but got {a}, {b}, and {c} instead."
        )
    if min(each.dim() for each in many.values()) < 2:
        a, b, c = (f"{name}.dim: {each.dim()}" for name, each in many.items())
        raise ValueError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got {a}, {b} and {c} instead."
        )
    if query.size(-1) != key.size(-1):
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got E={query.size(-1)} and E={key.size(-1)}."
        )
    if any(each.dim() != 4 for each in many.values()):
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    heads, shared = query.size(1), key.size(1)
    if not gqa and heads != shared:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={shared}. "
            "Try setting enable_gqa=True for GQA."
        )
    if gqa and heads % shared:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} and Hkv={shared}."
        )
    batches, of_keys = query.size(0), key.size(0)
    if batches != of_keys:
        if mask is None:
            raise ValueError(
                "Expect query and key/value to have the same batch size, or non-none block_mask, but got block_mask=None, "
                f"Bq={batches}, and Bkv={of_keys}."
            )
        if mask.kv_num_blocks.size(0) != batches:
            raise ValueError(
                "Expect query and key/value to have the same batch size, or block_mask and query to have the same batch "
                f"size, but got Bq={batches}, Bkv={of_keys}, B_block_mask={mask.kv_num_blocks.size(0)}."
            )
        if of_keys != 1:
            raise RuntimeError(f"Bq and Bkv must broadcast. Got Bq={batches} and Bkv={of_keys}")


def _check_lengths(mask: BlockMask, queries: int, keys: int) -> None:
    if mask.mask_mod is _of_sliced_mask:
        raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")
    if (_WHOLE, _WHOLE) == mask.BLOCK_SIZE or mask.seq_lengths == (queries, keys):
        return
    start = f"block_mask was created for block_mask.shape={mask.shape} but got q_len={queries} and kv_len={keys}. "
    of_queries, of_keys = mask.seq_lengths
    if queries > of_queries or keys > of_keys:
        raise ValueError(
            f"{start}As the block mask was created for a smaller length than you're using it for, you likely need to create a "
            "new block mask."
        )
    raise ValueError(
        f"{start}As the block mask was created for a larger length than you're using it for, you can either 1. create a new "
        "block mask with the correct length, or 2. 'adjust' the existing block mask to the correct length by calling "
        "block_mask._adjust(q_len, kv_len). This essentially 'crops' the block mask to the upper left corner, which does not "
        "work for all mask_mods!"
    )


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: _Mod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention with scores changed by a function, and with a mask by blocks.

    Args:
        query: (batches, heads, queries, features).
        key: (batches, heads, keys, features).
        value: (batches, heads, keys, value features).
        score_mod: takes a score and the numbers of its batch, head, query and key; returns the score to use.
        block_mask: which keys a query attends to.
        scale: the factor of the products; one over the root of the number of features if None.
        enable_gqa: whether several heads of the query share one of the keys and values.
        return_lse: the old form of `return_aux=AuxRequest(lse=True)`; returns the logsumexp itself.
        kernel_options: accepted; they change nothing.
        return_aux: which results to return besides, as an `AuxOutput`.

    Raises:
        ValueError, NotImplementedError, RuntimeError: the operands do not fit.

    >>> import funcgrad.torch as torch
    >>> x = torch.ones(1, 1, 2, 4)
    >>> causal = create_block_mask(lambda b, h, q, kv: q >= kv, 1, 1, 2, 2)
    >>> flex_attention(x, x, x, block_mask=causal).shape
    torch.Size([1, 1, 2, 4])

    Behaviour: https://docs.pytorch.org/docs/stable/nn.attention.flex_attention.html
    """
    _check(query, key, value, block_mask, enable_gqa)
    if block_mask is not None:
        _check_lengths(block_mask, query.size(2), key.size(2))
        where = block_mask.kv_num_blocks.device
        if query.device != where:
            raise RuntimeError(
                f"Expect q/k/v and block_mask to be on the same device but got {query.device} and {where}."
            )
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, please use "
            "return_aux=AuxRequest(lse=True) instead."
        )
    if return_lse:
        warn(
            "return_lse is deprecated and will be removed in v2.10. Please use return_aux=AuxRequest(lse=True) instead.",
            FutureWarning,
        )
    group = query.size(1) // key.size(1)
    if group > 1:
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    exact = float64 if query.dtype is float64 else float32
    scores = FUNCTIONS["matmul"](query.to(exact), key.to(exact).mT)
    scores = scores * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    size: Size = scores.shape
    if score_mod is not None:
        scores = _mapped(score_mod, size, query.device, scores)
    if block_mask is not None:
        mask = _mapped(block_mask.mask_mod, size, query.device)
        scores = FUNCTIONS["where"](mask, scores, -math.inf)
    highest = scores.amax(-1, keepdim=True)
    nothing = highest == -math.inf
    weights = FUNCTIONS["where"](nothing, 0.0, scores.masked_fill(nothing, 0.0).softmax(-1))
    made = FUNCTIONS["matmul"](weights.to(query.dtype), value.to(query.dtype))
    if not return_lse and return_aux is None:
        return made
    lse = scores.logsumexp(-1)
    if return_lse:
        return made, lse
    return made, AuxOutput(
        lse if return_aux.lse else None,  # type: ignore[union-attr]
        highest.squeeze(-1) if return_aux.max_scores else None,  # type: ignore[union-attr]
    )
