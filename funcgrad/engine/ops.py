"""An op is a named pure JAX function of arrays. Its types, kernel and derivatives all follow from the function.

Here are its types and its kernel; `derivatives` has the rest. The engine has only the few ops it needs itself: others are
made by whoever needs them.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from funcgrad.engine.fingerprints import NoFingerprintError, fingerprint
from funcgrad.engine.kept import kept
from funcgrad.engine.kernels import Kernel, equations
from funcgrad.engine.meshes import inside_mesh, varying_alike
from funcgrad.engine.templates import (
    Pattern,
    Template,
    Templates,
    pattern_of,
    traced,
)
from funcgrad.engine.tracing import jaxpr_of, without_dead
from funcgrad.engine.values import Aval


class DeviceMismatchError(RuntimeError):
    """Raised where one op is given arrays bound to different devices."""


class Op:
    """A pure function of arrays, with every static argument already bound.

    Args:
        name: its name in `engine.explain()` and error messages.
        function: arrays in, one array or a tuple of arrays out; traceable by JAX.
        label: the name of the graph node that the op leaves behind where a gradient is wanted.
        check: called with the avals of the arguments before the function is first traced with them; raises where
            they do not fit, so that the caller's own words reach the user.
        constants_from: arguments from this position on, which may be counted from the end, are constants: where a way
            back needs nothing else, a walk frees nothing.
        saves: arguments whose values the node keeps where they want a gradient, although the derivative may not need them:
            they must not be changed in place before the way back. One counted from the end is kept in any case: then there
            is something for a walk to free.
        flat: whether a gradient of its gradient leads back to its arguments also where it is zero whatever they are, since the
            op is made of straight pieces. If not, there is none.
        counted: arguments before this position are inputs of the graph node, as far as `next_functions` tells; all if None.
        named_first: of several arguments that were changed since they were saved, which ones a complaint names first;
            after them comes the last one.

    Attributes:
        warm: the input types that there is a kernel for.
        rules: how gradients flow through it, filled by `derivatives.rule_of`.
        size: how many steps it has, as last called in the core; compiling takes longer for more.
        derived: the ops made of this one: for batches, and for tangents.
        calls: how the core calls it, by the types of the arguments; see `eager`.
        templates: what holds for all lengths of its arguments.
        node_type: the class of its graph nodes; None until `derivatives.node_type_of` makes it.
    """

    # Whether it is only called on what another op gave or was given.
    follows: ClassVar[bool] = False

    __slots__ = (
        "__weakref__",
        "_fingerprint",
        "_kernel",
        "_numpy",
        "_templates",
        "_traceable",
        "_types",
        "calls",
        "check",
        "constants_from",
        "counted",
        "derived",
        "flat",
        "function",
        "label",
        "name",
        "named_first",
        "node_type",
        "rules",
        "saves",
        "size",
        "templates",
        "warm",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        label: str | None = None,
        check: Callable[..., None] | None = None,
        counted: int | None = None,
        constants_from: int | None = None,
        saves: tuple[int, ...] = (),
        named_first: tuple[int, ...] = (),
        flat: bool = False,
    ) -> None:
        self.flat = flat
        self.name = name
        self.function = function
        self.label = label or name
        self.check = check
        self.counted = counted
        self.constants_from = constants_from
        self.saves = saves
        self.named_first = named_first
        self._kernel: Any = None
        self.node_type: Any = None
        self.warm: set[tuple[Aval, ...]] = set()
        self._types: dict[tuple[Aval, ...], tuple[Aval, ...]] = {}
        self._templates: dict[tuple[Aval, ...], tuple[Template, tuple[int, ...]]] = {}
        self._fingerprint: str | None = None
        self._numpy: dict[tuple[Aval, ...], Any] = {}
        self._traceable: dict[tuple[Aval, ...], Callable[..., Any]] = {}
        self.calls: dict[Any, Any] = {}
        self.size = 8
        self.templates = Templates()
        self.rules: dict[tuple, Any] = {}
        self.derived: dict[tuple, Any] = {}

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def kernel(self) -> Callable[..., Any]:
        """The function, compiled by XLA for each choice of input types."""
        if self._kernel is None:
            self._kernel = jax.jit(self.function)
        return self._kernel

    def fingerprint(self) -> str:
        """A text that tells the op apart, the same in every process; see `fingerprints`.

        Raises:
            NoFingerprintError: it has none.
        """
        if self._fingerprint is None:
            try:
                self._fingerprint = f"{self.name}:{fingerprint(self.function)}"
            except NoFingerprintError:
                self._fingerprint = ""
        if not self._fingerprint:
            raise NoFingerprintError
        return self._fingerprint

    def key(self, *what: Any) -> str | None:
        """The text by which something about the op is kept on disk; None if it is not to be kept."""
        if kept.folder is None:
            return None
        try:
            return f"{self.fingerprint()} {what}"
        except NoFingerprintError:
            return None

    def types(self, avals: tuple[Aval, ...]) -> tuple[Aval, ...]:
        """The types of the outputs, found by tracing the function once for each choice of input types."""
        known = self._types.get(avals)
        if known is None:
            if self.check is not None:
                self.check(*avals)
            pattern, lengths = pattern_of(avals)
            device = _only(self.name, pattern.devices)
            template = self.template(pattern, lengths)
            if template is None:
                template, lengths = self._traced(avals), ()
            known = self.learn(avals, template, lengths, device)
        return known

    def _traced(self, avals: tuple[Aval, ...]) -> Template:
        """The template for these types alone."""
        made = Template.kept(self.key(avals), lambda: Template(jaxpr_of(self.function, avals)))
        assert made is not None
        return made

    def jaxpr(self, avals: tuple[Aval, ...]) -> Any:
        """The function's jaxpr for arguments of these types."""
        template, lengths = self._templates.get(avals, (None, ()))
        if template is None or lengths or template.closed is None:
            return jaxpr_of(self.function, avals)
        return template.closed

    def traceable(self, avals: tuple[Aval, ...]) -> Callable[..., Any]:
        """The function for arguments of these types, to be called where JAX traces something: its jaxpr, made once."""
        # A jaxpr made elsewhere says nothing of the axes of a mesh, along which the tracers may differ.
        if inside_mesh():
            return varying_alike(self.function)
        known = self._traceable.get(avals)
        if known is None:
            closed = self.jaxpr(avals)
            known = self.function if by_hand(closed) else jaxpr_as_fun(without_dead(closed))
            remember(self._traceable, avals, known)
        return known

    def template(self, pattern: Pattern, lengths: tuple[int, ...]) -> Template | None:
        """The template of a pattern; None where it has none, and where these are its first lengths."""
        make = partial(traced, self.function, pattern)
        return self.templates.find(pattern, lengths, lambda: Template.kept(self.key(pattern), make))

    def learn(
        self, avals: tuple[Aval, ...], template: Template, lengths: tuple[int, ...], device: Any
    ) -> tuple[Aval, ...]:
        """For arguments of these types, the types and the kernel are a template's; returns the results' types."""
        remember(self._templates, avals, (template, lengths))
        return remember(self._types, avals, template.types(lengths, device))

    def numpy_kernel(self, avals: tuple[Aval, ...]) -> Kernel | None:
        """The op on NumPy's arrays of these types; None where only XLA computes it."""
        if avals in self._numpy:
            return self._numpy[avals]
        self.types(avals)
        kernel = None
        if pattern_of(avals)[0].in_memory:
            if avals not in self._templates:
                remember(self._templates, avals, (self._traced(avals), ()))
            template, lengths = self._templates.pop(avals)
            kernel = template.kernel(lengths)
        return remember(self._numpy, avals, kernel)

    def fit(self, avals: tuple[Aval, ...]) -> tuple[tuple[Aval, ...], Kernel | None]:
        """The types of the results and the kernel for arguments of these types, as `types` and `numpy_kernel` give them."""
        pattern, lengths = pattern_of(avals)
        template = self.templates.known(pattern)
        if template is None:
            return self.types(avals), self.numpy_kernel(avals)
        types = self._types.get(avals)
        if types is None:
            if self.check is not None:
                self.check(*avals)
            device = _only(self.name, pattern.devices) if pattern.devices else None
            types = remember(self._types, avals, template.types(lengths, device))
        return types, template.kernel(lengths) if pattern.in_memory else None

    def batched(self, axes: tuple[int | None, ...]) -> "Op":
        """The op for batches: `jax.vmap` of it over these axes of its arguments; results are batches along axis 0."""
        known = self.derived.get(axes)
        if known is None:
            known = Op(f"{self.name}_vmap", jax.vmap(self.function, axes), label=self.label)
            remember(self.derived, axes, known)
        return known


def by_hand(closed: Any) -> bool:
    """Whether a derivative inside is written by hand. It may refer to tracers of its first trace."""
    return any(each.primitive.name.startswith("custom_") for each in equations(closed.jaxpr))


def remember(cache: dict, key: Any, entry: Any, limit: int = 1024) -> Any:
    """Put `entry` in a cache that starts anew rather than grow past `limit`; returns the entry."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = entry
    return entry


def common_device(name: str, avals: Sequence[Aval]) -> Any:
    """The one device that the arguments are bound to, None where they are bound to none.

    Raises:
        DeviceMismatchError: they are bound to different ones.
    """
    return _only(name, {aval.device for aval in avals if aval.device is not None})


def _only(name: str, devices: Collection[Any]) -> Any:
    """The only one of these devices, None where there is none.

    Raises:
        DeviceMismatchError: there are several.
    """
    if len(devices) > 1:
        where = ", ".join(sorted(map(str, devices)))
        raise DeviceMismatchError(f"{name}: expected all arrays on the same device, found {where}")
    return next(iter(devices), None)


# The ops that differentiation itself needs.
add = Op("add", jnp.add, label="AddBackward0")
ones_like = Op("ones_like", jnp.ones_like)
zeros_like = Op("zeros_like", jnp.zeros_like)
