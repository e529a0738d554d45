"""JAX's derivatives of a function written with tensors. They come from the tape, at any order.

A `Program` turns such a function into one of arrays. Its reverse derivative is another program, which calls the function
and walks its tape backward. Its forward derivative is the transpose of the reverse one, and a program too. The walk is
linear in the cotangents, so the gradient of the gradient with respect to them is the tangent. A primitive gives JAX both.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from funcgrad.engine import (
    FunctionNode,
    GraphNode,
    Node,
    Op,
    Value,
    Variable,
    grad_mode,
    local,
    record,
    walk,
)
from funcgrad.engine.derivatives import rule_of
from funcgrad.engine.meshes import varied, varying
from funcgrad.engine.nodes import Edge, hooked
from funcgrad.engine.ops import add, zeros_like
from funcgrad.engine.values import is_inexact, is_tracer, with_wide_types
from funcgrad.torch._compile import keeping
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

Arrays = list[Any]
Tensors = list[Tensor]
Edges = dict[int, Edge]
# Takes the inputs, the edges of the differentiated ones, and whether to make a graph; returns the results.
Body = Callable[[Tensors, Edges, bool], Tensors]
# Makes the tensors of the inputs inside a block; the end of the block undoes it if necessary.
Enter = Callable[[Sequence[Value]], Any]


class ArgumentNode(FunctionNode):
    """The node of an argument that JAX differentiates and that is not a leaf of the function itself.

    Attributes:
        leaf: the leaf node, if the function called `requires_grad_()` on the argument.
    """

    __slots__ = ("leaf",)

    begins: ClassVar[bool] = True

    def __init__(self, aval: Any) -> None:
        super().__init__((), (aval,))
        self.leaf: Any = None

    def lead(self, leaf: Any) -> Any:
        """Count gradients that arrive at this leaf as the argument's too; returns the leaf."""
        self.leaf = leaf
        return leaf

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Return no gradients: the graph begins here."""
        return ()


class Program:
    """A function of tensors, turned into a function of arrays that JAX can transform.

    Args:
        body: the function.
        enter: makes tensors of the inputs, in a block.
        count: the number of inputs.
        transformed: whether JAX transforms the function. If so, all differentiable inputs require grad, even if JAX does
            not differentiate them in this run: the function must do the same in every run.
        outputs: the positions of the results in those of `body`; all if None.
        every_graph: whether every gradient made inside gets a graph.
    """

    def __init__(
        self,
        body: Body,
        enter: Enter,
        count: int,
        transformed: bool = True,
        outputs: tuple[int, ...] | None = None,
        every_graph: bool = False,
    ) -> None:
        self.body, self.enter, self.count, self.transformed = body, enter, count, transformed
        self.outputs, self.every_graph = outputs, every_graph
        self.walked = False

    def __call__(self, *arrays: Any) -> Arrays:
        """The results; traced by JAX if an array is a tracer."""
        if any(isinstance(array, jax.core.Tracer) for array in arrays):
            return self._traced(*arrays)
        return self.run(arrays)

    def run(self, arrays: Sequence[Any]) -> Arrays:
        """The results, computed now."""
        with self.entered(arrays) as (tensors, edges):
            results = [result._jax_array() for result in self.results(tensors, edges, False)]
            self.walked = keeping.state.walked
        return results

    def results(self, tensors: Tensors, edges: Edges, graph: bool) -> Tensors:
        """The results as tensors."""
        results = self.body(tensors, edges, graph)
        return results if self.outputs is None else [results[k] for k in self.outputs]

    @contextmanager
    def entered(self, arrays: Sequence[Any]) -> Iterator[tuple[Tensors, Edges]]:
        """A block with the inputs as tensors, and the edges of the inputs that require grad."""
        values = [Value.of(with_wide_types(jnp.asarray, array)) for array in arrays]
        with (
            keeping.kept(self.transformed, self.every_graph),
            self.enter(values) as tensors,
            grad_mode(True),
        ):
            edges = {
                k: edge_of(tensor)
                for k, tensor in enumerate(tensors)
                if self.transformed and tensor._storage.aval.inexact
            }
            yield tensors, edges

    @cached_property
    def _traced(self) -> Any:
        function = jax.custom_jvp(lambda *arrays: self.run(arrays))
        function.defjvp(self._push, symbolic_zeros=True)
        return function

    def _push(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Arrays, Arrays]:
        """The results and their tangents: the rule that JAX calls."""
        results = self(*primals)
        wanted = tuple(
            [
                k
                for k, (primal, tangent) in enumerate(zip(primals, tangents, strict=True))
                if is_inexact(primal.dtype)
                and not isinstance(tangent, jax.custom_derivatives.SymbolicZero)
            ]
        )
        carried: Arrays = [
            None if is_inexact(result.dtype) else np.zeros(result.shape, jax.dtypes.float0)
            for result in results
        ]
        for program, outputs in self._parts(primals, wanted, results):
            types = [results[k] for k in outputs]
            # No input that varies along more axes of a mesh than a result changes the result.
            axes = varying(types[0])
            moved = [k for k in wanted if varying(primals[k]) <= axes]
            if not moved:
                continue
            given = [varied(tangents[k], axes) for k in moved]
            pushed = tangent_p.bind(*primals, *given, of=Derivative(program, moved, types))
            for k, tangent in zip(outputs, pushed, strict=True):
                carried[k] = tangent
        zeros = partial(with_wide_types, jnp.zeros)
        return results, [
            varied(zeros(result.shape, result.dtype) if tangent is None else tangent, axes)
            for result, tangent, axes in zip(results, carried, map(varying, results), strict=True)
        ]

    def _parts(
        self, primals: Sequence[Any], wanted: Sequence[int], results: Arrays
    ) -> list[tuple["Program", list[int]]]:
        """The differentiated results, split by method, and by the axes of a mesh that they vary along.

        A result on the tape uses the tape. A result made from gradients without a graph, as PyTorch makes them, is not on
        the tape; it is differentiated as if those gradients had a graph.
        """
        inexact = [k for k, result in enumerate(results) if is_inexact(result.dtype)]
        if not (inexact and wanted):
            return []
        tape = [True] * len(results)
        if self.walked:
            with self.entered(primals) as (tensors, edges):
                made = self.results(tensors, edges, True)
                tape = [result._current_node() is not None for result in made]
        parts: dict[Any, list[int]] = {}
        for k in inexact:
            parts.setdefault((not tape[k], varying(results[k])), []).append(k)
        return [(self._of(outputs, key[0]), outputs) for key, outputs in parts.items()]

    def _of(self, outputs: list[int], every_graph: bool) -> "Program":
        if self.outputs is not None:
            outputs = [self.outputs[k] for k in outputs]
        every_graph |= self.every_graph
        return Program(self.body, self.enter, self.count, True, tuple(outputs), every_graph)

    def pulling(self, wanted: Sequence[int], results: int) -> "Program":
        """The program from inputs and cotangents of results to the cotangents of the wanted inputs."""

        def body(tensors: Tensors, edges: Edges, graph: bool) -> Tensors:
            given, cotangents = self._split(tensors)
            results = self._tape(given, edges, wanted)
            cotangents = [_conjugated(each) for each in cotangents]
            pulled = pull(results, cotangents, [edges[k] for k in wanted], graph)
            return [
                _zeros(tensors[k]) if gradient is None else _conjugated(gradient)
                for k, gradient in zip(wanted, pulled, strict=True)
            ]

        return self._next(body, results)

    def pushing(self, wanted: Sequence[int]) -> "Program":
        """The program from inputs and tangents of the wanted inputs to the tangents of the results."""

        def body(tensors: Tensors, edges: Edges, graph: bool) -> Tensors:
            given, tangents = self._split(tensors)
            results = self._tape(given, edges, wanted)
            cotangents = [_zeros(result).requires_grad_() for result in results]
            ends = [edge_of(each) for each in cotangents]
            with _returned() as custom:
                pulled = pull(results, cotangents, [edges[k] for k in wanted], True)
            _check_linear(results, [*pulled, *custom], [node for node, _ in ends], custom)
            pairs = [
                (gradient, tangent)
                for gradient, tangent in zip(pulled, tangents, strict=True)
                if gradient is not None
            ]
            pushed = pull([a for a, _ in pairs], [b for _, b in pairs], ends, graph)
            return [
                _zeros(result) if tangent is None else tangent
                for result, tangent in zip(results, pushed, strict=True)
            ]

        return self._next(body, len(wanted))

    def _tape(self, tensors: Tensors, edges: Edges, wanted: Sequence[int]) -> Tensors:
        """The results with their graph, ready for a walk backward to the wanted inputs."""
        with keeping.leading(edges[k][0] for k in wanted):
            results = self.results(tensors, edges, True)
        keeping.fix([result._current_node() for result in results], modified=True)
        return results

    def _split(self, tensors: Tensors) -> tuple[Tensors, Tensors]:
        return tensors[: self.count], tensors[self.count :]

    def _next(self, body: Body, more: int) -> "Program":
        """The program of a derivative, with `more` further inputs."""

        @contextmanager
        def enter(values: Sequence[Value]) -> Iterator[Tensors]:
            with self.enter(values[: self.count]) as tensors:
                yield [*tensors, *map(tensor_of, values[self.count :])]

        return Program(body, enter, self.count + more, every_graph=self.every_graph)


def edge_of(tensor: Tensor) -> Edge:
    """The edge of an input. A tensor with a node keeps it; any other gets an `ArgumentNode`."""
    if tensor._current_node() is None:
        tensor._set_edge(ArgumentNode(tensor._storage.aval))
    return tensor._edge()


def pull(
    results: Tensors, cotangents: Tensors, ends: Sequence[Edge], graph: bool
) -> list[Tensor | None]:
    """The gradients that arrive at these edges; None if none does."""
    pairs = [
        pair
        for pair in zip(results, cotangents, strict=True)
        if pair[0]._current_node() is not None
    ]
    leaves = [getattr(node, "leaf", None) for node, _ in ends]
    captures = [*ends, *[(leaf, 0) for leaf in leaves if leaf is not None]]
    found: dict[Edge, Variable | None] = {}
    if pairs and captures:
        walk(
            pairs,
            found.__setitem__,
            retain_graph=True,
            create_graph=graph,
            captures=captures,
        )

    def gathered(end: Edge, leaf: Any) -> Tensor | None:
        parts = [found.get(end), None if leaf is None else found.get((leaf, 0))]
        tensors = [
            tensor_of(part._storage.read(), *part._edge()) for part in parts if part is not None
        ]
        if len(tensors) == 2:
            return tensor_of(*record(add, tensors))
        return tensors[0] if tensors else None

    return [gathered(end, leaf) for end, leaf in zip(ends, leaves, strict=True)]


class _Returned(list[Variable]):
    """The gradients that custom backwards return in a walk: an `Observer`."""

    single = True  # whether all of these functions have one output

    def made(self, node: GraphNode, arguments: Sequence[Variable]) -> None:
        """Nothing to note."""

    def visits(self, node: GraphNode) -> None:
        """Nothing to note."""

    def failed(self, node: GraphNode) -> None:
        """Nothing to note."""

    def gave(self, node: GraphNode, gradients: Sequence[Variable | None]) -> None:
        """Note the gradients of a custom function."""
        if isinstance(node, FunctionNode) and not isinstance(node, ArgumentNode):
            self.extend([each for each in gradients if each is not None])
            self.single &= node.outputs == 1


@contextmanager
def _returned() -> Iterator[_Returned]:
    """A block whose walks note the gradients that custom backwards return, if nobody else observes them."""
    recorder, found = local.recorder, _Returned()
    before = recorder.observer
    recorder.observer = before or found
    try:
        yield found
    finally:
        recorder.observer = before


def _check_linear(
    results: Tensors,
    gradients: Sequence[Variable | None],
    ends: Sequence[GraphNode],
    custom: _Returned,
) -> None:
    """Check that the gradients are linear in the cotangents, whose nodes are `ends`.

    Raises:
        NotImplementedError: a hook or a custom backward is not linear, so there is no tangent.
    """
    # Only a hook or a custom backward can add a term of its own. Elsewhere, an added constant is the zeros of a missing
    # gradient; so it may be in the backward of a function with several outputs, not all of which need be used.
    has_hooks = any(
        node in hooked for node in keeping.graph_of([r._current_node() for r in results])
    )
    has_terms = bool(custom) and custom.single
    follows = set(ends)
    nodes = keeping.graph_of([each._current_node() for each in gradients if each is not None])
    for node in sorted(nodes, key=lambda node: node.sequence):
        which = [source in follows for source, _ in node.edges]
        if True not in which:
            continue
        follows.add(node)
        if not isinstance(node, Node):
            continue
        rule, op = node.rule, node.rule.op
        given = tuple(
            [k in rule.wants and which[rule.wants.index(k)] for k in range(len(rule.avals))]
        )
        of_given: Any = rule_of(op, rule.avals, given)
        curved = any(given[k] and k not in op.saves for k in of_given.saves)
        own = has_hooks or (has_terms and op is not add)  # a walk sums gradients by `add`
        shifted = own and op.name in _SUMS and False in given[:2]
        if curved or shifted:
            raise _not_linear(node)
    for gradient in custom:
        array = tensor_of(gradient._storage.read())._array()
        # The cotangents are zero, so what is not zero here does not come from them. Numbers tell, but tracers have none.
        if is_tracer(array):
            own_term = has_terms and gradient._current_node() not in follows
        else:
            own_term = bool(np.any(np.nan_to_num(np.asarray(array), posinf=0, neginf=0)))
        if own_term:
            raise _not_linear(None)


def _not_linear(node: GraphNode | None) -> NotImplementedError:
    which = "" if node is None else f" ({node.face!r})"
    return NotImplementedError(
        "forward mode (jax.jvp, jax.jacfwd, jax.hessian) of a function with a hook or a custom backward that is not linear "
        f"in the gradient it is given{which}: only its gradient is defined, which jax.grad and jax.jacrev give"
    )


_SUMS = ("add", "sub")


def _zeros(like: Tensor) -> Tensor:
    return tensor_of(record(zeros_like, (like.detach(),))[0])


_CONJUGATE = Op("conj", jnp.conj)


def _conjugated(tensor: Tensor) -> Tensor:
    """The conjugate of a complex gradient. It converts between the conventions of JAX and PyTorch, both ways."""
    if tensor._storage.aval.dtype.kind != "c":
        return tensor
    return tensor_of(*record(_CONJUGATE, (tensor,)))


class Derivative:
    """A program's derivative: a linear function of tangents, and its transpose.

    Args:
        program: the program.
        wanted: the inputs that have tangents.
        types: arrays with the shapes and dtypes of the results.
    """

    def __init__(self, program: Program, wanted: Sequence[int], types: Sequence[Any]) -> None:
        self.count = program.count
        self.types = [jax.typeof(each).update(weak_type=False) for each in types]
        self.push: Callable[..., Arrays] = program.pushing(wanted)
        self.pull: Callable[..., Arrays] = program.pulling(wanted, len(types))

    def batched(self, size: int, axes: Sequence[int | None], tangents: int) -> "Derivative":
        """The derivative of the program mapped over these axes of its inputs."""
        made = object.__new__(Derivative)
        made.count = self.count
        made.types = [_of_batch(size, each) for each in self.types]
        mapped = partial(jax.vmap, axis_size=size)
        made.push = mapped(self.push, in_axes=(*axes, *[0] * tangents))
        made.pull = mapped(self.pull, in_axes=(*axes, *[0] * len(self.types)))
        return made


def _of_batch(size: int, each: Any) -> Any:
    """The type of a batch of arrays of one type."""
    spec = PartitionSpec(None, *each.sharding.spec)
    sharding = NamedSharding(each.sharding.mesh, spec)
    return each.update(shape=(size, *each.shape), sharding=sharding)


# Computes the tangents of a program's results from its inputs and their tangents.
tangent_p = Primitive("funcgrad_tangent")
tangent_p.multiple_results = True


def _evaluate(*arrays: Any, of: Derivative) -> Arrays:
    axes = varying(arrays[-1])
    return [varied(each, axes) for each in of.push(*arrays)]


def _types(*avals: Any, of: Derivative) -> list[Any]:
    """The types of the results, which vary along the axes that the tangents vary along."""
    return [each.update(manual_axis_type=avals[-1].manual_axis_type) for each in of.types]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, of: Derivative) -> tuple[Any, Any]:
    inputs, given = primals[: of.count], primals[of.count :]
    results = tangent_p.bind(*primals, of=of)
    carried: list[Any] = [None] * len(results)
    if any(not isinstance(each, ad.Zero) for each in tangents[of.count :]):
        second = [ad.instantiate_zeros(each) for each in tangents[of.count :]]
        carried = tangent_p.bind(*inputs, *second, of=of)
    moved = [k for k in range(of.count) if not isinstance(tangents[k], ad.Zero)]
    if moved:

        def of_moved(*arrays: Any) -> Arrays:
            all_inputs = list(inputs)
            for k, array in zip(moved, arrays, strict=True):
                all_inputs[k] = array
            return of.push(*all_inputs, *given)

        _, more = jax.jvp(of_moved, [inputs[k] for k in moved], [tangents[k] for k in moved])
        axes = varying(*results)
        carried = [
            varied(b, axes) if a is None else ad.add_tangents(a, varied(b, axes))
            for a, b in zip(carried, more, strict=True)
        ]
    return results, carried


def _transpose(cotangents: Sequence[Any], *arrays: Any, of: Derivative) -> list[Any]:
    given = [ad.instantiate_zeros(each) for each in cotangents]
    axes = varying(given[0])
    pulled = of.pull(*arrays[: of.count], *given)
    return [*[None] * of.count, *[varied(each, axes) for each in pulled]]


def _batch(arrays: Sequence[Any], axes: Sequence[Any], *, of: Derivative) -> tuple[Any, Any]:
    size = next(
        array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None
    )
    tangents = [
        with_wide_types(
            lambda array=array, axis=axis: (
                jnp.broadcast_to(array, (size, *array.shape))
                if axis is None
                else jnp.moveaxis(array, axis, 0)
            )
        )
        for array, axis in zip(arrays[of.count :], axes[of.count :], strict=True)
    ]
    mapped = of.batched(size, axes[: of.count], len(tangents))
    results = tangent_p.bind(*arrays[: of.count], *tangents, of=mapped)
    return results, [0] * len(results)


tangent_p.def_impl(_evaluate)
tangent_p.def_abstract_eval(_types)
ad.primitive_jvps[tangent_p] = _jvp
ad.primitive_transposes[tangent_p] = _transpose
batching.primitive_batchers[tangent_p] = _batch
mlir.register_lowering(tangent_p, mlir.lower_fun(_evaluate, multiple_results=True))
