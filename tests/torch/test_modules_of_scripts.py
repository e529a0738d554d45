"""Modules that public scripts import besides the large ones: they are PyTorch's, or say that PyTorch has them."""

import importlib

import pytest

from tests.both_sides import assert_same, attempt, every_warning, ours
from tests.processes import output_of


@pytest.mark.parametrize("name", ["export", "package", "nn.quantized", "_inductor.config"])
def test_a_module_that_only_pytorch_has_is_missing_in_words(name):
    with pytest.raises(
        ModuleNotFoundError, match=f"PyTorch has torch.{name}, .*Leave out"
    ) as caught:
        importlib.import_module(f"funcgrad.torch.{name}")
    assert caught.value.name == f"funcgrad.torch.{name}"


@pytest.mark.parametrize("name", ["nothing", "nn.nothing"])
def test_a_module_that_nobody_has_is_missing_as_usual(name):
    with pytest.raises(ModuleNotFoundError, match=rf"^No module named 'funcgrad\.torch\.{name}'$"):
        importlib.import_module(f"funcgrad.torch.{name}")


def test_functional_has_the_functions_of_torch():
    functional = importlib.import_module("funcgrad.torch.functional")
    assert functional.einsum is ours.einsum
    assert all(callable(getattr(functional, name)) for name in functional.__all__)


PROGRAMS = {
    "counts of operations": """
from importlib import import_module
Counter = import_module(torch.__name__ + ".utils.flop_counter").FlopCounterMode
nn, F = torch.nn, torch.nn.functional
def told(counted):
    counts = counted.get_flop_counts()
    see({place: sorted((str(op), n) for op, n in counts[place].items()) for place in sorted(counts)}, counted.get_total_flops())
net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
with Counter(display=False) as counted:
    net(torch.ones(2, 3, 8, 8)).sum().backward()
told(counted)
a, b, c = torch.ones(4, 5), torch.ones(5, 6), torch.ones(2, 3, 4, 5)
w = torch.ones(6, 5, requires_grad=True)
with Counter(display=False) as counted:
    a @ b, torch.mm(a, b), torch.matmul(c, b), c @ torch.ones(2, 3, 5, 6), torch.ones(5) @ b, a @ torch.ones(5)
    torch.bmm(c[0], torch.ones(3, 5, 6)), torch.addmm(torch.ones(6), a, b), torch.baddbmm(torch.ones(3, 4, 6), c[0], torch.ones(3, 5, 6))
    F.conv1d(torch.ones(1, 2, 9), torch.ones(4, 2, 3)), F.conv_transpose2d(torch.ones(1, 2, 5, 5), torch.ones(2, 3, 3, 3))
    (F.linear(c, w).sum() + F.linear(a, w, torch.ones(6)).sum()).backward()
told(counted)
""",
    "removed functions": """
for name in ("eig", "symeig", "lstsq", "solve", "matrix_rank"):
    see(attempt(getattr(torch, name), torch.eye(2), torch.eye(2)))
see(attempt(torch.eye(2).symeig, True))
""",
    "frombuffer": """
memory = bytearray(range(8))
shared = torch.frombuffer(memory, dtype=torch.int16)
memory[0] = 9
shared[1] = 7
see(shared, bytes(memory), torch.frombuffer(memory, dtype=torch.uint8, count=2, offset=3))
see(torch.frombuffer(memory, dtype=torch.float32, requires_grad=True).requires_grad)
for more in ({"count": 5}, {"offset": 1}, {"offset": 9}, {"offset": -1}, {"count": 0}):
    see(attempt(torch.frombuffer, memory, dtype=torch.int16, **more))
for wrong in ([1], bytearray()):
    see(attempt(torch.frombuffer, wrong, dtype=torch.int16))
""",
    "kernels of attention": """
from importlib import import_module
attention = import_module(torch.__name__ + ".nn.attention")
Backend = attention.SDPBackend
see({name: int(each) for name, each in Backend.__members__.items()}, str(Backend.MATH), repr(Backend.MATH))
x = torch.arange(6.0).reshape(1, 2, 3)
for backends in (Backend.MATH, [Backend.MATH, Backend.FLASH_ATTENTION]):
    with attention.sdpa_kernel(backends):
        see(torch.nn.functional.scaled_dot_product_attention(x, x, x))
see(attempt(attention.sdpa_kernel(3).__enter__))
switches = import_module(torch.__name__ + ".backends.cuda")
def all_switches():
    return [getattr(switches, f"{name}_sdp_enabled")() for name in ("flash", "math", "mem_efficient", "cudnn")]
with switches.sdp_kernel(enable_flash=False, enable_mem_efficient=False):
    see(torch.nn.functional.scaled_dot_product_attention(x, x, x), all_switches())
see(all_switches())
for name in ("flash", "math", "mem_efficient", "cudnn"):
    getattr(switches, f"enable_{name}_sdp")(False)
    see(all_switches())
    getattr(switches, f"enable_{name}_sdp")(True)
""",
    "attention of functions": """
from importlib import import_module
flex = import_module(torch.__name__ + ".nn.attention.flex_attention")
flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = True  # PyTorch would compile
torch.manual_seed(0)
shapes = (2, 4, 10, 4), (2, 2, 12, 4), (2, 2, 12, 4), (4, 12)
q, k, v, bias = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
def changed(score, b, h, i, j):
    return torch.tanh(score) + bias[h, j] - (i - j) * 0.1
window = flex.and_masks(lambda b, h, i, j: i >= j, lambda b, h, i, j: j > 1)
mask = flex.create_block_mask(window, None, None, 10, 12, "cpu", BLOCK_SIZE=4)
see(flex.flex_attention(q, k, v, enable_gqa=True), flex.flex_attention(q[:, :2], k, v, changed, scale=0.3))
made, aux = flex.flex_attention(q, k, v, changed, mask, enable_gqa=True, return_aux=flex.AuxRequest(lse=True))
see(made, aux.lse, aux.max_scores)
see(str(mask), repr(mask), str(mask[0, :, 1:]), mask.to_dense(), mask._adjust(8, 8).to_dense(), mask.numel(), mask.as_tuple()[:10])
whole = flex.create_block_mask(flex.or_masks(window, flex.noop_mask), 2, 3, 300, 257, "cpu", separate_full_blocks=False)
see(str(whole), whole.shape, whole.sparsity(), whole.full_kv_indices)
see(flex.create_mask(lambda s, b, h, i, j: torch.where(i > j, s, -float("inf")), 1, 1, 3, 3, "cpu"))
for wrong in (
    lambda: flex.flex_attention(q, k, v), lambda: flex.flex_attention(q[0], k[0], v[0]), lambda: flex.flex_attention(q, k[..., :2], v),
    lambda: flex.flex_attention(q[:, :3], k, v, enable_gqa=True), lambda: flex.flex_attention(q[:1, :2], k, v),
    lambda: flex.flex_attention(q[:, :2, :8], k, v, block_mask=mask), lambda: flex.flex_attention(q[:, :2], k, v, block_mask=mask[0]),
    lambda: flex.flex_attention(torch.ones(1, 1, 20, 2), torch.ones(1, 1, 12, 2), torch.ones(1, 1, 12, 2), block_mask=mask),
    lambda: flex.create_block_mask(changed, 1, 1, 2, 2), lambda: flex.or_masks(1), lambda: flex.create_mask(max, 1, 1, 2, 2, "cpu"),
):
    see(type(attempt(wrong)).__name__)
    if wrong.__code__.co_names[-1] != "create_mask":
        see(str(attempt(wrong)).split("Got <")[0])
bias = import_module(torch.__name__ + ".nn.attention.bias")
attend = torch.nn.functional.scaled_dot_product_attention
k = torch.randn(2, 4, 12, 4, dtype=torch.float64)
see(attend(q, k, k, bias.causal_lower_right(10, 12)), attend(q, k, k, attn_mask=bias.causal_upper_left(10, 12)))
see(repr(bias.causal_lower_right(2, 3)), str(bias.causal_upper_left(3, 2).variant), attempt(bias.causal_lower_right, 2))
see(attempt(bias.CausalBias, 1, 2, 3), repr(bias.causal_lower_right(3, 2)), attempt(attend, q, k, k, bias.causal_upper_left(10, 12), 0.0, True))
""",
    "graphs of modules": """
import copy, math, operator
from importlib import import_module
nn, fx = torch.nn, import_module(torch.__name__ + ".fx")
F = nn.functional
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.param = nn.Parameter(torch.arange(12.0).reshape(3, 4))
        self.linear, self.layers = nn.Linear(4, 5), nn.Sequential(nn.Linear(5, 2), nn.ReLU())
        self.register_buffer("of_buffer", torch.ones(2))
        self.constant = torch.ones(2) * 3
    def forward(self, x, k=2.0):
        y = self.linear(x + self.param).clamp(min=0.0, max=1.0)
        y = self.layers(y) + self.of_buffer * self.constant
        a, b = torch.cat([y, -y], dim=1)[:, 1:3].split(1, 1)
        z = F.relu(a, inplace=False) * k + b.shape[0] + math.sqrt(4.0) + 2 / (a.T.sum() ** 2 + 1)
        return z, {"y": torch.tanh(y), "d": z.float().to(torch.float64)}
torch.manual_seed(0)
net, x = Net(), torch.randn(3, 4)
traced = fx.symbolic_trace(net)
see(str(traced.graph), traced.code, str(traced), list(traced.state_dict()), traced(x)[0].detach(), net(x)[1]["d"].detach())
see(fx.Interpreter(traced).run(x)[0].detach(), str(copy.deepcopy(traced).graph), copy.deepcopy(traced)(x)[0].detach())
for node in traced.graph.nodes:
    if node.op == "call_function" and node.target is operator.add:
        node.target = operator.mul
    if node.target is F.relu:
        with traced.graph.inserting_after(node):
            other = traced.graph.call_function(torch.sigmoid, (node.args[0],))
            node.replace_all_uses_with(other)
        traced.graph.erase_node(node)
traced.graph.lint()
traced.recompile()
see(traced.code, traced(x)[0].detach(), attempt(traced.graph.erase_node, other).__class__.__name__)
shapes = import_module(torch.__name__ + ".fx.passes.shape_prop")
layers = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
shapes.ShapeProp(layers).propagate(torch.ones(4, 2))
see([(n.name, *(str(part) for part in n.meta["tensor_meta"][:4])) for n in layers.graph.nodes])
class Whole(fx.Tracer):
    def is_leaf_module(self, module, name):
        return isinstance(module, nn.Sequential) or super().is_leaf_module(module, name)
see(str(Whole().trace(net)))
def double(x, w, *, scale=1):
    return torch.relu(x @ w) * scale + torch.relu(w @ x)
both = fx.symbolic_trace(double, {"scale": 3})
see(len(fx.replace_pattern(both, lambda a: torch.relu(a), lambda a: torch.tanh(a) * 2)))
see(both(x @ x.T, x @ x.T, 3), attempt(both, x @ x.T, x @ x.T, 4), [n.target.__name__ for n in both.graph.nodes if n.op == "call_function"].count("tanh"))
class Turned(fx.Transformer):
    def call_function(self, target, args, kwargs):
        return super().call_function(torch.sin if target is torch.tanh else target, args, kwargs)
see(Turned(both).transform()(x @ x.T / 10, x @ x.T / 10, 3))
graph = fx.Graph()
graph.output((fx.Proxy(graph.placeholder("x")).relu() + 1).node)
graph.call_function(torch.exp, (next(iter(graph.nodes)),))
see(str(graph), graph.eliminate_dead_code(), str(graph), fx.GraphModule({}, graph).code, fx.GraphModule({}, graph)(x))
for refused in (lambda x: x if x > 0 else -x, lambda x: [each for each in x], lambda x: len(x), lambda x: bool(x)):
    see(attempt(fx.symbolic_trace, refused))
def unpacked(*xs):
    a, b = xs
    return a + b
for anything in (unpacked, lambda **given: given["a"], lambda x, *y, k=1, **z: x * k + y[0] + z["q"]):
    of_any = fx.symbolic_trace(anything)
    see(of_any.code, str(of_any.graph))
see(of_any(x, x, k=2, q=x))
ways, made = fx.Graph(), []
first, second = (fx.Proxy(ways.placeholder(name), fx.proxy.GraphAppendingTracer(ways)) for name in "ab")
torch.einsum("ij,jk->ik", first, second)
torch.einsum("ij,jk->ik", [first, second])
torch._assert(first.shape[0] == 2, "two")
see([(node.op, node.name, str(node.args)) for node in ways.nodes])
see(fx.symbolic_trace(lambda x: x.view(x.shape[0], -1).permute(1, 0) @ x[..., None]).code)
see(type(attempt(fx.Interpreter(layers).run)).__name__, attempt(fx.wrap, 3))
""",
    "ops of the user's": """
import numpy as np
from importlib import import_module
from typing import List, Optional, Tuple
library = import_module(torch.__name__ + ".library")
Tensor = torch.Tensor
# Each side has its own register of names.
@library.custom_op("mylib::sine", mutates_args=())
def sine(x: Tensor) -> Tensor:
    return torch.from_numpy(np.sin(x.numpy()))
x = torch.tensor([0.5, 1.0], requires_grad=True)
see(repr(sine), sine(x), attempt(sine(x).sum().backward))
sine.register_autograd(
    lambda ctx, g: g * ctx.saved_tensors[0].cos(),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)
sine(x).pow(2).sum().backward()
see(x.grad, torch.ops.mylib.sine(x), str(torch.ops.mylib.sine), attempt(sine, torch.ones(2, device="meta")))
library.register_fake("mylib::sine", lambda x: torch.empty_like(x))
see(sine(torch.ones(2, device="meta")).shape, library.opcheck(sine, (x,), test_utils=("test_schema", "test_faketensor")))
for wrong in ((3,), (), (x, x)):
    see(attempt(sine, *wrong))
library.custom_op(
    "mylib::told", lambda x, k: x * k, mutates_args=(), schema="(Tensor x, int k) -> Tensor"
)
see(torch.ops.mylib.told(torch.ones(2), 3))
@library.custom_op("mylib::two", mutates_args=())
def two(x: Tensor, k: float, n: int = 2, w: Optional[Tensor] = None, *, s: str = "a") -> Tuple[Tensor, Tensor]:
    return x * k, x + n
def setup(ctx, inputs, keyword_only_inputs, output):
    see(len(inputs), inputs[1:], keyword_only_inputs, type(output).__name__)
    ctx.k = inputs[1]
library.register_autograd("mylib::two", lambda ctx, a, b: (a * ctx.k + b, None, None, None), setup_context=setup)
a, b = two(x, 2.0, s="q")
(a + b).sum().backward()
see(a, b, x.grad, two._schema if isinstance(two._schema, str) else str(two._schema))
@library.custom_op("mylib::many", mutates_args=())
def many(xs: List[Tensor], d: torch.dtype, i: List[int]) -> List[Tensor]:
    return [each * 2 for each in xs]
see(many([x.detach(), x.detach()], torch.float32, [1, 2]), library.infer_schema(many._init_fn, mutates_args=()))
@library.custom_op("mylib::grow", mutates_args={"x"})
def grow(x: Tensor) -> None:
    x.add_(1)
z = torch.zeros(2)
see(grow(z), z, z._version)
see(type(attempt(getattr, torch.ops.mylib, "nothing")).__name__)
def bare(x) -> Tensor: ...
def unreturned(x: Tensor): ...
for function in (bare, unreturned):
    see(attempt(library.infer_schema, function, mutates_args=()))
see(torch.vmap(sine)(torch.ones(3, 2)))
sine.register_vmap(lambda info, in_dims, x: (sine(x) * 2, in_dims[0]))
see(torch.vmap(sine)(torch.ones(3, 2)))
with torch.no_grad():
    see(sine(x).requires_grad)
""",
    "nested tensors": """
from importlib import import_module
import warnings
warnings.filterwarnings("ignore", message="The PyTorch API of nested tensors is in prototype stage")
nested, F = import_module(torch.__name__ + ".nested"), torch.nn.functional
a, b = torch.arange(6.0).reshape(2, 3), torch.arange(3.0).reshape(1, 3) + 10
n, j = nested.nested_tensor([a, b]), nested.nested_tensor([a, b], layout=torch.jagged)
w = torch.arange(12.0).reshape(4, 3)
for made in (
    n, n * 2, n + n, n / 2, -n, F.relu(n), n.sin(), F.linear(n, w), torch.matmul(n, n.transpose(1, 2)), F.softmax(n, -1), n.transpose(-1, -2),
    n.to(torch.float64), n.clone(), n.unsqueeze(-1), torch.cat([n, n]), n.masked_fill(n > 1, 0), nested.as_nested_tensor([a, b]),
    nested.nested_tensor([[1, 2], [3]]), nested.nested_tensor([a, b], dtype=torch.float64), nested.as_nested_tensor(torch.ones(2, 2, 3)), nested.nested_tensor([]),
    F.scaled_dot_product_attention(*[nested.nested_tensor([torch.ones(2, 2, 4), torch.ones(2, 3, 4)])] * 3), nested.nested_tensor([a, b], requires_grad=True),
):
    see(str(made))
torch.manual_seed(0)
see(str(F.dropout(n, 0.5)), F.dropout(j, 0.5).values(), F.dropout(n, 0.5, False)[0])
see(n.is_nested, n.dim(), n.size(0), n.size(2), n.size(-1), n.numel(), n.unbind(), n[1], n.values(), n.dtype, str(n.layout), n.is_contiguous(), isinstance(n, torch.Tensor))
see(j.values(), j.offsets(), j.unbind(), j.size(0), j.dim(), str(j.layout), (j * 2).values(), F.linear(j, w).values(), j.sum(-1).values(), j.softmax(-1).values())
see(nested.to_padded_tensor(n, 0.5), n.to_padded_tensor(-1.0, (2, 3, 4)), nested.to_padded_tensor(j, 0.0))
see(nested.nested_tensor_from_jagged(torch.arange(10.0).reshape(5, 2), torch.tensor([0, 2, 5])).unbind())
words = nested.nested_tensor([torch.tensor([1, 2]), torch.tensor([0])], layout=torch.jagged)
see(F.embedding(words, torch.eye(3)).values(), torch.nn.Linear(3, 2, dtype=torch.float64)(n.double())[0].shape)
for wrong in (
    lambda: n.size(1), lambda: n.shape, lambda: n.size(), lambda: len(n), lambda: n * a, lambda: n @ w.t(), lambda: n.sum(-1), lambda: n.sum(1), lambda: n.item(),
    lambda: nested.nested_tensor([torch.ones(2, 2), torch.ones(2)]), lambda: nested.nested_tensor_from_jagged(a),
):
    see(attempt(wrong))
for refused in (lambda: torch.stack([n, n]), lambda: n.numpy(), lambda: n.sum(), lambda: nested.to_padded_tensor(n, 0.0, (2, 1, 3))):
    see(isinstance(attempt(refused), RuntimeError))
p, q = a.clone().requires_grad_(), b.clone().requires_grad_()
nested.to_padded_tensor(F.relu(nested.as_nested_tensor([p, q]) * 2), 0.0).pow(2).sum().backward()
leaf = nested.nested_tensor([a, b], requires_grad=True)
nested.to_padded_tensor(leaf * 3, 0.0).sum().backward()
see(p.grad, q.grad, str(leaf.grad), leaf.is_leaf, leaf.requires_grad)
""",
    "windows of one element along a dimension": """
x = torch.tensor([[3.0, 1.0, 4.0, 1.0], [5.0, 9.0, 2.0, 6.0]]).reshape(1, 1, 4, 2).requires_grad_()
for kernel in ((4, 1), (2, 1), (1, 2), (1, 1), 1):
    values, places = torch.nn.functional.max_pool2d(x, kernel, return_indices=True)
    gradient, = torch.autograd.grad((values * torch.arange(1.0, values.numel() + 1).reshape(values.shape)).sum(), x)
    see(values, places, gradient)
see(torch.nn.MaxPool3d((2, 1, 2))(torch.arange(8.0).reshape(1, 2, 2, 2)))
""",
    "sizes of storages": """
import sys, warnings
warnings.filterwarnings("ignore", message="TypedStorage is deprecated")  # told once a process
def bytes_more(kind):
    few, many = (getattr(torch.zeros(n), kind)() for n in (10, 1010))
    return sys.getsizeof(many) - sys.getsizeof(few)
see(bytes_more("untyped_storage"), bytes_more("storage"))
""",
    "assert": """
see(torch._assert(True, "no"), attempt(torch._assert, 1 > 2, "two is more"))
""",
    "sizes of layers": """
from importlib import import_module
utils = import_module(torch.__name__ + ".nn.modules.utils")
see(utils._pair(3), utils._triple((1, 2, 3)), utils._single([4]), utils._quadruple("ab"))
see(utils._reverse_repeat_tuple((1, 2), 2))
state = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 1)}).state_dict()
utils.consume_prefix_in_state_dict_if_present(state, "module.")
see(list(state), sorted(state._metadata))
""",
    "assert_close": """
import numpy as np
close = torch.testing.assert_close
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
see(close(x, x + 1e-6), close(x.double(), x, check_dtype=False), close((1, [2.0]), (1, [2.0])))
see(close(np.ones(2), np.ones(2)), close({"a": x}, {"a": x}), close(float("nan"), float("nan"), equal_nan=True))
nan = torch.tensor([float("nan"), 1.0])
for pair, more in (
    ((x, x + torch.tensor([[0.0, 0.5], [0.0, 2.0]])), {}),
    ((x, x * 1.01), {"rtol": 0.001, "atol": 0.0}),
    ((x.long(), x.long() + 1), {}),
    ((x, x + 0.1), {"rtol": 0, "atol": 0}),
    ((x, x[0]), {}),
    ((x, x.double()), {}),
    ((x, x.t().contiguous().t()), {"check_stride": True}),
    ((x[0, 0], x[1, 1]), {}),
    ((nan, nan), {}),
    ((1.0, 1.5), {}),
    ((1, 1.0), {}),
    ((0.5, 0), {"check_dtype": False}),
    ((True, False), {}),
    ((None, 1), {}),
    ((x, [1.0]), {}),
    (([x, x], [x, x + 1]), {}),
    (({"a": [1, 2]}, {"a": [1, 3]}), {}),
    (([1], [1, 2]), {}),
    (({"a": 1, "c": 2}, {"a": 1, "b": 2}), {}),
    (("a", "a"), {}),
    ((x, x), {"rtol": 1e-3}),
    ((x, x + 1), {"msg": "wrong"}),
    ((x, x + 1), {"msg": lambda words: "first: " + words}),
    ((np.ones(2), np.zeros(2)), {}),
    ((x > 2, x > 1), {}),
    ((torch.tensor([1 + 2j]), torch.tensor([2 + 2j])), {}),
    ((x.requires_grad_(), x.detach()), {}),
):
    found = attempt(close, *pair, **more)
    see(type(found).__name__, str(found).replace("funcgrad.torch", "torch"))
""",
    "words for tensors on several devices": """
from importlib import import_module
words = import_module(torch.__name__ + ".distributed.tensor")
shard, whole, part = words.Shard(1), words.Replicate(), words.Partial()
see(shard == words.Shard(1), shard == words.Shard(0), shard.dim, whole == words.Replicate(), part.reduce_op, len({shard, whole, part}))
see(shard.is_shard(), shard.is_shard(0), whole.is_replicate(), part.is_partial(), part.is_partial("avg"), whole.is_shard())
see(isinstance(shard, words.Placement))
""",
    "a dictionary's functions as a tree": """
from importlib import import_module
trees = import_module(torch.__name__ + ".utils._pytree")
see(trees._dict_flatten({"b": 1, "a": 2}), trees._dict_unflatten([1, 2], ["b", "a"]))
see([(str(key), value) for key, value in trees._dict_flatten_with_keys({"b": 1})[0]])
""",
    "the device of a block": """
with torch.device("cpu") as where:
    see(str(where), str(torch.get_default_device()), torch.zeros(2))
see(str(torch.get_default_device()))
""",
    "modules that libraries import": """
from importlib import import_module
def module(name):
    return import_module(torch.__name__ + "." + name)
private, printing = module("_C"), module("_tensor_str")
see(module("onnx").is_in_onnx_export(), private._get_tracing_state(), private._log_api_usage_once("a"), isinstance(1, private.Value))
see(module("_dynamo").is_compiling(), isinstance(torch.nn.ReLU(), module("_dynamo").OptimizedModule))
x = torch.arange(30.0).reshape(2, 15)
see(isinstance(x.untyped_storage(), torch.UntypedStorage), isinstance(x.untyped_storage(), module("storage").TypedStorage))
for each in (x, x.int(), x[:0], x > 3, x[0, 0], torch.complex(x, x), torch.ones(2000), x.bfloat16()):
    see(printing._tensor_str(each, 4))
for more in ([], ["a=1"], ["a=1", "b" * 80]):
    see(printing._add_suffixes("x(", more, 2, False), printing._add_suffixes("x(", more, 2, True))
see(printing.PRINT_OPTS.threshold, printing.PRINT_OPTS.linewidth)
see(torch.ops.aten.add.Tensor(x, x), torch.ops.aten.sum.dim_IntList(x, [0], True), torch.ops.aten.mul(x, 2))
see(repr(torch.ops.aten.add.Tensor), repr(torch.ops.aten.add), torch.ops.aten.add is torch.ops.aten.add)
see(torch.ops.aten.add.Tensor is torch.ops.aten.add.Tensor, attempt(lambda: torch.ops.mine.op))
see(issubclass(torch.jit.TracerWarning, Warning), str(module("futures").Future[int]).endswith("Future[int]"))
see(module("nn.modules.module")._IncompatibleKeys([], ["a"]))
""",
    "sizes that are no integers": """
x = torch.ones(1, 1)
for method in ("repeat", "tile", "expand", "permute", "reshape"):
    for wrong in ((0.5,), (1, 0.5), ([0.5],), ([1, 0.5],), (True,), ([True],), ("a",), (None,), (1, None), (torch.tensor(2.0),)):
        see(attempt(getattr(x, method), *wrong))
see(x.repeat(1, True).shape, attempt(x.view, 1, 0.5), attempt(x.view, [1, None]))
""",
    "what is not pickled or converted": """
import io, re
import numpy as np
def outer():
    class Local:
        pass
    return Local
for wrong in (outer(), outer()(), outer, [lambda x: x], {"a": outer}):
    error, words = attempt(torch.save, wrong, io.BytesIO())
    see(error, re.sub("0x[0-9a-f]+", "0x", words))
for kind in (np.array(["a"]), np.array([None]), np.array([1], dtype="M8[s]")):
    see(attempt(torch.from_numpy, kind), attempt(torch.tensor, kind))
""",
    "printed parameters of other classes": """
class Mine(torch.nn.Parameter):
    pass
class Plain(torch.nn.Parameter):
    __repr__ = torch.Tensor.__repr__
class Kind(torch.Tensor):
    pass
for each in (Mine(torch.ones(2)), Mine(torch.ones(2), requires_grad=False), Plain(torch.ones(30)), Kind([1.0])):
    see(repr(each))
see(repr(torch.nn.Parameter(Kind([1.0]))), str(Mine(torch.ones(1)) * 2), repr(torch.nn.Parameter(torch.ones(1))))
""",
    "marks of TorchScript": """
@torch.jit.ignore
def first(x):
    return x + 1
@torch.jit.unused
def second(x):
    return x + 2
@torch.jit.export
def third(x):
    return x + 3
@torch.jit.ignore(drop=False)
def fourth(x):
    return x + 4
see([each(torch.ones(1)) for each in (first, second, third, fourth)])
see(torch.jit.is_scripting(), torch.jit.is_tracing(), isinstance(torch.nn.ReLU(), torch.jit.ScriptModule))
""",
    "averages of weights": """
averages = torch.optim.swa_utils
for more in (
    {},
    {"multi_avg_fn": averages.get_ema_multi_avg_fn(0.9)},
    {"multi_avg_fn": averages.get_swa_multi_avg_fn()},
    {"avg_fn": averages.get_ema_avg_fn(0.5), "use_buffers": True},
    {"avg_fn": averages.get_swa_avg_fn()},
):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    average = averages.AveragedModel(model, **more)
    for _ in range(3):
        with torch.no_grad():
            for each in model.parameters():
                each.mul_(1.5)
            model(torch.randn(4, 2))
        average.update_parameters(model)
    see({name: each.clone() for name, each in average.state_dict().items()})
    averages.update_bn([torch.randn(4, 2), (torch.randn(4, 2), 1)], average)
    see({name: each.clone() for name, each in average.state_dict().items()}, average.training)
    see(average.eval()(torch.eye(2)).detach())
see(attempt(averages.get_ema_avg_fn, 1.5), attempt(averages.get_ema_multi_avg_fn, -1))
see(attempt(averages.AveragedModel, model, None, max, max))
""",
    "the schedule of averages": """
for more in ({"anneal_epochs": 3}, {"anneal_strategy": "linear", "anneal_epochs": 2}, {"anneal_epochs": 0}):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    schedule = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.1, **more)
    rates = []
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates.append(torch.tensor(schedule.get_last_lr(), dtype=torch.float64))
    see(rates, sorted(schedule.state_dict()))
    copy = torch.optim.swa_utils.SWALR(optimizer, swa_lr=[0.2])
    copy.load_state_dict(schedule.state_dict())
    see(copy.last_epoch, copy.anneal_epochs)
for wrong in ({"anneal_strategy": "sine"}, {"anneal_epochs": -1}, {"swa_lr": [1, 2]}):
    see(attempt(torch.optim.swa_utils.SWALR, optimizer, **{"swa_lr": 0.1, **wrong}))
""",
}


# Run in a Python of its own: names of global values depend on what else the process has.
ANNOTATIONS = """
from importlib import import_module
fx = import_module(torch.__name__ + ".fx")
from typing import Any, Dict, List, Optional, Tuple
def typed(a: torch.Tensor, b: List[int], c: Optional[torch.Tensor] = None, d: "int" = 3, e: Tuple[int, ...] = (), f: int | None = None,
          g: Dict[str, Any] = None, h: list[int] = None, i: Any = None) -> Tuple[torch.Tensor, int]:
    return a + d, 3
of_typed = fx.symbolic_trace(typed)
see(of_typed.code, str(of_typed.graph))
"""


def test_annotations_of_a_traced_function():
    pytest.importorskip("torch")
    output_of(
        "-c",
        "from tests.both_sides import assert_same\n"
        "from tests.torch.test_modules_of_scripts import ANNOTATIONS\n"
        "assert_same(lambda torch, see: exec(ANNOTATIONS, {'torch': torch, 'see': see}))",
    )


@pytest.mark.parametrize("title", PROGRAMS)
def test_programs(title):
    def program(torch, see):
        exec(PROGRAMS[title], {"torch": torch, "see": see, "attempt": attempt})

    pytest.importorskip("torch.optim.swa_utils")
    with every_warning():
        assert_same(program)


BENCHMARK = """
import re
from importlib import import_module
benchmark = import_module(torch.__name__ + ".utils.benchmark")
def shown(thing):
    return re.sub(r"0x[0-9a-f]+", "0x", str(thing)).replace("funcgrad.torch", "torch").splitlines()[1:]
task = benchmark.TaskSpec("x + 1", "pass", label="Sum", sub_label="small", description="old", num_threads=2)
long = benchmark.TaskSpec("x\\ny", "a\\nb")
few = benchmark.Measurement(10, [1e-3], task)
many = benchmark.Measurement(100, [1e-4 * k for k in (5, 6, 7, 8, 20)], long)
calm = benchmark.Measurement(1, [2.0, 2.0, 2.01, 2.0, 2.02], benchmark.TaskSpec("f(x)", "import f", description="d"))
for each in (few, many, calm):
    see(shown(each), each.title, each.as_row_name, each.significant_figures, each.has_warnings, each.meets_confidence(0.5))
    see(torch.tensor([each.median, each.mean, each.iqr], dtype=torch.float64), each.times, each.stmt, each.num_threads)
results = []
for k, (sub, what, threads) in enumerate((("a", "one", 1), ("b", "one", 1), ("a", "two", 1), ("bc", "two", 4), ("a", "one", 4))):
    spec = benchmark.TaskSpec("s", "pass", label="L", sub_label=sub, description=what, num_threads=threads)
    results.append(benchmark.Measurement(1, [1e-6 * (k + 1) ** 2 * each for each in (1.0, 1.02, 1.04, 1.5)], spec))
elsewhere = [benchmark.Measurement(1, [1e-3], benchmark.TaskSpec("s", "pass", label="L", sub_label=sub, env=env, description="d"))
    for env in ("left", "right!") for sub in ("a", "b")]
see(str(benchmark.Compare(elsewhere)))
see(str(benchmark.Compare(results)), len(benchmark.Measurement.merge(results * 2)))
table = benchmark.Compare(results + [calm])
table.trim_significant_figures()
see(str(table))
table.highlight_warnings()
table.colorize()
see(str(table))
table.colorize(rowwise=True)
see(str(table), attempt(benchmark.Compare, [1]))
timer = benchmark.Timer("y = x + 1", "x = torch.ones(2)", label="Sum")
see(timer.timeit(3).number_per_run, len(timer.timeit(3).raw_times), shown(timer.timeit(3))[0])
seen = []
found = timer.blocked_autorange(lambda number, spent: seen.append(number), min_run_time=1e-3)
see(sum(found.raw_times) >= 1e-3, seen == [found.number_per_run] * len(found.raw_times), found.mean > 0)
see(len(timer.adaptive_autorange(100.0).raw_times) >= 4)
for wrong in ((1,), ("pass", "pass", "x"), ("pass", "pass", "", max, {}, "", "", "", "", 1, "ruby")):
    see(attempt(benchmark.Timer, *wrong))
"""


def test_times_of_statements():
    def program(torch, see):
        exec(BENCHMARK, {"torch": torch, "see": see, "attempt": attempt})

    assert_same(program, rtol=1e-12)


def test_a_script_is_its_function():
    def double(x):
        return 2 * x

    layer = ours.nn.Linear(1, 1)
    assert ours.jit.script(double) is double
    assert ours.jit.script(layer) is layer
    with pytest.raises(AttributeError, match=r"PyTorch has torch\.jit\.export_opnames"):
        ours.jit.export_opnames  # noqa: B018
    with pytest.raises(NotImplementedError, match=r"torch\.compile"):
        ours.jit.ScriptModule()


TRACED = """
import warnings
torch.manual_seed(0)
warnings.simplefilter("ignore")
model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Dropout(0.5)).eval()
x = torch.randn(4, 2)
for traced in (
    torch.jit.trace(model, x), torch.jit.trace(model, (x,)), torch.jit.freeze(torch.jit.trace(model, x)),
    torch.jit.optimize_for_inference(torch.jit.trace(model, x)),
):
    see(traced(x).detach(), traced(x[:2] * 2).detach())
see([each.clone() for each in model.buffers()], model.training)
see(torch.jit.trace(lambda a, b: (a @ b).relu(), (x, x.t()))(x * 2, x.t()))
see(torch.jit.trace(lambda a, b: a - b, example_kwarg_inputs={"a": x, "b": x + 1})(a=x, b=x * 2))
see(attempt(torch.jit.trace, model, torch.ones(1, 3)), attempt(torch.jit.freeze, torch.jit.script(model.train())))
"""


def test_traces_compute_as_pytorchs():
    def program(torch, see):
        exec(TRACED, {"__name__": "traced", "torch": torch, "see": see, "attempt": attempt})

    assert_same(program)


@pytest.mark.parametrize("function", [lambda x: 2 * x if x.sum() > 0 else x, lambda x: x * x[0].item()])  # fmt: skip
def test_a_trace_that_depends_on_elements_is_refused(function):
    with (
        pytest.warns(DeprecationWarning, match=r"torch\.jit\.trace"),
        pytest.raises(NotImplementedError, match="elements of the example"),
    ):
        ours.jit.trace(function, ours.ones(2))


def test_files_of_torchscript_are_refused():
    layer = ours.nn.Linear(1, 1)
    for refused in (lambda: ours.jit.save(layer, "file"), lambda: ours.jit.load("file")):
        with pytest.raises(NotImplementedError, match="state_dict"):
            refused()


@pytest.mark.parametrize("make", ["MultiheadAttention(4, 2)", "GRU(4, 4)"])
def test_layers_whose_products_nobody_sees_are_not_counted_as_nothing(make):
    layer, x = eval(f"ours.nn.{make}"), ours.ones(3, 1, 4)
    counter = ours.utils.flop_counter.FlopCounterMode(display=False)
    with pytest.raises(NotImplementedError, match="one op"), counter:
        layer(x, x, x) if make[0] == "M" else layer(x)


def test_the_table_of_counts(capsys):
    with ours.utils.flop_counter.FlopCounterMode():
        ours.nn.Linear(1000, 1000)(ours.ones(2, 1000))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["Global", "4000.000K", "100.00%"],
        ["-", "aten.addmm", "4000.000K", "100.00%"],
    ]
