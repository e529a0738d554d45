"""Modules hold, list, save, load, convert and print what PyTorch's do; the errors are PyTorch's, word for word."""

import pytest

from tests.torch.nn.sources import assert_prints_the_same

REGISTERING = [
    "net = Net(); print(net); print([n for n, _ in net.named_parameters()], list(net.state_dict()))",
    "class A(nn.Module):\n    def __init__(self):\n        self.w = nn.Parameter(torch.ones(1))\nA()",
    "class A(nn.Module):\n    def __init__(self):\n        self.w = nn.Linear(1, 1)\nA()",
    "class A(nn.Module):\n    def __init__(self):\n        self.register_buffer('w', torch.ones(1))\nA()",
    "class A(nn.Module):\n    def __init__(self):\n        self.w = torch.ones(1)\nA(); print('fine')",
    "class A(nn.Module):\n    pass\nA()(1)",
    "nn.Module(1)",
    "nn.Module(a=1)",
    "net = Net(); net.first = 3",
    "net = Net(); net.first = torch.ones(2)",
    "net = Net(); net.first.weight = torch.ones(2)",
    "net = Net(); net.first.weight = None; print(net.first.weight, list(net.state_dict()))",
    "net = Net(); net.count = 3",
    "net = Net(); net.count = torch.ones(2); print(net.count, list(net.buffers()))",
    "net = Net(); net.count = None; print(net.count, list(net.buffers()))",
    "net = Net(); net.hidden = torch.ones(2); print(list(net.state_dict()), net._non_persistent_buffers_set)",
    "net = Net(); net.count = nn.Parameter(torch.ones(1)); print([n for n, _ in net.named_parameters()], net._buffers.keys())",
    "net = Net(); net.first = nn.Parameter(torch.ones(1)); print([n for n, _ in net.named_parameters()], net._modules.keys())",
    "net = Net(); net.extra = 1; net.extra = nn.Linear(1, 1); print('extra' in vars(net), net)",
    "net = Net(); net.b = nn.Buffer(torch.ones(2)); net.c = nn.Buffer(torch.ones(2), persistent=False); print(list(net.state_dict()), [n for n, _ in net.named_buffers()])",
    "net = Net(); net.b = nn.Buffer(torch.ones(2)); print(isinstance(net.b, nn.Buffer), isinstance(net.count, nn.Buffer), net.b)",
    "net = Net(); net.register_parameter('a.b', None)",
    "net = Net(); net.register_parameter('', None)",
    "net = Net(); net.register_parameter(1, None)",
    "net = Net(); net.register_parameter('forward', None)",
    "net = Net(); net.register_parameter('w', torch.ones(1))",
    "net = Net(); net.register_parameter('w', 3)",
    "net = Net(); net.register_parameter('w', None); print(net.w, list(net.state_dict()))",
    "net = Net(); w = nn.Parameter(torch.ones(1)); w *= 2",
    "net = Net(); net.register_buffer('a.b', None)",
    "net = Net(); net.register_buffer('', None)",
    "net = Net(); net.register_buffer(1, None)",
    "net = Net(); net.register_buffer('forward', None)",
    "net = Net(); net.register_buffer('w', 3)",
    "net = Net(); net.add_module('a.b', None)",
    "net = Net(); net.add_module('', None)",
    "net = Net(); net.add_module(1, None)",
    "net = Net(); net.add_module('forward', None)",
    "net = Net(); net.add_module('w', 3)",
    "net = Net(); net.add_module('w', nn.Linear)",
    "net = Net(); net.add_module('w', torch.ones(1))",
    "net = Net(); net.register_module('w', nn.Identity(1, a=2)); print(net)",
    "net = Net(); net.nothing",
    "net = Net(); del net.first; print(net); del net.count; print(list(net.buffers())); del net.hidden; print(net._non_persistent_buffers_set)",
    "net = Net(); del net.first.weight; print(list(net.first.parameters()))",
    "net = Net(); del net.nothing",
    "net = Net(); print([n for n in dir(net) if n in ('first', 'count', 'weight', 'training')])",
    "net = Net(); print(net.get_submodule('first'), net.get_submodule('') is net)",
    "net = Net(); net.get_submodule('third')",
    "net = Net(); net.get_submodule('first.weight')",
    "net = Net(); print(net.get_parameter('first.bias').shape, net.get_buffer('count'))",
    "net = Net(); net.get_parameter('count')",
    "net = Net(); net.get_parameter('third')",
    "net = Net(); net.get_buffer('first.weight')",
    "net = Net(); net.get_buffer('first.w')",
    "net = Net(); net.set_submodule('second', nn.Identity()); print(net)",
    "net = Net(); net.set_submodule('', nn.Identity())",
    "net = Net(); net.set_submodule('third', nn.Identity(), strict=True)",
    "net = Net(); net.set_submodule('third', 3)",
    "net = Net(); net.set_submodule('count', nn.Identity())",
    "net = Net(); net.get_extra_state()",
    "net = Net(); print(net._parameters, list(net._modules.items()), list(net.first._parameters))",
]
LISTING = [
    "net = Net(); print([n for n, _ in net.named_modules()], list(net.children()), len(list(net.modules())))",
    "net = Net(); net.third = net.first; print([n for n, _ in net.named_parameters()], [n for n, _ in net.named_parameters(remove_duplicate=False)])",
    "net = Net(); net.third = net.first; print([n for n, _ in net.named_modules()], [n for n, _ in net.named_modules(remove_duplicate=False)], list(net.named_children()))",
    "net = Net(); net.second.weight = nn.Parameter(torch.ones(2, 4)); net.third = nn.Linear(4, 2); net.third.weight = net.second.weight; print(list(net.state_dict()), len(list(net.parameters())))",
    "net = Net(); print([n for n, _ in net.named_parameters('a')], [n for n, _ in net.named_parameters(recurse=False)], [n for n, _ in net.named_buffers('b')])",
    "net = nn.Sequential(Net(), nn.Identity()); print(sum(p.numel() for p in net.parameters() if p.requires_grad))",
    "net = Net(); print(net.train(False).training, net.first.training, net.train().first.training, net.eval().second.training)",
    "net = Net(); net.train(1)",
    "net = Net(); print(net.requires_grad_(False).first.weight.requires_grad, net(torch.ones(1, 3)).requires_grad)",
    "net = Net(); net(torch.ones(1, 3)).sum().backward(); net.zero_grad(False); print(net.first.bias.grad); net.zero_grad(); print(net.first.bias.grad)",
    "net = Net(); print(net.apply(lambda m: print(type(m).__name__, m.training)) is net)",
    "def fill(m):\n    if isinstance(m, nn.Linear):\n        m.weight.data.fill_(0.5)\n        m.weight.data.fill_(0.25)\nprint(Net().apply(fill).state_dict())",
]
CONVERTING = [
    "net = Net(); p = net.first.weight; net.double(); print(net.first.weight is p, p.dtype, net.count.dtype, p)",
    "net = Net(); net(torch.ones(1, 3)).sum().backward(); g = net.first.weight.grad; net.double(); print(net.first.weight.grad is g, g.dtype)",
    "net = Net(); net.register_buffer('n', torch.tensor(3)); net.half(); print(net.first.bias.dtype, net.n.dtype); net.float(); net.bfloat16(); print(net.first.bias.dtype)",
    "net = Net(); print(net.to(torch.float64).first.bias.dtype, net.to('cpu').first.bias.device, net.to(torch.device('cpu'), torch.float32).first.bias.dtype, net.to(torch.ones(1, dtype=torch.float64)).first.bias.dtype)",
    "net = Net(); net.to(torch.int64)",
    "net = Net(); net.to(3, 4, 5, 6)",
    "net = Net(); print(net.to(torch.complex64).first.bias.dtype)",
    "net = Net(); print(net.type(torch.float64).count.dtype, net.cpu() is net)",
    "net = Net().double(); print(net(torch.ones(1, 3, dtype=torch.float64))); net(torch.ones(1, 3))",
]
STATE = [
    "net = Net(); print(net.state_dict(), net.state_dict()._metadata)",
    "net = Net(); s = net.state_dict(); net.first.bias.data.zero_(); print(s['first.bias'], s['first.bias'].requires_grad)",
    "net = Net(); s = net.state_dict(keep_vars=True, prefix='a.'); print(list(s), s['a.first.bias'] is net.first.bias)",
    "net = Net(); print(list(net.state_dict({}, 'a.', True).items()))",
    "net, other = Net(), Net(); print(other.load_state_dict(net.state_dict()), torch.equal(other.first.weight, net.first.weight) if hasattr(torch, 'equal') else True)",
    "net = Net(); s = net.state_dict(); del s['first.weight'], s['count']; net.load_state_dict(s)",
    "net = Net(); s = net.state_dict(); s['third.x'] = s['y'] = s['first.z'] = torch.ones(1); net.load_state_dict(s)",
    "net = Net(); s = net.state_dict(); s['third'] = torch.ones(1); del s['count']; net.load_state_dict(s)",
    "net = Net(); s = net.state_dict(); s['third'] = torch.ones(1); del s['count']; print(net.load_state_dict(s, strict=False)); print(net.load_state_dict(s, False).missing_keys)",
    "net = Net(); net.load_state_dict({'first.weight': torch.ones(4, 4), 'first.bias': torch.ones(3)}, strict=False)",
    "net = Net(); net.load_state_dict({'first.weight': 3}, strict=False)",
    "net = Net(); net.load_state_dict({'first.weight': np.ones((4, 3))}, strict=False)",
    "net = Net(); net.load_state_dict([1])",
    "net = Net(); net.load_state_dict({'count': torch.tensor(3.0), 'first.bias': torch.ones(4, dtype=torch.float64)}, strict=False)",
    "net = Net(); net.scale = nn.Parameter(torch.tensor(1.0)); net.load_state_dict({'scale': torch.tensor([3.0])}, strict=False); print(net.scale)",
    "net = Net(); p = net.first.bias; s = torch.ones(4); net.load_state_dict({'first.bias': s}, strict=False, assign=True); print(net.first.bias is p, net.first.bias)",
    "net = Net().requires_grad_(False); net.load_state_dict({'first.bias': torch.ones(4)}, strict=False, assign=True); print(net.first.bias)",
    "net = Net(); net(torch.ones(1, 3)).sum().backward(); v = net.first.bias._version; net.load_state_dict(net.state_dict()); print(net.first.bias.grad, net.first.bias._version - v, net.first.bias.is_leaf)",
    """
    class A(nn.Module):
        def get_extra_state(self):
            return {"n": 3}
        def set_extra_state(self, state):
            print("got", state)
    a = nn.Sequential(A())
    print(a.state_dict(), a.load_state_dict(a.state_dict()))
    a.load_state_dict({})
    """,
    "net = Net(); s = net.state_dict(); s['_extra_state'] = 3; net.load_state_dict(s)",
    "best = copy.deepcopy(Net().state_dict()); print(type(best).__name__, best['first.bias'], best._metadata if hasattr(best, '_metadata') else None)",
    """
    net = Net()
    net.register_state_dict_pre_hook(lambda module, prefix, keep: print("before", prefix, keep))
    net.register_state_dict_post_hook(lambda module, state, prefix, meta: print("after", list(state), prefix, meta))
    net.register_load_state_dict_pre_hook(lambda module, state, prefix, meta, strict, missing, unexpected, errors: print(module is net, strict, prefix))
    net.register_load_state_dict_post_hook(lambda module, keys: print("loaded", keys) or keys.missing_keys.clear())
    state = nn.Sequential(net).state_dict()
    del state["0.count"]
    print(nn.Sequential(net).load_state_dict(state))
    """,
    "net = Net(); net.register_state_dict_post_hook(lambda *a: 3); net.state_dict()",
    "net = Net(); net._register_state_dict_hook(lambda m, s, p, l: {'only': 1}); print(net.state_dict())",
    "net = Net(); net.register_load_state_dict_post_hook(lambda *a: 3); net.load_state_dict(net.state_dict())",
]
HOOKS = [
    """
    net = Net()
    handle = net.first.register_forward_hook(lambda m, args, out: print("after", m, args, out))
    net.first.register_forward_pre_hook(lambda m, args: print("before", m, args))
    net(torch.ones(1, 3))
    handle.remove()
    net(torch.ones(1, 3))
    """,
    "net = Net(); net.register_forward_pre_hook(lambda m, a: a[0] * 2); net.register_forward_pre_hook(lambda m, a: (a[0] + 1,)); print(net(torch.ones(1, 3)))",
    "net = Net(); net.register_forward_hook(lambda m, a, o: o * 2); net.register_forward_hook(lambda m, a, o: o.detach() + 1, prepend=True); print(net(torch.ones(1, 3)))",
    "net = Net(); net.register_forward_pre_hook(lambda m, a, k: (a, {'x': k['x'] * 2}), with_kwargs=True); net.register_forward_hook(lambda m, a, k, o: print(a, k), with_kwargs=True); print(net(x=torch.ones(1, 3)))",
    "net = Net(); net.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True); net(torch.ones(1, 3))",
    "net = Net(); net.register_forward_hook(lambda m, a, o: print('always', o), always_call=True); net.register_forward_hook(lambda m, a, o: print('not', o)); net(torch.ones(1, 5))",
    "net = Net(); net.register_forward_hook(lambda m, a, o: 1 / 0, always_call=True); net(torch.ones(1, 5))",
    "net = Net(); net.first.register_full_backward_hook(lambda m, i, o: print(m, i, o)); net(torch.ones(1, 3, requires_grad=True)).sum().backward(); print(net.first.bias.grad)",
    "net = Net(); net.second.register_full_backward_hook(lambda m, i, o: (i[0] * 10,)); net(torch.ones(1, 3)).sum().backward(); print(net.first.bias.grad)",
    "net = Net(); net.second.register_full_backward_hook(lambda m, i, o: (1, 2)); net(torch.ones(1, 3)).sum().backward()",
    "net = Net(); net.second.register_full_backward_pre_hook(lambda m, o: (o[0] * 10,)); net(torch.ones(1, 3)).sum().backward(); print(net.first.bias.grad)",
    "net = Net(); net.second.register_full_backward_pre_hook(lambda m, o: (1, 2)); net(torch.ones(1, 3)).sum().backward()",
    "net = Net(); net.second.register_full_backward_hook(lambda m, i, o: print('one')); net.second.register_full_backward_hook(lambda m, i, o: print('two'), prepend=True); y = net(torch.ones(1, 3)); print(y.grad_fn.name()); y.sum().backward()",
    "net = Net(); net.register_full_backward_hook(lambda m, i, o: print(i, o)); net(torch.ones(1, 3)).sum().backward()",
    "net = Net(); net.register_full_backward_hook(lambda m, i, o: (torch.ones(1),)); net(torch.ones(1, 3)).sum().backward()",
    "net = Net(); net.register_full_backward_hook(lambda m, i, o: print(i, o)); print(net(torch.ones(1, 3, requires_grad=True)).add_(1))",
    "net = Net(); net.register_backward_hook(lambda m, i, o: print(len(i), o)); net(torch.ones(1, 3)).sum().backward()",
    "net = Net(); net.register_backward_hook(print); net.register_full_backward_hook(print)",
    "net = Net(); net.register_full_backward_hook(print); net.register_backward_hook(print)",
    """
    class Two(nn.Module):
        def forward(self, x, n, y):
            return x * y, 3, y * 2
    two = Two()
    two.register_full_backward_hook(lambda m, i, o: print(i, o))
    x = torch.ones(2, requires_grad=True)
    a, n, b = two(x, 5, torch.ones(2))
    (a + b).sum().backward()
    print(n, x.grad)
    """,
    """
    class Listing(nn.Module):
        def forward(self, x):
            return [x * 2]
    m = Listing()
    m.register_full_backward_hook(lambda m, i, o: print(i, o))
    m(torch.ones(2, requires_grad=True))[0].sum().backward()
    """,
    """
    hooks = nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(lambda m, a: print("before", type(m).__name__)),
        hooks.register_module_forward_hook(lambda m, a, o: print("after", type(m).__name__)),
        hooks.register_module_full_backward_hook(lambda m, i, o: print("back", type(m).__name__)),
        hooks.register_module_full_backward_pre_hook(lambda m, o: print("going back", type(m).__name__)),
        hooks.register_module_parameter_registration_hook(lambda m, n, p: print("parameter", n)),
        hooks.register_module_buffer_registration_hook(lambda m, n, p: print("buffer", n)),
        hooks.register_module_module_registration_hook(lambda m, n, p: print("module", n)),
    ]
    Net()(torch.ones(1, 3, requires_grad=True)).sum().backward()
    for handle in handles:
        handle.remove()
    Net()(torch.ones(1, 3)).sum().backward()
    print("end")
    """,
    "net = Net(); copied = copy.deepcopy(net); net.first.register_forward_hook(print); again = copy.deepcopy(net); print(len(copied.first._forward_hooks), len(again.first._forward_hooks))",
    "net = Net(); acts = {}; [m.register_forward_hook(lambda m, i, o, n=n: acts.update({n: o.detach()})) for n, m in net.named_modules()]; net(torch.ones(1, 3)); print(acts)",
]
COPYING = [
    "net = Net(); net(torch.ones(1, 3)).sum().backward(); other = copy.deepcopy(net); print(other.first.bias.grad, type(other.first.bias), other.first.bias.is_leaf, other.first.bias); other.first.bias.data.zero_(); print(net.first.bias, other.count)",
    "net = Net(); other = copy.copy(net); print(other.first is net.first, other._modules is net._modules)",
    "net = nn.Linear(2, 1); again = pickle.loads(pickle.dumps(net)); print(again, again.weight, again.training)",
    "net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)); net[1].weight = net[0].weight; other = copy.deepcopy(net); print(other[1].weight is other[0].weight)",
    "p = nn.Parameter(torch.ones(2)); p.tag = 'a'; q = pickle.loads(pickle.dumps(p)); print(q, q.tag, type(q).__name__)",
    "p = nn.Parameter(torch.ones(2), False); print(copy.deepcopy(p), copy.deepcopy({'a': p, 'b': p}))",
    "state = Net().__getstate__(); print(sorted(state))",
]
PARAMETERS = [
    "p = nn.Parameter(torch.tensor([1.5, -2.0])); print(p, p.data, p.requires_grad, p.is_leaf, isinstance(p, torch.Tensor), type(p))",
    "print(nn.Parameter(), nn.Parameter(torch.ones(1), requires_grad=False))",
    "x = torch.ones(2); p = nn.Parameter(x); x.zero_(); print(p)",
    "nn.Parameter(torch.tensor([1, 2]))",
    "nn.Parameter([1.0])",
    "w = torch.ones(2, requires_grad=True); p = nn.Parameter(w * 2); print(p.is_leaf, p)",
    "with torch.no_grad():\n    p = nn.Parameter(torch.ones(1))\nprint(p)",
    "p = nn.Parameter(torch.ones(2)); y = p * 2; print(y, type(y)); y.sum().backward(); print(p.grad, type(p.grad))",
    "p = nn.Parameter(torch.ones(2)); p += 1",
    "p = nn.Parameter(torch.ones(2))\nwith torch.no_grad():\n    p += 1\n    p.mul_(3).sub_(1)\n    p -= 0.5 * torch.ones(2)\nprint(p, type(p), p._version)",
    "p = nn.Parameter(torch.ones(2, 3).t()); print(p.stride(), p.shape, p.detach(), type(p.detach()), type(p.data))",
    "p = nn.Parameter(torch.ones(2)); print([type(each).__name__ for each in (p[0], p.clone(), -p, p.float(), p.double())], p.float() is p)",
    "x = torch.arange(6.0).reshape(2, 3); p = nn.Parameter(x[1]); x.zero_(); print(p)",
    "p = nn.Parameter(torch.ones(2)); print({p: 1}[p], p in {p}, p in [p])",
    "p = nn.Parameter(nn.Parameter(torch.ones(2)), requires_grad=False); print(p)",
    "p = nn.Parameter(torch.ones(2)); p.grad = torch.ones(2); p.data = torch.zeros(2); print(p, p.grad)",
    "p = nn.Parameter(torch.ones(3)); o = torch.optim.SGD([p], lr=0.1); (p * p).sum().backward(); o.step(); print(p, o)",
]
CONTAINERS = [
    "print(nn.Sequential(), nn.ModuleList(), nn.ModuleDict(), nn.ParameterList(), nn.ParameterDict())",
    "s = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)); print(s, s[0], s[-1], s[1:], len(s), list(s.state_dict()))",
    "s = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.Linear(3, 1))); print(s, s.a, s[:1], s(torch.ones(1, 2)))",
    "s = nn.Sequential(nn.Linear(2, 2)); s.append(nn.Identity()).extend([nn.Linear(2, 2), nn.Identity()]); print(s); s.insert(1, nn.Linear(2, 5)); print(s); print(s.pop(0), s.pop(-1)); print(s); del s[0]; print(s); s[0] = nn.Identity(); print(s)",
    "s = nn.Sequential(nn.Linear(2, 2), nn.Identity()); print(s + s, s * 2, 2 * s); s += s; print(s); s *= 2; print(len(s))",
    "s = nn.Sequential(nn.Linear(2, 2), nn.Identity(), nn.Linear(1, 1)); del s[:2]; print(s)",
    "nn.Sequential(nn.Linear(2, 2))[3]",
    "nn.Sequential([nn.Linear(2, 2)])",
    "nn.Sequential(nn.Linear(2, 2)) + [1]",
    "nn.Sequential(nn.Linear(2, 2)) * 1.5",
    "nn.Sequential(nn.Linear(2, 2)) * 0",
    "nn.Sequential().insert(0, 1)",
    "nn.Sequential().insert(5, nn.Identity())",
    "nn.Sequential()['a']",
    "m = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)] + [nn.Identity()]); print(m, m[0], m[1:], len(m), m[-1])",
    "m = nn.ModuleList([nn.Linear(2, 2)]); m.append(nn.Identity()); m += [nn.Linear(1, 1)]; m.insert(0, nn.Linear(9, 9)); print(m, m + [nn.Identity()]); print(m.pop(0)); m[0] = nn.Identity(); del m[-1]; print(m)",
    "nn.ModuleList([nn.Linear(2, 2)])(1)",
    "nn.ModuleList(3)",
    "nn.ModuleList([3])",
    "nn.ModuleList([nn.Identity()])[2]",
    "m = nn.ModuleList([nn.Sequential(nn.Linear(1, 1)), nn.Sequential(nn.Linear(1, 1))]); print(m)",
    "m = nn.ModuleDict({'b': nn.Linear(1, 1), 'a': nn.Identity()}); print(m, m['a'], list(m), list(m.keys()), 'a' in m, len(m), list(m.items())); m.update([('c', nn.Identity())]); print(m.pop('b')); del m['a']; print(m); m.clear(); print(m)",
    "nn.ModuleDict({'a.b': nn.Identity()})",
    "nn.ModuleDict({'keys': nn.Identity()})",
    "nn.ModuleDict({1: nn.Identity()})",
    "nn.ModuleDict(3)",
    "nn.ModuleDict([3])",
    "nn.ModuleDict([(1, 2, 3)])",
    "nn.ModuleDict()['a']",
    "p = nn.ParameterList([nn.Parameter(torch.ones(2, 3)), torch.ones(1), 3]); print(p, len(p), p[0], p[1:], p[-1], list(p.state_dict())); p.append(torch.ones(4)); p[0] = torch.zeros(1); p += [torch.ones(2)]; print(p, [type(e).__name__ for e in p])",
    "nn.ParameterList(torch.ones(2))",
    "nn.ParameterList([torch.ones(2)])[1]",
    "nn.ParameterList([torch.ones(2)])(1)",
    "p = nn.ParameterDict({'b': torch.ones(2, 3), 'a': nn.Parameter(torch.ones(1)), 'n': 3}); print(p, list(p), p['a'], 'b' in p, len(p), list(p.state_dict()), p.get('x'), p.get('n')); print(p.pop('n'), p.popitem(), p.setdefault('z', torch.ones(1)), list(reversed(p)))",
    "p = nn.ParameterDict({'a': torch.ones(1)}) | nn.ParameterDict({'b': torch.ones(1)}); print(p, p.copy()); p |= nn.ParameterDict({'c': torch.ones(2)}); p.update(OrderedDict(d=torch.ones(1))); print(list(p.keys()), list(p.items())[0], len(list(p.values()))); del p['a']; p.clear(); print(p, p.fromkeys('ab', 1))",
    "nn.ParameterDict({1: torch.ones(1)})",
    "nn.ParameterDict(3)",
    "nn.ParameterDict([3])",
    "nn.ParameterDict([(1, 2, 3)])",
    "nn.ParameterDict()(1)",
    "nn.ParameterDict()['a']",
    "nn.Container(a=nn.Linear(1, 1))",
]
LINEAR = [
    "print(nn.Linear(2, 3), nn.Linear(2, 3, False), nn.Linear(2, 3, dtype=torch.float64).weight)",
    "m = nn.Linear(2, 3); print(m(torch.ones(2)), m(torch.ones(4, 2)), m(torch.ones(1, 4, 2)), m(torch.ones(0, 2)))",
    "m = nn.Linear(2, 3, bias=False); print(m(torch.ones(2)), m(torch.ones(4, 2)), m(torch.ones(1, 4, 2)))",
    "nn.Linear(2, 3)(torch.ones(4, 3))",
    "nn.Linear(2, 3)(torch.ones(2, 4, 3))",
    "nn.Linear(2, 3)(torch.ones(3))",
    "nn.Linear(2, 3, bias=False)(torch.ones(4, 3))",
    "nn.Linear(2, 3, bias=False)(torch.ones(5, 4, 3))",
    "nn.Linear(2, 3)(torch.ones(4, 2, dtype=torch.float64))",
    "nn.Linear(2, 3, bias=False)(torch.ones(4, 2, dtype=torch.float64))",
    "nn.Linear(2, 3)(torch.ones(4, 2, dtype=torch.int64))",
    "nn.Linear(2, 3)(torch.tensor(1.0))",
    "nn.Linear(2, 3)([1.0, 2.0])",
    "F.linear(torch.ones(1, 2), torch.ones(3, 2), torch.ones(2))",
    "F.linear(torch.ones(1, 2), torch.ones(3, 2), torch.ones(3, dtype=torch.float64))",
    "F.linear(torch.ones(1, 2), torch.ones(2), torch.ones(1))",
    "F.linear(torch.ones(1, 2), torch.ones(1, 1, 2))",
    "print(F.linear(torch.ones(1, 2), torch.ones(2)), F.linear(torch.ones(2), torch.ones(2)))",
    "F.linear(torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))",
    "F.linear(torch.ones(1, 2), None)",
    "print(nn.Linear(0, 2).weight.shape, nn.Linear(2, 0)(torch.ones(1, 2)))",
    "m = nn.Bilinear(2, 3, 4); print(m, m.weight, m.bias, m(torch.ones(5, 2), torch.ones(5, 3)))",
    "m = nn.Bilinear(2, 3, 4, bias=False); print(m, m(torch.ones(2), torch.ones(3)), m(torch.ones(5, 6, 2), torch.ones(5, 6, 3)).shape)",
    "nn.Bilinear(0, 3, 4)",
    "nn.Bilinear(2, 3, 4)(torch.ones(5, 3), torch.ones(5, 3))",
    "nn.Bilinear(2, 3, 4)(torch.ones(5, 2), torch.ones(5, 4))",
    "nn.Bilinear(2, 3, 4)(torch.ones(5, 2), torch.ones(6, 3))",
    "nn.Bilinear(2, 3, 4)(torch.ones(5, 2), torch.ones(1, 5, 3))",
    "y = nn.Linear(2, 3)(torch.ones(1, 2)); print(y.grad_fn.next_functions[0][0].name(), len(y.grad_fn.next_functions))",
]


@pytest.mark.parametrize(
    "text",
    [
        *REGISTERING,
        *LISTING,
        *CONVERTING,
        *STATE,
        *HOOKS,
        *COPYING,
        *PARAMETERS,
        *CONTAINERS,
        *LINEAR,
    ],
)
def test_a_program_with_modules_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)
