"""Initial values are PyTorch's under the same seed, bit for bit; QR decompositions to rounding."""

import numpy as np
import pytest

from tests.both_sides import ours, theirs
from tests.torch.nn.sources import assert_prints_the_same

FILLS = [
    ("uniform_", {"a": -2.0, "b": 3.0}),
    ("uniform_", {}),
    ("normal_", {"mean": 1.0, "std": 2.0}),
    ("trunc_normal_", {}),
    ("trunc_normal_", {"std": 0.02}),
    ("trunc_normal_", {"mean": 0.5, "std": 1.0, "a": 0.0, "b": 1.0}),
    ("trunc_normal_", {"mean": 0.0, "std": 1.0, "a": 1.5, "b": 2.0}),
    ("trunc_normal_", {"mean": 0.0, "std": 3.0, "a": -0.5, "b": 0.5}),
    ("constant_", {"val": 0.3}),
    ("ones_", {}),
    ("zeros_", {}),
    ("eye_", {}),
    ("xavier_uniform_", {}),
    ("xavier_uniform_", {"gain": 5.0 / 3}),
    ("xavier_normal_", {"gain": 0.5}),
    ("kaiming_uniform_", {}),
    ("kaiming_uniform_", {"a": 0.1, "mode": "fan_out"}),
    ("kaiming_normal_", {"nonlinearity": "relu"}),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("sparse_", {"sparsity": 0.3}),
]


@pytest.mark.parametrize("seed", [0, 1, 1234])
@pytest.mark.parametrize(("name", "options"), FILLS)
def test_a_filled_tensor_has_the_bits_of_pytorch(name, options, seed):
    made = []
    for torch in (theirs, ours):
        torch.manual_seed(seed)
        for size in ((5, 3), (40, 30)):
            tensor = torch.nn.Parameter(torch.empty(size))
            assert getattr(torch.nn.init, name)(tensor, **options) is tensor
            made.append(tensor.detach().numpy())
        made.append(torch.rand(1).numpy())
    for expected, mine in zip(made[:3], made[3:], strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (6, 2), (3, 2, 4)])
def test_orthogonal_gives_the_matrix_of_pytorch(size):
    made = []
    for torch in (theirs, ours):
        torch.manual_seed(0)
        made.append(torch.nn.init.orthogonal_(torch.empty(size), gain=2.0).numpy())
    np.testing.assert_allclose(made[1], made[0], rtol=1e-5, atol=1e-6)


PROGRAMS = [
    "for n in 'linear conv2d sigmoid tanh relu leaky_relu selu'.split(): print(nn.init.calculate_gain(n))",
    "print(nn.init.calculate_gain('leaky_relu', 0.2))",
    "nn.init.calculate_gain('leaky_relu', 'a')",
    "nn.init.calculate_gain('leaky_relu', True)",
    "nn.init.calculate_gain('gelu')",
    "nn.init.xavier_uniform_(torch.empty(3))",
    "nn.init.kaiming_uniform_(torch.empty(3))",
    "nn.init.kaiming_uniform_(torch.empty(3, 2), mode='fan')",
    "print(nn.init.kaiming_normal_(torch.empty(0, 2)).shape)",
    "nn.init.eye_(torch.empty(3))",
    "nn.init.sparse_(torch.empty(3), 0.1)",
    "nn.init.orthogonal_(torch.empty(3))",
    "nn.init.dirac_(torch.empty(3, 2))",
    "nn.init.dirac_(torch.empty(3, 2, 1), groups=2)",
    "print(nn.init.dirac_(torch.empty(4, 2, 3), groups=2))",
    "print(nn.init.dirac_(torch.empty(2, 3, 2, 3)), nn.init.dirac_(torch.empty(2, 2, 1, 2, 1)).shape)",
    "print(nn.init.uniform(torch.empty(2)), nn.init.constant(torch.empty(2), 3))",
    "print(nn.init.trunc_normal_(torch.empty(3), mean=5.0))",
    "w = nn.Parameter(torch.empty(2)); nn.init.ones_(w); print(w, w._version, w.grad_fn)",
    "print(nn.init._calculate_fan_in_and_fan_out(torch.empty(4, 3, 2, 2)))",
    "g = torch.Generator(); g.manual_seed(3); print(nn.init.normal_(torch.empty(2), generator=g))",
    """
    def fill(m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
            if m.bias is not None:
                m.bias.data.fill_(0.01)
                nn.init.zeros_(m.bias)
    print(Net().apply(fill).state_dict())
    """,
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_with_init_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)
