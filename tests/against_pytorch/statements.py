"""Programs made up of statements as public code has them: modules, optimizers, masks, memory shared with NumPy, hooks, mistakes.

A seed makes a list of statements. Each runs on PyTorch and on the shim, and after each everything that can be seen is
compared: tensors, gradients, versions, flags, NumPy arrays, the states of modules and optimizers, errors and warnings.
A statement that fails is caught, as a notebook does, and the program goes on with what it left. `python -m
tests.against_pytorch.fuzz --generator statements --programs 1000` runs as many as asked.
"""

import copy
import io
import pickle
import random
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from tests.both_sides import attempt, elements, every_warning, ours, theirs
from tests.engine_modes import mode as engine_mode

Scope = dict[str, Any]

START = """
a = torch.tensor([[0.5, -1.0, 2.0, 0.25], [1.5, 0.75, -0.5, 1.0], [-2.0, 1.25, 0.1, -0.3]], requires_grad=True)
b = torch.tensor([1.0, -0.5, 0.3, 2.0], requires_grad=True)
c = torch.tensor([[0.2], [-0.7], [1.1]])
d = a * 1
n = np.array([[1.0, 2.0, -1.0, 0.5], [0.5, -0.25, 3.0, 1.0], [2.0, 1.0, 0.0, -1.5]], dtype=np.float32)
m = nn.Linear(4, 4)
o = torch.optim.SGD(m.parameters(), lr=0.1)
s = torch.optim.lr_scheduler.StepLR(o, 2)
k = torch.tensor([0, 2, 1])

class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * 2 + x * 0

class Inplace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return g * 2

class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g.view_as(g)
"""
TENSORS, ARRAYS = "abcdefg", "n"
# The texts that a name in braces may stand for.
PARTS: dict[str, tuple[str, ...]] = {
    "t": tuple(TENSORS),
    "new": ("d", "e", "f", "g"),
    "leaf": ("a", "b", "c"),
    "x": (
        "{t}", "{t}", "{t}", "{t}[0]", "{t}[1:]", "{t}.t()", "{t}[:, 1]", "{t}.detach()", "{t} * {t}", "{t}.mean(0)",
        "torch.from_numpy(n)", "m({t})", "{t}.grad", "{t}.data", "{t}.sum()", "{t}.view(-1)[::2]", "{t}.double()",
    ),
    "f": (
        "sin", "exp", "tanh", "sigmoid", "relu", "abs", "sqrt", "square", "neg", "clone", "contiguous", "detach", "cumsum(-1).neg",
        "softmax(-1).log", "float", "sign", "round", "t", "ravel", "squeeze", "sort(-1)[0].exp", "flip(0).cos",
    ),
    "f_": ("sin_", "exp_", "tanh_", "sigmoid_", "relu_", "abs_", "square_", "neg_", "zero_", "t_", "detach_", "requires_grad_"),
    "op": ("+", "-", "*", "/", "@", "**", "//", "%", "<", "=="),
    "op=": ("+=", "-=", "*=", "/=", "**=", "@="),
    "op_": ("add_", "sub_", "mul_", "copy_", "div_", "clamp_", "pow_"),
    "w": ("0", "-1", "1:", "::2", "..., 0", ":, 1", "k", "{t} > 0", "None", "k[:2], 1", "0, 1", "[0, 1]"),
    "v": ("{t}", "{t}[{w}]", "{t}.view(-1)[1:]", "{t}.t()", "{t}[1:][0]", "{t}.unbind(0)[0]", "{t}.detach()", "{t}.data",
          "{t}.grad", "{t}.T[1]", "{t}.reshape(4, 3)", "{t}.chunk(2)[1]", "{t}.diagonal()", "{t}.expand(3, 4)"),
    "r": ("sum()", "mean()", "std()", "max()", "norm()", "prod()", "pow(2).sum()", "mean(0).sum()", "logsumexp(0).sum()",
          "amax(-1).sum()", "median()", "var(0).sum()", "view(-1)[0]"),
    "q": ("0", "1", "2", "-1", "0.5", "3.0", "1e-3", "True"),
    "bool": ("True", "False"),
    "graph": ("", "", "retain_graph=True", "create_graph=True"),
    "dtype": ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool", "complex64", "uint8"),
    "optimizer": (
        "SGD({p}, lr=0.1)", "SGD({p}, lr=0.1, momentum=0.9)", "SGD({p}, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)",
        "Adam({p}, lr=0.05)", "Adam({p}, lr=0.05, amsgrad=True, weight_decay=0.1)", "AdamW({p}, lr=0.05)", "RMSprop({p}, lr=0.01)",
        "Adagrad({p}, lr=0.1)", "Adadelta({p})", "Adamax({p}, lr=0.05)", "NAdam({p}, lr=0.05)", "RAdam({p}, lr=0.05)",
        "Rprop({p}, lr=0.05)", "ASGD({p}, lr=0.05)", "SGD({p}, lr=0.1, maximize=True)", "LBFGS({p}, lr=0.1, max_iter=3)",
    ),
    "p": ("m.parameters()", "m.parameters()", "list(m.parameters())", "[a, b]", "[{{'params': [a]}}, {{'params': m.parameters(), 'lr': 0.01}}]", "[{t}]"),
    "scheduler": (
        "StepLR(o, 2, gamma=0.5)", "ExponentialLR(o, 0.9)", "CosineAnnealingLR(o, 4)", "LambdaLR(o, lambda i: 1 / (i + 1))",
        "MultiStepLR(o, [1, 3])", "LinearLR(o, total_iters=3)", "OneCycleLR(o, 0.5, total_steps=6)", "ConstantLR(o, 0.5, 2)",
        "CyclicLR(o, 0.01, 0.1, cycle_momentum=False)", "PolynomialLR(o, 4)",
    ),
    "module": (
        "nn.Linear(4, 4)", "nn.Linear(4, 4, bias=False)", "nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))",
        "nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh())", "nn.BatchNorm1d(4)", "nn.LayerNorm(4)",
        "nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))", "nn.PReLU(4)", "nn.Sequential(nn.LayerNorm(4), nn.GELU())",
        "nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))", "nn.BatchNorm1d(4, momentum=None)",
        "nn.BatchNorm1d(4, affine=False, track_running_stats=False)", "nn.GroupNorm(2, 4)", "nn.Identity()",
    ),
    "loss": (
        "F.mse_loss({x}, {x})", "F.cross_entropy({x}, k)", "F.cross_entropy({x}, k, ignore_index=2, reduction='sum')",
        "F.l1_loss({x}, {x})", "F.smooth_l1_loss({x}, {x})", "F.binary_cross_entropy_with_logits({x}, {x})",
        "F.nll_loss({x}.log_softmax(1), k)", "F.huber_loss({x}, {x})", "F.cross_entropy(m({t}), k, label_smoothing=0.1)",
        "F.kl_div({x}, {x}.softmax(-1))", "F.cosine_similarity({x}, {x}).mean()", "({x} * {x}).sum()", "m({t}).pow(2).mean()",
        "F.gaussian_nll_loss({x}, {x}, {x}.exp())", "F.margin_ranking_loss({x}, {x}, {x}.sign())", "{x}.{r}",
        "F.cross_entropy({x}, {x}.softmax(-1))", "F.hinge_embedding_loss({x}, {x}.sign())", "F.multi_margin_loss({x}, k)",
    ),
    "loss2": ("(v ** 2).sum()", "v.sin().mean()", "F.mse_loss(v, {x}.detach())", "m(v).sum()", "(v * {t}).sum()", "v.norm()"),
    "map": ("v * 2", "v.sin()", "m(v)", "v * {t}", "v.mul(2).add_(1)", "torch.where(v > 0, v, v * 0.1)", "v.sum(-1)", "v.softmax(-1)", "v.index_select(0, k)"),
    "shaped": (
        "nn.Embedding(5, 4)", "nn.Embedding(5, 4, padding_idx=2, max_norm=1.0)", "nn.GRUCell(4, 4)", "nn.Bilinear(4, 4, 2)", "nn.Conv1d(3, 3, 2)",
        "nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1))", "nn.Sequential(nn.Flatten(0), nn.Linear(12, 4))", "nn.InstanceNorm1d(3)",
        "nn.utils.spectral_norm(nn.Linear(4, 4))", "nn.ModuleList([nn.Linear(4, 4)])", "nn.ParameterList([torch.ones(2), torch.zeros(3)])",
        "nn.utils.weight_norm(nn.Linear(4, 4))", "nn.LazyLinear(4)", "nn.RMSNorm(4)", "nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.ELU())",
        "nn.MultiheadAttention(4, 2)", "nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)", "nn.LSTM(4, 4)", "nn.RNN(4, 4)", "nn.Hardtanh(inplace=True)",
    ),
    "hook": ("lambda g: g * 2", "lambda g: None", "lambda g: g.clamp(-0.5, 0.5)", "lambda g: g.mul_(2)", "lambda g: g + 1", "lambda g: 3",
             "lambda g: g.sum()"),
    "array": ("n *= 2", "n[1] += 1", "n[:] = 0.5", "n[0, 0] = 7", "n = n.T", "n = n[1:]", "n = np.sqrt(np.abs(n))", "n = n + 1", "n = n.copy()",
              "n = {v}.detach().numpy()", "n = np.asarray({t}.detach())", "n = {t}.numpy()", "n = n.astype(np.float64)"),
}  # fmt: skip
STATEMENTS = (
    "{new} = {x}.{f}()", "{new} = {x} {op} {x}", "{new} = {x} {op} {q}", "{new} = {v}", "{new} = {q} {op} {x}",
    "{new} = torch.where({x} > 0, {x}, {x})", "{new} = torch.where({x} > 0, {x}, {q})", "{new} = {x}[{x} > 0]",
    "{new} = torch.einsum('ij,kj->ik', {x}, {x})", "{new} = torch.einsum('ij,j->i', {x}, {x})", "{new} = torch.cat([{x}, {x}])",
    "{new} = torch.stack([{x}, {x}]).sum(0)", "{new} = torch.linalg.solve({x}.t() @ {x} + torch.eye(4), {x})",
    "{new} = torch.linalg.norm({x}, dim=-1)", "{new} = {x}.to(torch.{dtype})", "{new} = {x}.gather(0, k[None])", "{new} = {x}.index_select(0, k)",
    "{new} = torch.zeros(3, 4).index_add(0, k, {x})", "{new} = {x}.masked_fill({x} < 0, {q})", "{new} = {x}.clamp({q}, {q})",
    "{new} = torch.zeros(3, 4).scatter_add(0, k[None].expand(3, 3), {x})", "{new} = {x}.topk(2)[0]", "{new} = {x}.expand(3, 4)",
    "{new} = torch.empty_like({x}).copy_({x})", "{new} = copy.deepcopy({x})", "{new} = torch.tensor({x}.tolist(), requires_grad={bool})",
    "{new} = torch.outer({x}, {x})", "{new} = {x}.unfold(-1, 2, 1)", "{new} = {x}.detach().requires_grad_()", "{new} = torch.as_tensor({x})",
    "{new} = F.dropout({x}, 0.5, training={bool})", "{new} = F.layer_norm({x}, (4,))", "{new} = F.normalize({x})", "{new} = m({x})",
    "{new} = F.embedding(k, {x})", "{new} = F.one_hot(k, 4) * {x}", "{new} = {x}.lerp({x}, {q})", "{new} = torch.addcmul({x}, {x}, {x})",
    "{v} {op=} {x}", "{v} {op=} {q}", "{v}.{f_}()", "{v}.{op_}({x})", "{v}.{op_}({q})", "{t}[{w}] = {x}", "{t}[{w}] = {q}", "{t}[{w}] {op=} {q}",
    "with torch.no_grad(): {v} {op=} {x}", "with torch.no_grad(): {v}.{op_}({x})", "with torch.no_grad(): {t}[{w}] = {q}",
    "with torch.no_grad(): {v}.{f_}()", "with torch.no_grad(): {new} = {x}.{f}()", "with torch.no_grad(): {t}[1:][0].mul_({q})",
    "with torch.enable_grad(): {new} = {x} {op} {x}", "with torch.inference_mode(): {new} = {x} {op} {x}",
    "{t}.index_add_(0, k, {x})", "{t}.masked_fill_({x} > 0, {q})", "{t}.index_put_((k,), {x}, accumulate={bool})", "{t}.scatter_(0, k[None], {q})",
    "{t}.index_fill_(0, k[:2], {q})", "{t}.masked_scatter_({t} > 0, {x})", "{t}.index_copy_(0, k, {x})", "{t}.addmm_({x}, {x})",
    "{loss}.backward({graph})", "{loss}.backward({graph})", "{loss}.backward({graph})", "{x}.{r}.backward({graph})", "{x}.backward({x})",
    "{new} = torch.autograd.grad({loss}, {t}, create_graph={bool})[0]", "{new} = torch.autograd.grad({t}.{r}, [a, b], allow_unused=True)[0]",
    "{t}.grad = None", "{t}.grad.zero_()", "{t}.grad = {x}", "{t}.grad *= {q}", "{t}.requires_grad_({bool})", "{t}.requires_grad = {bool}",
    "{t}.retain_grad()", "{t}.register_hook({hook})", "{t}.data = {x}", "{t}.data.{op_}({x})", "{t}.detach_()", "{t}.register_post_accumulate_grad_hook(lambda p: p.grad.mul_(2))",
    "{t}.detach().{op_}({q})", "{t} = {t}.detach().clone().requires_grad_()", "{t} = {x}", "{t}.resize_(2, 2)", "{t}.set_({x})", "{t}.squeeze_()",
    "{array}", "{array}", "{array}", "{new} = torch.from_numpy(n)", "{new} = torch.tensor(n)", "{new} = torch.as_tensor(n) * {x}", "{new} = {x} * n",
    "{t}.copy_(torch.from_numpy(n))", "with torch.no_grad(): m.weight.copy_(torch.from_numpy(n[0]))",
    "m = {module}", "m = {module}", "m.eval()", "m.train()", "m.requires_grad_({bool})", "m = copy.deepcopy(m)", "m.zero_grad(set_to_none={bool})",
    "m.load_state_dict(copy.deepcopy(m.state_dict()))", "m.to(torch.float64)", "m.float()", "torch.manual_seed(3)", "list(m.parameters())[0].grad = None",
    "list(m.parameters())[0].data.mul_({q})", "list(m.parameters())[0].requires_grad_({bool})", "m.state_dict()[next(iter(m.state_dict()))].fill_({q})",
    "m.register_forward_hook(lambda m, i, o: o * 2)", "m.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))",
    "m.register_forward_pre_hook(lambda m, i: (i[0] + 1,))", "m = pickle.loads(pickle.dumps(m))", "nn.init.constant_(list(m.parameters())[0], 0.3)",
    "o = torch.optim.{optimizer}", "o = torch.optim.{optimizer}", "o.step()", "o.step()", "o.step()", "o.zero_grad()", "o.zero_grad(set_to_none=False)",
    "o.load_state_dict(copy.deepcopy(o.state_dict()))", "o = copy.deepcopy(o)", "o.step(lambda: {loss})", "o.param_groups[0]['lr'] *= 0.5",
    "o.zero_grad(); l = {loss}; l.backward(); o.step()", "o.zero_grad(); l = m({t}).pow(2).mean(); l.backward(); o.step(); s.step()",
    "o.zero_grad(); l = F.cross_entropy(m({t}), k); l.backward(); o.step()", "o.add_param_group({{'params': [{t}]}})",
    "def closure():\n    o.zero_grad()\n    l = m({t}).pow(2).mean()\n    l.backward()\n    return l\no.step(closure)",
    "def closure():\n    m({t}).sum().backward()\n    raise KeyError('middle')\no.step(closure)",
    "s = torch.optim.lr_scheduler.{scheduler}", "s.step()", "s.step()", "s.load_state_dict(s.state_dict())",
    "nn.utils.clip_grad_norm_(m.parameters(), {q})", "nn.utils.clip_grad_value_(m.parameters(), 0.1)", "nn.utils.clip_grad_norm_([a, b], 0.5, norm_type={q})",
    "m = {shaped}", "{new} = m({x})", "{loss}.backward()", "o.step()", "{new} = torch.rand(3, 4)", "{new} = torch.randn_like({x})",
    "{new} = torch.randperm(4).float()", "{new} = torch.bernoulli({x}.sigmoid())", "{t}.uniform_()", "{t}.normal_()", "{new} = torch.multinomial({x}.softmax(-1), 2)",
    "{new} = torch.func.grad(lambda v: {loss2})({x})", "{new} = torch.vmap(lambda v: {map})({x})", "{new} = torch.func.jacrev(lambda v: {map})({x})",
    "{new} = torch.func.jvp(lambda v: {map}, ({x},), (torch.ones(3, 4),))[1]", "{new} = torch.func.hessian(lambda v: {loss2})({x})",
    "{new} = torch.func.functional_call(m, dict(m.named_parameters()), ({x},))", "{new} = torch.autograd.functional.jacobian(lambda v: {map}, {x})",
    "{new} = torch.autograd.functional.hvp(lambda v: {loss2}, {x}, torch.ones(3, 4))[1]", "g0 = torch.autograd.grad({loss}, [a, b], create_graph=True, allow_unused=True)\nsum((v ** 2).sum() for v in g0 if v is not None).backward()",
    "{new} = torch.utils.checkpoint.checkpoint(lambda v: {map}, {x}, use_reentrant={bool})", "{new} = Double.apply({x})", "{new} = Inplace.apply({x})", "{new} = Through.apply({x})",
    "buffer = io.BytesIO()\ntorch.save(m.state_dict(), buffer)\nbuffer.seek(0)\nm.load_state_dict(torch.load(buffer))",
    "buffer = io.BytesIO()\ntorch.save({x}, buffer)\nbuffer.seek(0)\n{new} = torch.load(buffer)", "torch.set_default_dtype(torch.float64)", "torch.set_default_dtype(torch.float32)",
    "with torch.no_grad():\n    for p in m.parameters(): p -= 0.1 * p.grad", "for p in m.parameters(): p.data.add_(p.grad, alpha=-0.1)", "for p in m.parameters(): p.grad = torch.ones_like(p)",
    "for p in m.parameters(): p.register_hook({hook})", "m.weight = nn.Parameter(m.weight * 2)", "m.weight = {x}", "del m.bias", "m.bias = None", "m[0].weight = m[2].weight",
    "m.add_module('more', nn.Linear(4, 4))", "m = nn.Sequential(m, nn.Linear(4, 4))", "m = nn.Sequential(m, m)", "m.register_buffer('count', {x})", "m.append(nn.Tanh())", "m.apply(lambda c: c.train({bool}))",
    "torch.nn.utils.parametrize.register_parametrization(m, 'weight', nn.Tanh())", "{new} = {x}.index_reduce(0, k, {x}, 'mean')", "{new} = {x}.scatter_reduce(0, k[None], {x}, 'amax')",
    "{new} = torch.cdist({x}, {x})", "{new} = torch.linalg.svdvals({x})", "{new} = torch.linalg.pinv({x})", "{new} = torch.linalg.lstsq({x}, {x})[0]", "{new} = torch.linalg.inv({x}.t() @ {x} + torch.eye(4))",
    "{new} = torch.linalg.cholesky({x}.t() @ {x} + torch.eye(4))", "{new} = torch.linalg.qr({x})[1].abs()", "{new} = torch.linalg.det({x}.t() @ {x})", "{new} = torch.linalg.eigvalsh({x}.t() @ {x})",
    "{new} = {x}.tril().triu(-1)", "{new} = {x}.roll(1, 0)", "{new} = {x}.repeat(2, 1)", "{new} = {x}.repeat_interleave(2, 0)", "{new} = {x}.cummax(0)[0]", "{new} = {x}.kthvalue(2)[0]", "{new} = {x}.unique()",
    "{new} = torch.nan_to_num({x} / 0)", "{new} = torch.where({x} > 0, {x}.sqrt(), {q})", "{new} = {x}.nonzero()", "{new} = {x}.argsort(0)", "{new} = torch.bucketize({x}, b.detach().sort()[0])", "{new} = {x}.diff()",
    "{new} = torch.complex({x}, {x})", "{new} = torch.view_as_real({x}.to(torch.complex64))", "{new} = torch.fft.fft({x})", "{new} = {x}.abs().angle()", "{new} = {x}.conj().real", "{new} = torch.trapezoid({x})",
    "{new} = F.conv1d({x}[None], torch.ones(2, 3, 2))", "{new} = F.max_pool1d({x}[None], 2)[0]", "{new} = F.pad({x}, (1, 0))", "{new} = F.interpolate({x}[None], size=6)[0]", "{new} = F.scaled_dot_product_attention({x}, {x}, {x})",
    "{new} = F.batch_norm({x}, None, None, training=True)", "{new} = F.gumbel_softmax({x}, hard={bool})", "{new} = F.softmax({x}, 1).log().nan_to_num()", "{new} = F.triplet_margin_loss({x}, {x}, {x})",
    "{new} = torch.quantile({x}, 0.3, dim=0)", "{new} = torch.histc({x}, 4)", "{new} = torch.corrcoef({x})", "{new} = {x}.renorm(2, 0, 1.0)", "{new} = torch.logcumsumexp({x}, 0)", "{new} = torch.block_diag({x}, {x})",
    "e = nn.utils.parameters_to_vector(m.parameters())", "nn.utils.vector_to_parameters(torch.ones(100), m.parameters())",
)  # fmt: skip
# Which of these errors comes differs where several things are wrong.
KINDS = {
    "NotImplementedError": "RuntimeError",
    "IndexError": "RuntimeError",
    "ValueError": "RuntimeError",
    "AttributeError": "TypeError",
}


class Known(NamedTuple):
    """A difference that is kept; the page beside the shim has the reasons. A program ends there.

    Attributes:
        statement: is found in the statement after which the difference shows.
        told: matches the difference, "name: mine is not PyTorch's".
        before: is found in a statement up to that one.
        failed: whether the statement raises on both sides.
    """

    statement: str
    told: str
    before: str = ""
    failed: bool = False


_MORE = r"error: 'RuntimeError' is not None$"
_FEWER = r"error: None is not 'RuntimeError'$"
_NUMBERS = r"[\w.]+: (array|\()"
_IN_ORDER_OF_MEMORY = r"rand|normal|uniform|bernoulli|dropout|gumbel"
KNOWN = {
    "JAX's arrays do not grow": (
        Known(r"\.resize_\(", _MORE),
        Known(r"\.resize_\(", r"\w+ flags", failed=True),  # PyTorch has changed the shape before
        Known(r"\.set_\(", r"error: 'RuntimeError' is not (None|'TypeError')$"),
    ),
    "PyTorch writes before it refuses an index": (
        Known(
            r"masked_scatter_|index_fill_|index_put_|index_add_|index_copy_|scatter_|\[k",
            _NUMBERS,
            failed=True,
        ),
    ),
    "PyTorch writes to a tensor of inference mode before it refuses": (
        Known("", _NUMBERS, before="inference_mode", failed=True),
    ),
    "PyTorch draws numbers before it refuses a probability": (
        Known(_IN_ORDER_OF_MEMORY + "|nn|Linear", _NUMBERS, before="bernoulli"),
    ),
    "the gradient of a sum is an expanded tensor in PyTorch": (
        Known(r"\] = |_\(|\.view\(", _FEWER, before=r"hessian|jacrev|func\.grad"),
    ),
    "PyTorch's derivative of a norm writes to a tensor that it saved": (
        Known("", _FEWER, before=r"(hessian|hvp|create_graph).*norm\("),
    ),
    "a source in the memory that is written is refused": (Known("masked_scatter_", _MORE),),
    "a repeated tensor is a view in PyTorch": (
        Known(r"detach_\(", _FEWER, before="repeat_interleave"),
    ),
    "it costs nothing here": (Known("bucketize", r"warnings: \[\] is not .*non-contiguous"),),
    "a derivative may require grad where PyTorch's does not": (
        Known(
            r"func\.(jvp|jacrev|hessian|grad)|hvp|autograd\.grad",
            r"\w+ flags: \('([\w.]+)', (\([\d, ]*\)), \w+, \w+\) is not \('\1', \2, ",
        ),
    ),
    "PyTorch draws no elements of integers": (Known("randn_like", _FEWER),),
    "rounding decides what is zero": (
        Known(
            "nonzero",
            r"\w+ flags: \('torch.int64', \(\d+, (\d+)\), .* is not \('torch.int64', \(\d+, \1\)",
        ),
    ),
    "several things are wrong": (
        Known("", r"error: 'RuntimeError' is not 'TypeError'$"),
        # A gradient that is not there, beside another mistake.
        Known(r"\.grad\b", r"error: 'TypeError' is not 'RuntimeError'$"),
    ),
    "a call that is refused does not warn first": (
        Known("", r"warnings: \[\] is not ", failed=True),
    ),
    "PyTorch refuses a list without gradients by accident": (Known("clip_grad_value_", _FEWER),),
    "the target of a write overlaps itself": (Known("_\\(|=", _NUMBERS, before=r"unfold\("),),
    "matrices from linalg lie in the order of rows": (
        Known(_IN_ORDER_OF_MEMORY, _NUMBERS, before=r"linalg\."),
        Known(r"\.view\(", _FEWER, before=r"linalg\."),
    ),
    "PyTorch's result cannot be read": (
        Known("", r"\w+: .* is not \('RuntimeError'", before="jacrev"),
    ),
    "PyTorch's gradients of zeros cannot be scaled": (
        Known("clip_grad_norm_", _FEWER, before="create_graph"),
    ),
}


# Numbers that are larger follow from smaller ones that rounding moves.
LARGE = 1e4
TOLERANCES = {"float16": 2e-2, "bfloat16": 1e-1, "float64": 1e-5}


def program_of(seed: int, longest: int = 16) -> list[str]:
    """The statements of a seed."""
    source = random.Random(seed)

    def filled(text: str) -> str:
        for _ in range(8):
            text = re.sub(
                r"(?<!\{)\{([a-zA-Z0-9=_]+)\}(?!\})",
                lambda found: source.choice(PARTS[found[1]]),
                text,
            )
        return text.replace("{{", "{").replace("}}", "}")

    return [filled(source.choice(STATEMENTS)) for _ in range(source.randint(2, longest))]


class Side:
    """A program as it runs on one side, one statement after another."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.scope: Scope = {
            "torch": torch,
            "nn": torch.nn,
            "F": torch.nn.functional,
            "np": np,
            "copy": copy,
            "pickle": pickle,
            "io": io,
        }
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(0)
        exec(START, self.scope)

    def run(self, statement: str) -> list[Any]:
        """Execute a statement; its error and its warnings, then all that can be seen."""
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                exec(statement, self.scope)
                found = None
            except Exception as error:
                found = KINDS.get(type(error).__name__, type(error).__name__)
        said = {
            f"{each.category.__name__} {_words(str(each.message))}"
            for each in caught
            if each.category is not DeprecationWarning
        }
        return [("error", found), ("warnings", sorted(said)), *self.seen()]

    def seen(self) -> list[Any]:
        """Tensors, arrays, the module's parameters and buffers, the optimizer's numbers, by name."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            things: list[Any] = []
            for name in TENSORS:
                if name in self.scope:
                    things += self._described(name, self.scope[name])
            things.append(("n", np.array(self.scope["n"])))
            module, optimizer = self.scope["m"], self.scope["o"]
            if isinstance(module, self.torch.nn.Module):
                for name, each in (*module.named_parameters(), *module.named_buffers()):
                    things += self._described(f"m.{name}", each)
            if isinstance(optimizer, self.torch.optim.Optimizer):
                things.append(("lr", [round(float(g["lr"]), 9) for g in optimizer.param_groups]))
                for number, state in optimizer.state_dict()["state"].items():
                    things += [
                        (f"o.{number}.{key}", attempt(elements, each))
                        for key, each in sorted(state.items(), key=str)
                        if isinstance(each, self.torch.Tensor)
                    ]
            return things

    def _described(self, name: str, each: Any) -> list[Any]:
        found = attempt(self._tensor, name, each)
        return [(name, type(found).__name__)] if isinstance(found, Exception) else found

    def _tensor(self, name: str, each: Any) -> list[Any]:
        if not isinstance(each, self.torch.Tensor):
            return [(name, type(each).__name__)]
        flags = (str(each.dtype), tuple(each.shape), each.requires_grad, each.is_leaf)
        found = [(f"{name} flags", flags), (name, _numbers(each))]
        if each.is_leaf or each.retains_grad:
            gradient = each.grad
            kind = None if gradient is None else str(gradient.dtype)
            values = None if gradient is None else _numbers(gradient)
            found += [(f"{name}.grad flags", (kind,)), (f"{name}.grad", values)]
        return found


def _numbers(each: Any) -> Any:
    try:
        return elements(each)
    except Exception as error:
        return (type(error).__name__, _words(str(error)))


def _words(text: str) -> str:
    text = text.split(" (Triggered internally")[0].split("\nException raised from")[0]
    return re.sub(r" at 0x[0-9a-f]+", "", text).replace("funcgrad.torch", "torch").split("\n")[0]


def difference(program: list[str], mode: str) -> str | None:
    """The first thing that the shim does otherwise than PyTorch, after which statement; None if there is none."""
    with every_warning(), engine_mode(mode):
        mine, reference = Side(ours), Side(theirs)
        for done, statement in enumerate(program):
            expected = reference.run(statement)
            found = mine.run(statement)
            if _is_large(expected):
                return None
            told = _compared(dict(found), dict(expected))
            if told is not None:
                failed = dict(found)["error"] is not None
                known = _is_known(program[: done + 1], told, failed)
                return None if known else f"after `{statement}`: {told}"
    return None


def _is_known(program: list[str], told: str, failed: bool) -> bool:
    """Whether the difference after the last statement is a known one."""
    return any(
        re.search(known.statement, program[-1])
        and re.match(known.told, told, re.DOTALL)
        and any(re.search(known.before, each) for each in program)
        and failed >= known.failed
        for ways in KNOWN.values()
        for known in ways
    )


def _is_large(things: list[Any]) -> bool:
    with np.errstate(all="ignore"):
        return any(
            isinstance(each, np.ndarray)
            and each.dtype.kind in "fciu"
            and bool((np.abs(each.astype(complex)) > LARGE).any())
            for _, each in things
        )


def _compared(mine: Scope, expected: Scope) -> str | None:
    for name in expected:
        if name not in mine or not _alike(mine[name], expected[name], mine.get(f"{name} flags")):
            return f"{name}: {mine.get(name)!r} is not {expected[name]!r}"
    return None


def _alike(mine: Any, expected: Any, flags: Any) -> bool:
    if isinstance(expected, np.ndarray):
        if not isinstance(mine, np.ndarray) or mine.dtype != expected.dtype:
            return False
        if mine.shape != expected.shape:
            return False
        dtype = flags[0].split(".")[-1] if flags else ""
        tolerance = TOLERANCES.get(dtype, 1e-3)
        return bool(np.allclose(mine, expected, tolerance, tolerance, equal_nan=True))
    return type(mine) is type(expected) and mine == expected


def shortest(seed: int, mode: str) -> str | None:
    """The difference in the program of a seed, and the statements that it needs; None if there is none."""
    program = program_of(seed)
    found = difference(program, mode)
    if found is None:
        return None
    for position in reversed(range(len(program))):
        shorter = program[:position] + program[position + 1 :]
        told = difference(shorter, mode)
        if told is not None:
            program, found = shorter, told
    return "\n".join([found, *program])
