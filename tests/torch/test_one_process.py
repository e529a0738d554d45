"""Programs for many processes, run in one: `torch.distributed`, and files from `torch.hub`."""

import importlib
import os

import pytest

from tests.both_sides import assert_same, attempt, ours


def test_a_group_of_one_process(tmp_path):
    def program(torch, see):
        parallel = importlib.import_module(f"{torch.__name__}.nn.parallel")
        group = importlib.import_module(f"{torch.__name__}.distributed")
        sampler = importlib.import_module(f"{torch.__name__}.utils.data.distributed")
        layer = torch.nn.Linear(2, 2)
        x = torch.tensor([1.0, 2.0])
        see(group.is_available(), group.is_initialized())
        for refused in (
            group.get_rank,
            group.get_world_size,
            group.get_backend,
            group.barrier,
            lambda: group.all_reduce(x),
            lambda: parallel.DistributedDataParallel(layer),
            lambda: sampler.DistributedSampler(range(3)),
            lambda: group.init_process_group("gloo"),
        ):
            see(attempt(refused))
        where = f"file://{tmp_path}/{torch.__name__}"
        group.init_process_group("gloo", init_method=where, rank=0, world_size=1)
        try:
            see(group.is_initialized(), group.get_rank(), group.get_world_size())
            see(group.get_backend(), attempt(group.init_process_group, "gloo"))
            see(group.all_reduce(x), group.broadcast(x, 0), group.reduce(x, 0), group.barrier(), x)
            see(group.all_reduce(x, op=group.ReduceOp.MAX, async_op=True).wait(), x)
            lists = [torch.zeros(2)], [torch.zeros(2)]
            see(group.all_gather(lists[0], x), group.gather(x, lists[1], 0), lists)
            see(group.scatter(lists[0][0], [x * 3], 0), lists[0])
            objects, given = [None], [1, "a"]
            group.all_gather_object(objects, {"a": 1})
            group.broadcast_object_list(given, 0)
            see(objects, given)
            subgroup = group.new_group([0])
            see(
                subgroup.rank(),
                subgroup.size(),
                group.get_backend(subgroup),
                group.get_rank(subgroup),
            )
            see(
                group.get_process_group_ranks(subgroup), group.get_global_rank(group.group.WORLD, 0)
            )
            see(group.get_rank(group.GroupMember.NON_GROUP_MEMBER), group.get_node_local_rank(3))
            see(
                attempt(group.new_group, [0, 1]),
                attempt(group.send, x, 0),
                attempt(group.Backend, 3),
            )
            see(type(attempt(group.recv, x, 0)).__name__, attempt(group.get_node_local_rank))
            into = torch.zeros(2)
            group.all_gather_into_tensor(into, x)
            see(into, group.reduce_scatter(into, [x * 2]), into)
            see(
                group.reduce_scatter_tensor(into, x * 3),
                into,
                group.all_to_all_single(into, x * 4),
                into,
            )
            gathered, scattered = [None], [None]
            group.gather_object({1: 2}, gathered)
            group.scatter_object_list(scattered, [7])
            see(gathered, scattered, group.monitored_barrier(), group.Backend("NCCL"))
            collectives = importlib.import_module(f"{torch.__name__}.distributed.nn")
            y = torch.ones(2, requires_grad=True)
            for made in (
                collectives.all_reduce(y),
                collectives.all_gather(y)[0],
                collectives.broadcast(y, 0),
            ):
                made.sum().backward()
                see(made.detach(), y.grad)
            model = parallel.DistributedDataParallel(layer)
            model(x).sum().backward()
            see(list(model.state_dict()), str(model), layer.weight.grad)
            with model.no_sync():
                see(list(sampler.DistributedSampler(range(5), shuffle=False)))
            frozen = torch.nn.Linear(1, 1).requires_grad_(False)
            see(attempt(parallel.DistributedDataParallel, frozen))
        finally:
            group.destroy_process_group()
        see(group.is_initialized())

    assert not {"RANK", "WORLD_SIZE"} & set(os.environ)
    assert_same(program)


def test_a_group_of_several_processes_is_refused_with_jaxs_way(monkeypatch):
    distributed = ours.distributed
    with pytest.raises(NotImplementedError, match=r"2 processes.*jax\.distributed"):
        distributed.init_process_group("gloo", rank=0, world_size=2)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(NotImplementedError, match="4 processes"):
        distributed.init_process_group()
    assert not distributed.is_initialized()


def test_a_state_dict_from_a_url(tmp_path):
    source = tmp_path / "net-0000.pt"
    ours.save({"w": ours.arange(3)}, source)
    folder = tmp_path / "kept"
    hub = ours.hub
    with pytest.raises(RuntimeError, match=r'invalid hash value.*expected "0000"'):
        hub.load_state_dict_from_url(source.as_uri(), folder, check_hash=True)
    assert not list(folder.iterdir())
    loaded = hub.load_state_dict_from_url(source.as_uri(), folder)
    source.unlink()  # the second time it is read from the folder
    again = importlib.import_module("funcgrad.torch.utils.model_zoo").load_url(source.as_uri(), folder)  # fmt: skip
    assert loaded["w"].tolist() == again["w"].tolist() == [0, 1, 2]


TREES = """
from collections import OrderedDict, defaultdict, deque, namedtuple
trees = import_module(torch.__name__ + ".utils._pytree")
Pair = namedtuple("Pair", "a b")
tree = {"b": [1, (2, None)], "a": Pair(3, OrderedDict(z=4, y=5)), "c": deque([6, 7]), "d": defaultdict(list, e=8), "f": ()}
leaves, spec = trees.tree_flatten(tree)
see(leaves, str(spec), spec.num_leaves, spec.num_nodes, spec.num_children, spec.is_leaf())
see(trees.tree_unflatten([10 * k for k in range(len(leaves))], spec) == trees.tree_map(lambda x: x, tree))
back = trees.tree_unflatten(range(len(leaves)), spec)
see(str(back), type(back["a"]).__name__, trees.tree_leaves(back), spec == trees.tree_structure(back))
see(trees.tree_map(lambda x, y: (x, y), [1, {"a": 2}], [3, {"a": 4}]), trees.tree_map(str, 5))
see(trees.tree_map_only(int, lambda x: -x, [1, "a", 2.0]), trees.tree_map_only((int, str), lambda x: x * 2, [1, "a", 2.0]))
see(trees.tree_map_only(lambda x: x == 1, lambda x: 7, [1, 2]))
see(trees.tree_all(lambda x: x > 0, [1, (2,)]), trees.tree_any(lambda x: x > 1, {"a": 1}))
see(trees.tree_leaves([(1, 2), [3]], is_leaf=lambda x: isinstance(x, tuple)), list(trees.tree_iter([1, [2]])))
see(spec.flatten_up_to(tree) == leaves, trees.tree_structure([1, 2]).flatten_up_to([[1], 2]))
see(attempt(trees.tree_unflatten, [1], spec), attempt(trees.tree_unflatten, [1], 3))
for other in ([3], 3, (3, 4), {"a": 1}):
    see(type(attempt(trees.tree_map, max, [1, 2], other)).__name__)
for other in ({"a": 1, "c": 2}, {"b": 1, "a": 2}):
    see(type(attempt(trees.tree_map, lambda x, y: (x, y), {"a": 1, "b": 2}, other)).__name__)
see(trees.tree_map(lambda x, y: (x, y), {"a": 1, "b": 2}, {"b": 3, "a": 4}))
class Own:
    def __init__(self, x, name):
        self.x, self.name = x, name
from collections import OrderedDict, defaultdict, deque, namedtuple
Pair = namedtuple("Pair", "x y")
held = {"a": [1, (2.5, None)], "b": Pair(3, deque([4])), "c": OrderedDict(k=5), "d": defaultdict(int, q=6)}
see([(trees.keystr(path), leaf, trees.key_get(held, path)) for path, leaf in trees.tree_leaves_with_path(held)])
see(trees.tree_map_with_path(lambda path, x, y: (trees.keystr(path), x, y), held, held)["b"].x)
see(str(trees.tree_flatten_with_path([1, {"k": 2}])), trees.treespec_pprint(trees.tree_structure(held)))
see(trees.tree_all_only(int, lambda x: x > 0, held), trees.tree_any_only(float, lambda x: x > 3, held))
see(trees.tree_is_leaf(3), trees.tree_is_leaf([3]), trees.tree_is_leaf([3], lambda x: True), trees.arg_tree_leaves(1, [2], k=3))
see(trees.is_namedtuple(held["b"]), trees.is_namedtuple(Pair), trees.is_namedtuple_class(tuple), trees.is_namedtuple_instance((1,)))
see([trees._get_node_type(x) in trees.SUPPORTED_NODES for x in (held, held["b"], 3, {3})])
trees.register_pytree_node(Own, lambda own: ([own.x], own.name), lambda parts, name: Own(*parts, name))
made = trees.tree_map(lambda x: x + 1, [Own(1, "n"), 2])
see(made[0].x, made[0].name, made[1], trees.tree_leaves(Own((1, 2), "m")))
"""


def test_trees():
    def program(torch, see):
        names = {"import_module": importlib.import_module, "attempt": attempt}
        exec(TREES, {"torch": torch, "see": see, **names})

    assert_same(program)
