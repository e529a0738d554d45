"""One call on PyTorch and on the shim: the same nested results, or the same error."""

import warnings

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def assert_same(mine, reference):
    """The same structure, types, shapes, dtypes, requires_grad and values."""
    if isinstance(reference, theirs.Tensor):
        assert isinstance(mine, ours.Tensor)
        assert tuple(mine.shape) == tuple(reference.shape)
        assert str(mine.dtype) == str(reference.dtype)
        assert mine.requires_grad == reference.requires_grad
        np.testing.assert_allclose(
            mine.detach().numpy(), reference.numpy(force=True), rtol=1e-6, atol=1e-7
        )
    elif isinstance(reference, dict):
        assert type(mine) is type(reference)
        assert list(mine) == list(reference)
        for name in reference:
            assert_same(mine[name], reference[name])
    elif isinstance(reference, (tuple, list)):
        assert type(mine) is type(reference)
        assert len(mine) == len(reference)
        for a, b in zip(mine, reference, strict=True):
            assert_same(a, b)
    else:
        assert mine == reference


def outcome(call, *side):
    """What a call returned, or the type and words of its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(*side)
        except Exception as error:
            return type(error), str(error)
