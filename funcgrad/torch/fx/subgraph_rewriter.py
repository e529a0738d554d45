"""`replace_pattern`: each place of a graph that makes the calls of a pattern makes other calls."""

from typing import Any, NamedTuple

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.fx._symbolic_trace import symbolic_trace
from funcgrad.torch.fx.graph import Graph
from funcgrad.torch.fx.node import Node, map_aggregate

__all__ = ["Match", "replace_pattern"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class Match(NamedTuple):
    """A place that was replaced: the node of its result, and the nodes by those of the pattern."""

    anchor: Node
    nodes_map: dict[Node, Node]


def _graph_of(thing: Any) -> Graph:
    if isinstance(thing, Graph):
        return thing
    return thing.graph if hasattr(thing, "graph") else symbolic_trace(thing).graph


def _leaves(node: Node) -> list[Any]:
    found: list[Any] = []
    map_aggregate((node.args, dict(sorted(node.kwargs.items()))), found.append)
    return found


def _fits(pattern: Any, found: Any, known: dict[Node, Any]) -> bool:
    """Whether a node makes the call of a pattern's; `known` gets the nodes of the pattern with theirs."""
    if not isinstance(pattern, Node):
        return type(pattern) is type(found) and pattern == found
    if pattern in known:
        return known[pattern] is found
    if pattern.op == "placeholder":
        known[pattern] = found
        return True
    if not isinstance(found, Node) or (pattern.op, pattern.target) != (found.op, found.target):
        return False
    known[pattern] = found
    ours, theirs = _leaves(pattern), _leaves(found)
    same = set(pattern.kwargs) == set(found.kwargs) and len(ours) == len(theirs)
    return same and all(_fits(a, b, known) for a, b in zip(ours, theirs, strict=True))


def replace_pattern(gm: Any, pattern: Any, replacement: Any) -> list[Match]:
    """Replace all places of a module's graph that make the calls of a pattern, where they do not overlap.

    Args:
        gm: the module; its graph is changed in place.
        pattern: a function, whose arguments stand for anything, or a graph.
        replacement: a function of the same arguments, or a graph.

    Returns:
        The places, in order.
    """
    graph, wanted, other = gm.graph, _graph_of(pattern), _graph_of(replacement)
    (result,) = wanted.output_node().all_input_nodes
    inside = {node for node in wanted.nodes if node.op not in ("placeholder", "output")}
    matches: list[Match] = []
    taken: set[Node] = set()
    for node in graph.nodes:
        known: dict[Node, Any] = {}
        if not _fits(result, node, known):
            continue
        used = {known[each] for each in inside if each in known}
        hidden = all(set(each.users) <= used for each in used if each is not node)
        if used & taken or not hidden:
            continue
        taken |= used
        matches.append(Match(node, known))
    changed: dict[Node, Any] = {}
    for match in matches:
        arguments = [match.nodes_map.get(each) for each in wanted.nodes if each.op == "placeholder"]
        arguments = [changed.get(each, each) for each in arguments]  # type: ignore[arg-type]
        places = [each for each in other.nodes if each.op == "placeholder"]
        with graph.inserting_before(match.anchor):
            made = graph.graph_copy(other, dict(zip(places, arguments, strict=True)))
        changed[match.anchor] = made
        match.anchor.replace_all_uses_with(made)
        dead = [match.nodes_map[each] for each in reversed(wanted.nodes) if each in inside]
        for each in dead:
            if not each.users:
                graph.erase_node(each)
    gm.recompile()
    return matches
