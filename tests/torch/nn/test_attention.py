"""Attention beside PyTorch's: results, weights, gradients, masks, dropout and errors."""

import warnings

import numpy as np
import pytest

from tests.both_sides import ours, outcome, theirs
from tests.torch.nn.samples import check_alike, elements, weights


def numbers(torch, *shape, by=1.0, dtype=np.float32):
    values = np.sin(np.arange(1.0, np.prod(shape) + 1) * by).reshape(shape)
    return torch.tensor(values.astype(dtype), requires_grad=True)


FUNCTIONS = [
    "attend(q, k, v)",
    "attend(q, k, v, is_causal=True)",
    "attend(q, k, v, scale=0.3)",
    "attend(q, k, v, attn_mask=mask)",
    "attend(q, k, v, attn_mask=bias)",
    "attend(q, k, v, attn_mask=bias.requires_grad_())",
    "attend(q, k, v, attn_mask=torch.zeros(3, 4, dtype=torch.bool))",
    "attend(q, k, v, dropout_p=0.5)",
    "attend(q[0], k[0], v[0], attn_mask=mask)",
    "attend(q, k[:, :1], v[:, :1], enable_gqa=True)",
    "attend(q, k, v[..., :2])",
]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_attention_is_pytorchs(text):
    def run(torch):
        torch.manual_seed(0)
        q, k, v = (numbers(torch, 1, 2, n, 4, by=by) for n, by in ((3, 1.0), (4, 2.0), (4, 3.0)))
        scope = {"torch": torch, "q": q, "k": k, "v": v}
        scope["attend"] = torch.nn.functional.scaled_dot_product_attention
        scope["mask"] = torch.tensor(np.arange(12).reshape(3, 4) % 3 != 1)
        scope["bias"] = torch.tensor(np.cos(np.arange(12)).reshape(3, 4).astype(np.float32))
        made = eval(text, scope)
        made.backward(weights(torch, made))
        return [made, q.grad, k.grad, v.grad]

    check_alike(run(ours), run(theirs), text, 5)


CAUSAL = np.triu(np.ones((3, 3), bool), 1)
LAST = np.array([[False, False, True], [False, False, False]])
MODULES = {
    "MultiheadAttention(4, 2)": {},
    "MultiheadAttention(4, 2, batch_first=True, bias=False)": {},
    "MultiheadAttention(4, 2, kdim=4, vdim=4, add_bias_kv=True)": {"attn_mask": CAUSAL},
    "MultiheadAttention(4, 2, add_zero_attn=True)": {"attn_mask": CAUSAL, "need_weights": False},
    "MultiheadAttention(4, 1)": {"key_padding_mask": LAST, "average_attn_weights": False},
    "MultiheadAttention(4, 4)": {"attn_mask": CAUSAL, "key_padding_mask": LAST},
    "MultiheadAttention(4, 2, dropout=0.5)": {},
    "MultiheadAttention(4, 2, dropout=0.25)": {"need_weights": False},
    "MultiheadAttention(4, 2, dtype=torch.float64)": {
        "attn_mask": CAUSAL,
        "need_weights": False,
        "is_causal": True,
    },
}


def made(torch, text, seed=0):
    torch.manual_seed(seed)
    return eval(text, {"torch": torch, **vars(torch.nn)})


@pytest.mark.parametrize(("text", "given"), MODULES.items())
def test_attention_with_several_heads_is_pytorchs(text, given):
    def run(torch):
        module = made(torch, text)
        dtype = np.float64 if "float64" in text else np.float32
        shape = (2, 3, 4) if module.batch_first else (3, 2, 4)
        x = numbers(torch, *shape, dtype=dtype)
        masks = {k: torch.tensor(m) if isinstance(m, np.ndarray) else m for k, m in given.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output, attended = module(x, x, x, **masks)
        output.backward(weights(torch, output))
        grads = [x.grad, *[parameter.grad for parameter in module.parameters()]]
        return [output, *([] if attended is None else [attended.detach()]), *grads]

    check_alike(run(ours), run(theirs), text, 10)


@pytest.mark.parametrize("text", [*MODULES, "MultiheadAttention(4, 2, kdim=3, vdim=5)"])
def test_printed_form_state_dict_and_initial_values_are_pytorchs(text):
    for seed in range(3):
        mine, reference = made(ours, text, seed), made(theirs, text, seed)
        assert repr(mine) == repr(reference)
        assert list(mine.state_dict()) == list(reference.state_dict())
        for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
            np.testing.assert_array_equal(elements(a), elements(b))


def test_keys_and_values_of_other_sizes():
    def run(torch):
        module = made(torch, "MultiheadAttention(4, 2, kdim=3, vdim=5)")
        q, k, v = numbers(torch, 3, 2, 4), numbers(torch, 2, 2, 3), numbers(torch, 2, 2, 5)
        output, attended = module(q, k, v)
        output.backward(weights(torch, output))
        return [output, attended.detach(), q.grad, k.grad, v.grad, module.k_proj_weight.grad]

    check_alike(run(ours), run(theirs), "kdim", 10)


def test_a_row_where_all_are_masked_is_zero_or_nan_as_in_pytorch():
    def run(torch):
        module = made(torch, "MultiheadAttention(4, 2)")
        x = numbers(torch, 3, 2, 4).detach()
        padding = torch.tensor([[True, True, True], [False, False, True]])
        return [
            each.detach()
            for needed in (True, False)
            for each in module(x, x, x, key_padding_mask=padding, need_weights=needed)
            if each is not None
        ]

    for mine, expected in zip(run(ours), run(theirs), strict=True):
        np.testing.assert_allclose(elements(mine), elements(expected), rtol=1e-5, atol=1e-6)


REFUSED = [
    "F.scaled_dot_product_attention(o(4), o(4), o(4))",
    "F.scaled_dot_product_attention(o(2, 4), o(2, 4).double(), o(2, 4))",
    "F.scaled_dot_product_attention(o(2, 4), o(2, 4), o(2, 4), attn_mask=o(2, 2).long())",
    "F.scaled_dot_product_attention(o(2, 4), o(2, 4), o(2, 4), o(2, 2), is_causal=True)",
    "F.scaled_dot_product_attention(o(1, 2, 4), o(1, 2, 5), o(1, 2, 4))",
    "F.scaled_dot_product_attention(o(2, 2, 3, 4), o(2, 5, 3, 4), o(2, 5, 3, 4))",
    "F.scaled_dot_product_attention(o(2, 3, 4), o(2, 3, 4), o(5, 3, 4))",
    "F.scaled_dot_product_attention(o(2, 2, 3, 4), o(2, 2, 3, 4), o(2, 2, 3, 4), o(5, 3).bool())",
    "F.scaled_dot_product_attention(o(2, 5, 3, 4), o(2, 2, 3, 4), o(2, 2, 3, 4), enable_gqa=True)",
    "F.scaled_dot_product_attention(o(1, 2, 4), o(1, 3, 4), o(1, 2, 4))",
    "nn.MultiheadAttention(4, 3)",
    "nn.MultiheadAttention(0, 1)",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 5), o(3, 2, 5), o(3, 2, 5))",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 4), o(3, 4))",
    "nn.MultiheadAttention(4, 2)(o(4), o(4), o(4))",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 2, 4), o(2, 2, 4))",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 2, 4), o(3, 2, 4), is_causal=True)",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 2, 4), o(3, 2, 4), attn_mask=o(2, 2))",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 2, 4), o(3, 2, 4), attn_mask=o(3, 3).long())",
    "nn.MultiheadAttention(4, 2)(o(3, 2, 4), o(3, 2, 4), o(3, 2, 4), o(2, 2) > 2)",
]


@pytest.mark.parametrize("text", REFUSED)
def test_errors_are_pytorchs(text):
    def call(torch):
        return eval(text, {"o": torch.ones, "nn": torch.nn, "F": torch.nn.functional})

    mine, expected = outcome(call, ours), outcome(call, theirs)
    assert isinstance(expected, tuple), f"PyTorch takes it: {expected}"
    assert isinstance(expected[0], type), f"PyTorch takes it: {expected}"
    assert mine == expected
