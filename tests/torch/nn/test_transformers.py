"""Transformers beside PyTorch's: printed forms, state dicts, initial values, results and gradients, masks."""

import warnings

import numpy as np
import pytest

from tests.both_sides import ours, outcome, theirs
from tests.torch.nn.samples import check_alike, elements, weights

LAYER = "TransformerEncoderLayer(4, 2, 8, batch_first=True)"
DECODER = "TransformerDecoderLayer(4, 2, 8, norm_first=True)"
TRANSFORMER = "Transformer(4, 2, 1, 1, 8, dropout=0.1)"


def made(torch, text, seed=0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, {"torch": torch, **vars(torch.nn)})


def numbers(torch, *shape, by=1.0):
    values = np.sin(np.arange(1.0, np.prod(shape) + 1) * by).reshape(shape)
    return torch.tensor(values.astype(np.float32), requires_grad=True)


def run(torch, text, call):
    """The result of a call, and the gradients of its inputs and of the parameters."""
    module = made(torch, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, inputs = call(torch, module)
    if not result.requires_grad:
        return [result]
    result.backward(weights(torch, result))
    return [result, *[each.grad for each in (*inputs, *module.parameters())]]


def encoded(torch, module):
    x = numbers(torch, 3, 2, 4)
    return module(x), [x]


def encoded_in_order(torch, module):
    x = numbers(torch, 2, 3, 4)
    return module(x, mask=torch.nn.Transformer.generate_square_subsequent_mask(3)), [x]


def encoded_with_padding(torch, module):
    x = numbers(torch, 2, 3, 4)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    with torch.no_grad():
        return module.eval()(x, src_key_padding_mask=padding), []


def decoded(torch, module):
    x, memory = numbers(torch, 3, 2, 4), numbers(torch, 2, 2, 4, by=2.0)
    return module(x, memory), [x, memory]


def translated(torch, module):
    x, y = numbers(torch, 3, 2, 4), numbers(torch, 2, 2, 4, by=2.0)
    mask = module.generate_square_subsequent_mask(2)
    return module(x, y, tgt_mask=mask), [x, y]


CALLS = [
    ("TransformerEncoderLayer(4, 2, 8, dropout=0.3)", encoded),
    ("TransformerEncoderLayer(4, 2, 8, activation='gelu', norm_first=True, bias=False)", encoded),
    (f"TransformerEncoder({LAYER}, 2)", encoded_in_order),
    (f"TransformerEncoder({LAYER}, 1, LayerNorm(4))", encoded_with_padding),
    (DECODER, decoded),
    (f"TransformerDecoder({DECODER}, 2, LayerNorm(4))", decoded),
    (TRANSFORMER, translated),
]


@pytest.mark.parametrize(("text", "call"), CALLS)
def test_results_and_gradients_are_pytorchs(text, call):
    check_alike(run(ours, text, call), run(theirs, text, call), text, 20)


@pytest.mark.parametrize("text", [text for text, _ in CALLS])
def test_printed_form_state_dict_and_initial_values_are_pytorchs(text):
    for seed in range(3):
        mine, reference = made(ours, text, seed), made(theirs, text, seed)
        assert repr(mine) == repr(reference)
        assert list(mine.state_dict()) == list(reference.state_dict())
        for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
            np.testing.assert_array_equal(elements(a), elements(b))


def test_an_encoder_says_why_it_computes_no_nested_tensors():
    def warned(torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(4, 2, 8), 1)
        return [str(each.message) for each in caught]

    assert warned(ours) == warned(theirs) != []


@pytest.mark.parametrize(
    "text",
    [
        "nn.TransformerEncoderLayer(4, 3)",
        "nn.TransformerEncoderLayer(4, 2, activation='tanh')",
        "nn.Transformer(4, 2, 1, 1, 8)(torch.ones(3, 2, 4), torch.ones(2, 3, 4))",
        "nn.Transformer(4, 2, 1, 1, 8)(torch.ones(3, 2, 5), torch.ones(2, 2, 5))",
    ],
)
def test_errors_are_pytorchs(text):
    def call(torch):
        return eval(text, {"torch": torch, "nn": torch.nn})

    mine, expected = outcome(call, ours), outcome(call, theirs)
    assert isinstance(expected, tuple), f"PyTorch takes it: {expected}"
    assert mine == expected
