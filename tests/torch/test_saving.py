"""`save` and `load`: files of one side are read by the other, and what is no tensor, container or number is refused."""

import io
import pickle
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

from tests.both_sides import SIDES, described, ours, theirs

DTYPES = [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
    "complex64",
    "complex128",
]
BOTH_WAYS = [(theirs, ours), (ours, theirs), (ours, ours)]


def written(torch, thing, **more):
    file = io.BytesIO()
    torch.save(thing, file, **more)
    file.seek(0)
    return file


def pairs():
    return pytest.mark.parametrize(
        ("writer", "reader"), BOTH_WAYS, ids=["from PyTorch", "to PyTorch", "here"]
    )


@pairs()
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(writer, reader, name):
    def values(torch):
        return torch.arange(5).to(getattr(torch, name))

    found = reader.load(written(writer, values(writer)))
    assert isinstance(found, reader.Tensor)
    assert found.dtype is getattr(reader, name)
    assert found.tolist() == values(writer).tolist()


CONTAINERS = [
    "{'a': torch.ones(2), 1: [torch.zeros(1), (torch.tensor(3), None)]}",
    "OrderedDict(x=torch.ones(1), y=2.5)",
    "Counter('abca')",
    "{1, 2}",
    "[True, 1, -2**70, 1.5, 1 + 2j, 'text', b'bytes', None]",
    "torch.float16",
    "torch.Size([1, 2])",
    "torch.device('cpu')",
    "torch.ones(2, 3).t()",
    "torch.arange(10)[3:7:2]",
    "torch.ones(3).expand(2, 3)",
    "torch.tensor(1.5, requires_grad=True)",
    "torch.empty(0, 3)",
    "torch.ones(2, requires_grad=True) * 2",
    "torch.tensor([1 + 2j]).conj()",
    "torch.ones(2, dtype=torch.int32).view(torch.float32)",
]


@pairs()
@pytest.mark.parametrize("text", CONTAINERS)
def test_containers_and_views(writer, reader, text):
    def made(torch):
        return eval(text, {"torch": torch, "OrderedDict": OrderedDict, "Counter": Counter})

    asked = ["shape", "dtype", "requires_grad", "elements", "stride"]
    asked = [each for each in asked if each != "stride"]
    found = reader.load(written(writer, made(writer)))
    np.testing.assert_equal(described(reader, found, asked), described(writer, made(writer), asked))
    for one, other in zip(tensors(reader, found), tensors(writer, made(writer)), strict=True):
        assert one.stride() == other.stride()
        assert one.storage_offset() == other.storage_offset()


def tensors(torch, thing):
    if isinstance(thing, torch.Tensor):
        return [thing]
    inside = thing.values() if isinstance(thing, dict) else thing
    return (
        [each for part in inside for each in tensors(torch, part)]
        if isinstance(thing, (list, tuple, dict))
        else []
    )


@pairs()
def test_views_share_their_storage_again(writer, reader):
    base = writer.arange(6.0)
    found = reader.load(written(writer, {"rows": base.view(2, 3), "base": base, "part": base[2:4]}))
    found["base"][2] = 10.0
    assert found["part"].tolist() == [10.0, 3.0]
    assert found["rows"].tolist() == [[0.0, 1.0, 10.0], [3.0, 4.0, 5.0]]
    found["part"].zero_()
    assert found["base"].tolist() == [0.0, 1.0, 0.0, 0.0, 4.0, 5.0]


@pairs()
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_an_optimizers_state(writer, reader, name):
    def trained(torch, steps):
        weights = torch.arange(3.0).requires_grad_()
        more = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(torch.optim, name)([weights], lr=0.1, **more)
        for _ in range(steps):
            optimizer.zero_grad()
            (weights**2).sum().backward()
            optimizer.step()
        return weights, optimizer

    weights, optimizer = trained(writer, 3)
    file = written(writer, {"w": weights.detach(), "optimizer": optimizer.state_dict()})
    state = reader.load(file)
    other, its = trained(reader, 0)
    with reader.no_grad():
        other.copy_(state["w"])
    its.load_state_dict(state["optimizer"])
    (other**2).sum().backward()
    its.step()
    expected, _ = trained(writer, 4)
    np.testing.assert_allclose(other.tolist(), expected.tolist(), rtol=1e-5)


def test_a_parameter_and_a_state_dict_from_pytorch():
    model = theirs.nn.Sequential(theirs.nn.Linear(2, 3), theirs.nn.BatchNorm1d(3))
    state = ours.load(written(theirs, model.state_dict()))
    assert list(state) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert state[name].tolist() == tensor.tolist()


def test_the_format_before_zip_archives():
    base = theirs.arange(6.0)
    file = written(
        theirs,
        [base, base[2:4], theirs.ones(1, dtype=theirs.float64)],
        _use_new_zipfile_serialization=False,
    )
    found = ours.load(file)
    assert [each.tolist() for each in found] == [[0, 1, 2, 3, 4, 5], [2, 3], [1.0]]
    found[0][2] = 9.0
    assert found[1].tolist() == [9.0, 3.0]


class Plain:
    """A class of the user's."""


def boom():
    raise AssertionError("this ran")


class Hostile:
    """Runs code where it is unpickled without thought."""

    def __reduce__(self):
        return boom, ()


@pytest.mark.parametrize(
    "thing",
    [Plain(), Hostile(), np.float64(1), np.ones(2), print, boom],
    ids=lambda thing: type(thing).__name__,
)
def test_anything_else_is_refused_by_name(thing):
    for torch in SIDES:
        with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL"):
            torch.load(written(torch, {"thing": thing}))


def test_a_refused_module_is_named_in_full():
    refused = []
    for torch in SIDES:
        with pytest.raises(pickle.UnpicklingError) as caught:
            torch.load(written(torch, torch.nn.Sequential()))
        # PyTorch prints a part of it bold.
        refused.append(str(caught.value).replace("\x1b[1m", "").replace("\x1b[0m", ""))
    assert "add_safe_globals([torch.nn.modules.container.Sequential])" in refused[0]
    assert refused[0] == refused[1]


def test_a_class_can_be_let_in():
    for torch in SIDES:
        file = written(torch, Plain())
        with torch.serialization.safe_globals([Plain]):
            assert isinstance(torch.load(file), Plain)
        file.seek(0)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(file)
        file.seek(0)
        assert isinstance(torch.load(file, weights_only=False), Plain)


def moved(text, location):
    """A file of a tensor that was saved from another device."""
    file = written(theirs, theirs.ones(2))
    return io.BytesIO(file.getvalue().replace(text, location))


@pytest.mark.parametrize(
    "where",
    [
        "cpu",
        "torch.device('cpu')",
        "{'cpu': 'cpu'}",
        "lambda storage, location: storage",
        "lambda storage, location: None",
    ],
)
def test_map_location(where):
    for torch in SIDES:
        given = where if where == "cpu" else eval(where, {"torch": torch})
        found = torch.load(written(torch, torch.ones(2)), map_location=given)
        assert found.device.type == "cpu"
        assert found.tolist() == [1.0, 1.0]


def test_a_device_that_is_not_here():
    if theirs.cuda.is_available():
        pytest.skip("there is one")
    for torch in SIDES:
        with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
            torch.load(written(torch, torch.ones(2)), map_location="cuda:0")


def test_paths(tmp_path):
    for writer, reader in BOTH_WAYS:
        writer.save(writer.ones(2), tmp_path / "model.pt")
        assert reader.load(str(tmp_path / "model.pt")).tolist() == [1.0, 1.0]
    for torch in SIDES:
        with pytest.raises(FileNotFoundError):
            torch.load(tmp_path / "nothing.pt")


@pytest.mark.parametrize("data", [b"", b"text", b"\x80\x02}q\x00."], ids=repr)
def test_what_is_no_such_file(data):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        ours.load(io.BytesIO(data))


def test_a_damaged_file():
    whole = written(theirs, theirs.ones(1000)).getvalue()
    with pytest.raises((RuntimeError, pickle.UnpicklingError, EOFError)):
        ours.load(io.BytesIO(whole[:-200]))


def test_memory_maps_of_pytorch_read_our_files(tmp_path):
    ours.save({"a": ours.arange(1000), "b": ours.ones(3)}, tmp_path / "m.pt")
    found = theirs.load(tmp_path / "m.pt", mmap=True)
    assert found["a"].sum().item() == 499500


def test_defaultdicts_round_trip():
    made = defaultdict(list, a=[ours.ones(1)])
    assert ours.load(written(ours, made))["a"][0].item() == 1.0


@pairs()
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_parameter_comes_back_as_a_parameter(writer, reader, weights_only):
    held = {
        "w": writer.nn.Parameter(writer.ones(2)),
        "fixed": writer.nn.Parameter(writer.ones(1), False),
    }
    found = reader.load(written(writer, held), weights_only=weights_only)
    assert [type(each) for each in found.values()] == [reader.nn.Parameter] * 2
    assert [each.requires_grad for each in found.values()] == [True, False]


def test_a_saved_module_keeps_its_parameters():
    found = ours.load(written(ours, ours.nn.Linear(2, 2)), weights_only=False)
    assert [type(each) for each in found.parameters()] == [ours.nn.Parameter] * 2
