"""`nn.utils.parametrize`, `parametrizations`, and the older `weight_norm` and `spectral_norm`, beside PyTorch's."""

import pytest

from tests.torch.nn.sources import assert_prints_the_same

PROGRAMS = {
    "symmetric": """
        class Symmetric(nn.Module):
            def forward(self, X):
                return X.triu() + X.triu(1).transpose(-1, -2)
            def right_inverse(self, A):
                return A.triu()
        layer = nn.Linear(3, 3)
        print(P.register_parametrization(layer, "weight", Symmetric()), P.is_parametrized(layer), P.is_parametrized(layer, "bias"))
        print(type(layer).__name__, torch.equal(layer.weight, layer.weight.T), layer.weight)
        print([(n, tuple(p.shape)) for n, p in layer.named_parameters()], list(layer.state_dict()))
        A = torch.arange(9.).reshape(3, 3); layer.weight = A + A.T; print(layer.weight)
        opt = torch.optim.SGD(layer.parameters(), lr=0.1); layer(torch.ones(2, 3)).pow(2).mean().backward(); opt.step()
        print(layer.weight, layer.parametrizations.weight.original.grad)
        class Doubled(nn.Module):
            def forward(self, X):
                return 2 * X
        P.register_parametrization(layer, "weight", Doubled()); print(layer, layer.parametrizations.weight[1])
        other = copy.deepcopy(layer); print(torch.equal(other.weight, layer.weight), type(other).__name__)
        with P.cached():
            print(layer.weight is layer.weight)
        print(layer.weight is layer.weight, P.type_before_parametrizations(layer).__name__)
        P.remove_parametrizations(layer, "weight"); print(layer, type(layer.weight).__name__, layer.weight)
        P.remove_parametrizations(other, "weight", leave_parametrized=False); print(other.weight)
        pickle.dumps(layer)
    """,
    "several tensors": """
        class Rank(nn.Module):
            def forward(self, x, y):
                return x.unsqueeze(-1) @ y.unsqueeze(-2)
            def right_inverse(self, Z):
                return Z[:, 0].clone(), Z[0].clone()
        layer = P.register_parametrization(nn.Linear(2, 3), "weight", Rank())
        print(layer.parametrizations.weight.ntensors, list(layer.state_dict()), layer.weight)
        layer.weight = torch.ones(3, 2); print(layer.weight)
        to = P.transfer_parametrizations_and_params(layer, nn.Linear(2, 3)); print(torch.equal(to.weight, layer.weight))
        try:
            P.remove_parametrizations(layer, "weight", leave_parametrized=False)
        except ValueError as error:
            print(error)
        P.remove_parametrizations(layer, "weight"); print(layer.weight, layer)
    """,
    "weight norm": """
        for dim in (0, 1, None):
            layer = Z.weight_norm(nn.Linear(3, 2), dim=dim); print(layer, layer.weight, layer.weight.grad_fn.name())
            print([(n, tuple(p.shape)) for n, p in layer.named_parameters()], list(layer.state_dict()))
            y = layer(torch.ones(1, 3)).pow(2).sum(); y.backward(); print(layer.parametrizations.weight.original0.grad)
        conv = Z.weight_norm(nn.Conv1d(2, 3, 2)); print(conv(torch.ones(1, 2, 4)))
        warnings_before = nn.utils.weight_norm
        old = nn.utils.weight_norm(nn.Linear(3, 2)); print(old, [(n, tuple(p.shape)) for n, p in old.named_parameters()])
        new = Z.weight_norm(nn.Linear(3, 2)); print(new.load_state_dict(old.state_dict()), torch.equal(new.weight, old.weight))
        opt = torch.optim.SGD(old.parameters(), lr=0.1); old(torch.ones(1, 3)).sum().backward(); opt.step()
        print(old(torch.ones(1, 3)), old.weight_g, old.weight_v.grad)
        try:
            nn.utils.weight_norm(old)
        except RuntimeError as error:
            print(error)
        print(nn.utils.remove_weight_norm(old), old.weight, list(old.state_dict()))
        nn.utils.remove_weight_norm(old)
    """,
    "spectral norm": """
        layer = Z.spectral_norm(nn.Linear(3, 4)); print(layer, list(layer.state_dict()))
        norm = torch.linalg.matrix_norm(layer.weight, 2); print(round(norm.item(), 5), norm.grad_fn.name())  # one, to rounding
        layer(torch.ones(1, 3)).sum().backward(); print(layer.parametrizations.weight.original.grad)
        layer.eval(); print(torch.equal(layer.weight, layer.weight), layer.parametrizations.weight[0]._u)
        conv = Z.spectral_norm(nn.ConvTranspose2d(2, 3, 2), n_power_iterations=2); print(conv(torch.ones(1, 2, 1, 1)).flatten())
        bias = Z.spectral_norm(nn.Linear(2, 2), "bias"); print(bias.bias)
        old = nn.utils.spectral_norm(nn.Linear(3, 4)); print(old, [n for n, _ in old.named_parameters()], list(old.state_dict()))
        print(old(torch.ones(1, 3)), old(torch.ones(1, 3))); old.eval(); print(old(torch.ones(1, 3)), old.weight_u)
        old(torch.ones(1, 3)).sum().backward(); print(old.weight_orig.grad)
        print(nn.utils.remove_spectral_norm(old), old.weight)
        for call in (lambda: Z.spectral_norm(nn.Linear(2, 2), dim=2), lambda: Z.spectral_norm(nn.Linear(2, 2), "no"),
                     lambda: Z.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), lambda: nn.utils.remove_spectral_norm(old),
                     lambda: nn.utils.spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 2)))):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
    """,
    "orthogonal": """
        for shape in ((3, 3), (2, 4), (4, 2)):
            for kind in (None, "matrix_exp", "cayley", "householder"):
                for based in (True, False):
                    torch.manual_seed(1)
                    layer = Z.orthogonal(nn.Linear(*shape).double(), orthogonal_map=kind, use_trivialization=based)
                    w = layer.weight; g = w @ w.T if shape[0] > shape[1] else w.T @ w
                    print(shape, kind, based, torch.allclose(g, torch.eye(len(g)).double()), w, list(layer.state_dict()))
                    layer(torch.ones(1, shape[0]).double()).sum().backward(); print(layer.parametrizations.weight.original.grad)
        layer = Z.orthogonal(nn.Linear(2, 2)); layer.weight = torch.tensor([[0., 1.], [-1., 0.]]); print(layer.weight, layer)
        for call in (lambda: Z.orthogonal(nn.Linear(2, 2), "bias"), lambda: Z.orthogonal(nn.Linear(2, 2), "no"),
                     lambda: Z.orthogonal(nn.Linear(2, 2), orthogonal_map="x")):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
    """,
    "refused": """
        class Bad(nn.Module):
            def __init__(self, f, inverse=None):
                super().__init__(); self.f = f
                if inverse is not None:
                    self.right_inverse = inverse
            def forward(self, X):
                return self.f(X)
        for bad in (Bad(lambda x: x[0]), Bad(lambda x: x.double()), Bad(lambda x: 1), Bad(lambda x: x, lambda x: 1),
                    Bad(lambda x: x, lambda x: x.double()), Bad(lambda x: x, lambda x: (x, 1))):
            for layer in (nn.Linear(2, 3), P.register_parametrization(nn.Linear(2, 3), "weight", nn.Identity())):
                try:
                    P.register_parametrization(layer, "weight", bad); print("taken")
                except Exception as error:
                    print(type(error).__name__, error)
        layer = P.register_parametrization(nn.Linear(2, 3), "weight", nn.Identity())
        for call in (lambda: setattr(layer, "weight", torch.ones(3, 2)), lambda: P.register_parametrization(layer, "no", nn.Identity()),
                     lambda: P.remove_parametrizations(layer, "bias"), lambda: pickle.dumps(layer)):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_it_prints_on_pytorch(name):
    start = "        P, Z = nn.utils.parametrize, nn.utils.parametrizations\n"
    assert_prints_the_same(start + PROGRAMS[name].lstrip("\n"))
