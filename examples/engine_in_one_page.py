"""The engine in one page: define-by-run, with derivatives by JAX and computation by NumPy.

    python examples/engine_in_one_page.py

An op is a JAX function. JAX traces it once, and `jax.vjp` of it, into jaxprs: lists of simple steps. NumPy runs the steps.
Calling an op leaves a node on a tape, and `backward` walks the nodes. The real engine, in `funcgrad/engine`, does the same
with all of JAX's primitives, and compiles what repeats.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

# A primitive of JAX in NumPy: a function of the step's parameters and its arguments.
NUMPY = {
    "add": lambda p, x, y: x + y,
    "sub": lambda p, x, y: x - y,
    "mul": lambda p, x, y: x * y,
    "div": lambda p, x, y: x / y,
    "neg": lambda p, x: -x,
    "sin": lambda p, x: np.sin(x),
    "cos": lambda p, x: np.cos(x),
    "square": lambda p, x: x * x,
    "integer_pow": lambda p, x: x ** p["y"],
    "convert_element_type": lambda p, x: np.asarray(x, p["new_dtype"]),
    "reduce_sum": lambda p, x: np.sum(x, axis=tuple(p["axes"])),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
    "dot_general": lambda p, x, y: np.tensordot(x, y, p["dimension_numbers"][0]),
    "broadcast_in_dim": lambda p, x: broadcast(x, p["shape"], p["broadcast_dimensions"]),
}


def broadcast(x, shape, dims):
    """An array whose axes become these dimensions of a larger shape, the same along all others."""
    lengths = [np.shape(x)[dims.index(k)] if k in dims else 1 for k in range(len(shape))]
    return np.broadcast_to(np.reshape(x, lengths), shape)


def run(jaxpr, *arrays):
    """Run the steps of a jaxpr on NumPy arrays."""
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    values = dict(zip([*inner.constvars, *inner.invars], [*jaxpr.consts, *arrays], strict=True))

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for step in inner.eqns:
        given = [read(atom) for atom in step.invars]
        if step.primitive.name in ("jit", "pjit"):
            made = run(step.params["jaxpr"], *given)
        else:
            made = [NUMPY[step.primitive.name](step.params, *given)]
        values.update(zip(step.outvars, made, strict=True))
    return [read(atom) for atom in inner.outvars]


def op(function):
    """A function of tensors from a JAX function of arrays with one result."""
    traced = {}

    def back(*args):
        return jax.vjp(function, *args[:-1])[1](args[-1])

    def kernels(arrays):
        """The jaxprs of the function and of its derivative, traced once for each choice of types."""
        types = tuple((np.shape(a), np.result_type(a)) for a in arrays)
        if types not in traced:
            structs = [jax.ShapeDtypeStruct(*each) for each in types]
            result = jax.eval_shape(function, *structs)
            pair = (jax.make_jaxpr(function)(*structs), jax.make_jaxpr(back)(*structs, result))
            traced[types] = pair
        return traced[types]

    def call(*given):
        tensors = [each if isinstance(each, Tensor) else Tensor(each) for each in given]
        arrays = [each.array for each in tensors]
        forward, backward = kernels(arrays)
        result = Tensor(run(forward, *arrays)[0])
        if any(each.requires_grad for each in tensors):
            result.requires_grad, result.tape = True, (backward, arrays, tensors)
        return result

    return call


class Tensor:
    """An array, how it was made, and its gradient."""

    def __init__(self, array, requires_grad=False):
        self.array, self.requires_grad = np.asarray(array, np.float32), requires_grad
        self.tape, self.grad = None, None

    def backward(self):
        """Walk the tape from the end to the beginning. Each node hands cotangents to what it was made of."""
        order, seen = [], set()

        def visit(tensor):
            if id(tensor) not in seen and tensor.requires_grad:
                seen.add(id(tensor))
                for each in tensor.tape[2] if tensor.tape else ():
                    visit(each)
                order.append(tensor)

        visit(self)
        cotangents = {id(self): np.ones_like(self.array)}
        for tensor in reversed(order):
            cotangent = cotangents.pop(id(tensor))
            if tensor.tape is None:  # a leaf gathers its gradient
                tensor.grad = cotangent if tensor.grad is None else tensor.grad + cotangent
                continue
            back, arrays, sources = tensor.tape
            for source, given in zip(sources, run(back, *arrays, cotangent), strict=True):
                if source.requires_grad:
                    cotangents[id(source)] = cotangents.get(id(source), 0) + given

    __add__, __sub__, __mul__ = op(jnp.add), op(jnp.subtract), op(jnp.multiply)
    __matmul__, mean, sin, square = op(jnp.matmul), op(jnp.mean), op(jnp.sin), op(jnp.square)


def main():
    """The lesson."""
    x, y_true = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 2.0])
    w = Tensor([0.4, 1.6], requires_grad=True)
    for step in range(3):
        y_pred = x @ w
        loss = (y_pred - y_true).square().mean()
        loss.backward()
        print(f"step {step}: loss {loss.array:.6f}, w.grad {w.grad}")
        w.array = w.array - np.float32(0.01) * w.grad
        w.grad = None
    return w.array


if __name__ == "__main__":
    main()
