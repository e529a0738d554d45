"""A custom function that has only a `jvp` is differentiated by JAX through it, in both modes and at any order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad
import funcgrad.torch as torch

W = jnp.array([0.4, 1.6])
S = jnp.array([2.0, -3.0])


class Tripled(torch.autograd.Function):
    """`x * s`, with a derivative of its own: three times that of the product with respect to x."""

    @staticmethod
    def forward(x, s):
        return x * s

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, x_tangent, s_tangent):
        x, s = ctx.saved_tensors
        return 3 * s * x_tangent + x * s_tangent


class Cubed(torch.autograd.Function):
    """The cube and the square of a tensor."""

    @staticmethod
    def forward(ctx, x, unused):
        ctx.save_for_forward(x)
        return x**3, x**2

    @staticmethod
    def jvp(ctx, tangent, unused):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * tangent, 2 * x * tangent


def tripled(w):
    return Tripled.apply(w, torch.tensor([2.0, -3.0])).sum()


def cubed(w):
    cube, square = Cubed.apply(w, "text")
    return (cube + square).sum()


def one_of_two(w):
    return Cubed.apply(w, None)[0].sum()


def test_the_gradient_is_the_transpose_of_the_jvp():
    np.testing.assert_allclose(jax.grad(funcgrad.pure(tripled))(W), [6.0, -9.0], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(funcgrad.pure(one_of_two))(W), 3 * W**2, rtol=1e-6)


@pytest.mark.parametrize("transform", [jax.grad, jax.jacrev, jax.jacfwd])
def test_reverse_and_forward_mode_agree_with_the_formula(transform):
    found = jax.jit(transform(funcgrad.pure(cubed)))(W)
    np.testing.assert_allclose(found, 3 * W**2 + 2 * W, rtol=1e-6)


def test_both_arguments_have_gradients():
    def product(x, s):
        return Tripled.apply(x, s).sum()

    along_x, along_s = jax.grad(funcgrad.pure(product), argnums=(0, 1))(W, S)
    np.testing.assert_allclose(along_x, 3 * S, rtol=1e-6)
    np.testing.assert_allclose(along_s, W, rtol=1e-6)


def test_second_derivatives():
    np.testing.assert_allclose(jax.hessian(funcgrad.pure(cubed))(W), np.diag(6 * W + 2), rtol=1e-6)


def test_it_is_mapped():
    found = jax.vmap(jax.grad(funcgrad.pure(cubed)))(jnp.stack([W, S]))
    np.testing.assert_allclose(found, [3 * W**2 + 2 * W, 3 * S**2 + 2 * S], rtol=1e-6)


def test_outside_of_pure_a_backward_is_needed_as_in_pytorch():
    w = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(NotImplementedError, match="either the backward or vjp"):
        Cubed.apply(w, None)[0].sum().backward()
