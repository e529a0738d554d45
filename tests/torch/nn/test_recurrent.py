"""Recurrent layers beside PyTorch's: printed forms, state dicts, initial values, results and gradients; packed sequences."""

import warnings

import numpy as np
import pytest

from tests.both_sides import ours, outcome, theirs
from tests.torch.nn.samples import check_alike, elements, weights

LAYERS = [
    "RNN(3, 4)",
    "RNN(3, 4, 2, 'relu', bidirectional=True)",
    "RNN(3, 4, nonlinearity='relu', bias=False, batch_first=True)",
    "LSTM(3, 4)",
    "LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)",
    "LSTM(3, 4, 2, proj_size=2, bias=False)",
    "LSTM(3, 4, 2, dropout=0.5)",
    "GRU(3, 4)",
    "GRU(3, 4, num_layers=2, bidirectional=True, dropout=0.25)",
]
CELLS = [
    "RNNCell(3, 4)",
    "RNNCell(3, 4, nonlinearity='relu', bias=False)",
    "LSTMCell(3, 4)",
    "GRUCell(3, 4, bias=False)",
]


def made(torch, text, seed=0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(text, {"torch": torch, **vars(torch.nn)})


def numbers(torch, *shape, by=1.0):
    values = np.sin(np.arange(1.0, np.prod(shape) + 1) * by).reshape(shape)
    return torch.tensor(values.astype(np.float32), requires_grad=True)


def parts(found):
    output, last = found
    return [output, *(last if isinstance(last, tuple) else (last,))]


def run(torch, text, seed, call):
    """The results of a call, and the gradients that follow."""
    module = made(torch, text, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results, leaves = call(torch, module)
    roots = [each for each in results if each.requires_grad]
    torch.autograd.backward(roots, [weights(torch, each) for each in roots])
    grads = [each.grad for each in (*leaves, *module.parameters())]
    return [each.detach() for each in results] + grads


def assert_layers_agree(text, call, seed=0):
    check_alike(run(ours, text, seed, call), run(theirs, text, seed, call), text, 5)


@pytest.mark.parametrize("text", LAYERS + CELLS)
def test_printed_form_state_dict_and_initial_values_are_pytorchs(text):
    for seed in range(3):
        mine, reference = made(ours, text, seed), made(theirs, text, seed)
        assert repr(mine) == repr(reference)
        assert list(mine.state_dict()) == list(reference.state_dict())
        for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
            np.testing.assert_array_equal(elements(a), elements(b))


@pytest.mark.parametrize("text", LAYERS)
def test_results_and_gradients_are_pytorchs(text):
    def call(torch, module):
        x = numbers(torch, 2, 2, 3)
        return parts(module(x)), [x]

    assert_layers_agree(text, call)


@pytest.mark.parametrize("text", ["RNN(3, 4)", "LSTM(3, 4, 2)", "GRU(3, 4, bidirectional=True)"])
def test_states_to_begin_with_are_obeyed(text):
    def call(torch, module):
        x = numbers(torch, 2, 3)  # without batches
        layers = module.num_layers * (1 + module.bidirectional)
        states = [numbers(torch, layers, 4, by=k) for k in (2.0, 3.0)]
        hx = tuple(states) if text.startswith("LSTM") else states[0]
        return parts(module(x, hx)), [x, states[0]]

    assert_layers_agree(text, call)


@pytest.mark.parametrize("text", CELLS)
def test_a_cell_takes_one_step(text):
    def call(torch, module):
        x = numbers(torch, 2, 3)
        h, c = numbers(torch, 2, 4, by=2.0), numbers(torch, 2, 4, by=3.0)
        found = module(x, (h, c)) if text.startswith("LSTM") else module(x, h)
        alone = module(x[0])
        results = [*found, *alone] if text.startswith("LSTM") else [found, alone]
        return results, [x, h]

    assert_layers_agree(text, call)


@pytest.mark.parametrize("text", ["RNN(3, 4, 2)", "LSTM(3, 4, bidirectional=True)", "GRU(3, 4)"])
@pytest.mark.parametrize("lengths", [[4, 2, 1], [2, 4, 1]])
def test_packed_sequences_are_computed_to_their_own_lengths(text, lengths):
    def call(torch, module):
        rnn = torch.nn.utils.rnn
        x = numbers(torch, 4, 3, 3)
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=lengths[0] == 4)
        output, *last = parts(module(packed))
        padded, found = rnn.pad_packed_sequence(output, padding_value=-1.0)
        return [output.data, output.batch_sizes, padded, found, *last], [x]

    assert_layers_agree(text, call)


SEQUENCES = [
    "rnn.pad_sequence([a, b, c])",
    "rnn.pad_sequence([a, b, c], batch_first=True, padding_value=7.0, padding_side='left')",
    "rnn.pack_sequence([a, b, c], enforce_sorted=False)",
    "rnn.pack_sequence([b, a, c])",
    "rnn.pad_packed_sequence(rnn.pack_sequence([b, a, c]), batch_first=True, total_length=5)",
    "rnn.unpack_sequence(rnn.pack_sequence([a, b, c], enforce_sorted=False))",
    "rnn.unpad_sequence(rnn.pad_sequence([a, b, c]), torch.tensor([2, 3, 1]))",
    "rnn.pack_padded_sequence(torch.ones(2, 3), torch.tensor([2, 1, 1])).data",
    "rnn.invert_permutation(torch.tensor([2, 0, 1]))",
    "rnn.pack_sequence([a, b, c])",
    "rnn.pack_padded_sequence(torch.ones(2, 3), [2, 1])",
    "rnn.pack_padded_sequence(torch.ones(2, 2), [2, 0])",
    "rnn.pad_packed_sequence(rnn.pack_sequence([b, a, c]), total_length=1)",
    "rnn.pad_sequence([a, b], padding_side='top')",
    "rnn.pad_sequence([])",
    "rnn.pack_sequence([a], enforce_sorted=False).double().data.dtype",
    "nn.RNN(3, 4, nonlinearity='no')",
    "nn.RNN(3, 4, proj_size=2)",
    "nn.LSTM(3, 4, proj_size=4)",
    "nn.LSTM(3, 0)",
    "nn.LSTM(3, 4.0)",
    "nn.GRU(3, 4, dropout=2)",
    "nn.GRU(3, 4, bias=1)",
    "nn.LSTM(3, 4)(torch.ones(5, 2, 4))",
    "nn.LSTM(3, 4)(torch.ones(5))",
    "nn.RNN(3, 4)(torch.ones(5))",
    "nn.GRU(3, 4)(torch.ones(5, 2, 3).double())",
    "nn.GRU(3, 4)(torch.ones(5, 2, 3), torch.ones(1, 3, 4))",
    "nn.GRU(3, 4)(torch.ones(5, 2, 3), torch.ones(2, 4))",
    "nn.LSTM(3, 4)(torch.ones(5, 2, 3), (torch.ones(1, 2, 4), torch.ones(1, 2, 5)))",
    "nn.LSTM(3, 4)(torch.ones(5, 3), (torch.ones(1, 2, 4), torch.ones(1, 2, 4)))",
    "nn.LSTMCell(3, 4)(torch.ones(2, 4))",
    "nn.GRUCell(3, 4)(torch.ones(2, 3), torch.ones(3, 4))",
    "nn.RNNCell(3, 4)(torch.ones(2, 3, 4))",
]


@pytest.mark.parametrize("text", SEQUENCES)
def test_sequences_and_errors_are_pytorchs(text):
    def call(torch):
        a, b, c = (torch.arange(1.0, n + 1) for n in (2, 3, 1))
        scope = {"torch": torch, "nn": torch.nn, "rnn": torch.nn.utils.rnn, "a": a, "b": b, "c": c}
        return eval(text, scope)

    mine, expected = outcome(call, ours), outcome(call, theirs)
    if isinstance(expected, tuple) and isinstance(expected[0], type):
        assert mine == expected
    elif isinstance(expected, theirs.dtype):
        assert str(mine) == str(expected)
    else:
        check_alike(mine, expected, text)


def test_a_single_layer_warns_that_its_dropout_has_no_effect():
    with pytest.warns(UserWarning, match="non-zero dropout expects num_layers greater than 1"):
        ours.nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("lengths", [[3, 1, 4], [2, 2]])
def test_dropout_between_layers_of_packed_sequences_draws_the_same_numbers(lengths):
    def run(torch):
        torch.manual_seed(0)
        module = torch.nn.GRU(2, 3, 2, bidirectional=True, dropout=0.5)
        sequences = [torch.ones(length, 2) for length in lengths]
        packed = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        output, last = module(packed)
        output.data.sum().backward()
        return [output.data.detach(), last.detach(), module.weight_ih_l0.grad, torch.rand(2)]

    check_alike(run(ours), run(theirs), "packed")


def test_a_gradient_of_a_gradient_goes_through_the_steps():
    def second(torch):
        module = made(torch, "GRU(2, 3, dtype=torch.float64)")
        x = torch.tensor(np.sin(np.arange(8.0)).reshape(2, 2, 2), requires_grad=True)
        (first,) = torch.autograd.grad((module(x)[0] ** 2).sum(), x, create_graph=True)
        return torch.autograd.grad((first**2).sum(), [x, *module.parameters()])

    check_alike([g.detach() for g in second(ours)], [g.detach() for g in second(theirs)], "GRU")
