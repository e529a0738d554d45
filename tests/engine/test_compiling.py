"""Compiling functions whose 64-bit types show only inside: in a loop's body, a branch, a function called."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad.engine.compiling import compiled


@jax.jit
def largest(x):
    """Where the largest is. In 32 bits the last two are equal, and the first of equals is the answer."""
    apart = x.astype("float64") + jax.lax.iota("float64", 3) * 2.0**-40
    return jnp.argmax(apart).astype("float32") + 0 * x


# None of these indexes: with 64-bit types on, that alone computes in int64.
INSIDE = {
    "cond": lambda x: jax.lax.cond(x.max() < 2, largest, jnp.sin, x),
    "switch": lambda x: jax.lax.switch(x.max().astype("int32"), [jnp.sin, largest, jnp.cos], x),
    "scan": lambda x: jax.lax.scan(lambda c, _: (largest(x), None), x, None, length=2)[0],
    "while_loop": lambda x: jax.lax.while_loop(lambda c: c.max() < 2, lambda c: largest(x), x),
    "jit": largest,
    "cond in switch": lambda x: jax.lax.switch(
        x.max().astype("int32"),
        [jnp.sin, lambda x: jax.lax.cond(x.max() < 2, largest, jnp.sin, x)],
        x,
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_a_64_bit_type_is_kept_wherever_it_occurs(case):
    x = np.array([0, 1, 1], np.float32)
    (found,) = compiled(lambda x: [INSIDE[case](x)], [x])(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.full(3, 2, np.float32))
    assert not jax.config.jax_enable_x64
