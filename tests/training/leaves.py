"""Results compared bit for bit."""

import jax
import numpy as np


def assert_same_bits(one, other):
    for got, wanted in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(got, wanted)
