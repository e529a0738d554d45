"""Files in the safetensors format: written by one side and read by the other, with the messages of `safetensors.torch`."""

import numpy as np
import pytest

from tests.both_sides import DTYPES, ours, outcome, theirs

pytest.importorskip("safetensors")
pytest.importorskip("torch")

from safetensors import torch as reference

from funcgrad import safetensors

SIDES = ((ours, safetensors), (theirs, reference))


def tensors(torch):
    """One tensor of each dtype, and of some shapes."""
    numbers = torch.tensor([[0.0, 1.0, 2.5], [3.0, 0.0, 5.0]])
    found = {name: numbers.to(getattr(torch, name)) for name in DTYPES}
    return {**found, "scalar": torch.tensor(7.0), "empty": torch.zeros(0, 2)}


def told(found):
    return {
        name: (str(each.dtype).split(".")[-1], tuple(each.shape), each.to(each.dtype).tolist())
        for name, each in found.items()
    }


@pytest.mark.parametrize("writer", [0, 1])
def test_each_side_reads_what_the_other_wrote(writer, tmp_path):
    torch, files = SIDES[writer]
    _, others = SIDES[1 - writer]
    files.save_file(tensors(torch), tmp_path / "a.safetensors", metadata={"format": "pt"})
    assert told(others.load_file(tmp_path / "a.safetensors")) == told(tensors(torch))
    assert told(others.load(files.save(tensors(torch)))) == told(tensors(torch))


def test_tensors_come_in_the_order_of_the_file(tmp_path):
    given = {"z": "float32", "b": "float64", "a": "uint8", "m": "float32"}
    made = {name: ours.ones(2, dtype=getattr(ours, dtype)) for name, dtype in given.items()}
    safetensors.save_file(made, tmp_path / "a.safetensors")
    expected = list(reference.load_file(tmp_path / "a.safetensors"))
    assert list(safetensors.load_file(tmp_path / "a.safetensors")) == expected


class Tied:
    def __new__(cls, torch):
        class Tied(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first = torch.nn.Linear(2, 2)
                self.second = torch.nn.Linear(2, 2, bias=False)
                self.second.weight = self.first.weight

        torch.manual_seed(0)
        return Tied()


@pytest.mark.parametrize("writer", [0, 1])
def test_models_with_tied_weights(writer, tmp_path):
    (torch, files), (other, others) = SIDES[writer], SIDES[1 - writer]
    model = Tied(torch)
    files.save_model(model, tmp_path / "m.safetensors")
    with safetensors.safetensors.safe_open(tmp_path / "m.safetensors", "np") as file:
        assert file.metadata() == {"second.weight": "first.weight"}
    read = Tied(other)
    with other.no_grad():
        read.first.weight.zero_()
    assert others.load_model(read, tmp_path / "m.safetensors") == (set(), [])
    assert read.second.weight.tolist() == model.first.weight.tolist()


def test_loaded_tensors_can_be_trained(tmp_path):
    safetensors.save_file({"w": ours.ones(2)}, tmp_path / "w.safetensors")
    w = safetensors.load_file(tmp_path / "w.safetensors")["w"].requires_grad_()
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]


REFUSED = [
    lambda torch, files, path: files.save([torch.ones(1)]),
    lambda torch, files, path: files.save({"a": 1}),
    lambda torch, files, path: files.save({"a": torch.ones(2, 3).t()}),
    lambda torch, files, path: files.save_model(Parts(torch), path),
    lambda torch, files, path: files.load_model(torch.nn.Linear(2, 2), saved(torch, files, path)),
    lambda torch, files, path: files.load(b"no such file"),
]


def Parts(torch):
    whole = torch.zeros(3)
    module = torch.nn.Module()
    module.register_buffer("a", whole[:2])
    module.register_buffer("b", whole[:1])
    return module


def saved(torch, files, path):
    files.save_file({"weight": torch.ones(2, 2), "more": torch.ones(1)}, path)
    return path


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_errors(number, tmp_path):
    mine, expected = (
        outcome(lambda side=side: REFUSED[number](*side, tmp_path / "x.safetensors"))
        for side in SIDES
    )
    assert isinstance(expected, tuple)
    assert mine[0] is expected[0]
    words = mine[1].replace("funcgrad.torch", "torch").replace("'b', 'a'", "'a', 'b'")
    assert words == expected[1].replace("'b', 'a'", "'a', 'b'")


def test_tensors_that_share_memory_are_refused_and_parts_side_by_side_are_not():
    whole = ours.arange(4.0)
    with pytest.raises(RuntimeError, match="share memory"):
        safetensors.save({"a": whole, "b": whole[1:]})
    found = safetensors.load(safetensors.save({"a": whole[:2], "b": whole[2:]}))
    assert (found["a"].tolist(), found["b"].tolist()) == ([0.0, 1.0], [2.0, 3.0])


def test_a_dtype_that_is_not_here_is_named():
    data = reference.save({"small": theirs.ones(2).to(theirs.float8_e4m3fn)})
    with pytest.raises(TypeError, match="`small` has the dtype F8_E4M3"):
        safetensors.load(data)


def test_bits_are_kept():
    given = np.array([np.nan, -0.0, np.inf, 5e-324])
    found = safetensors.load(safetensors.save({"x": ours.tensor(given)}))["x"].numpy()
    assert found.tobytes() == given.tobytes()
