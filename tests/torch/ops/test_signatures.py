"""Functions and methods take PyTorch's own argument names: each signature against the schemas in its wheel."""

import inspect
from collections import defaultdict

import numpy as np
import pytest

from tests.both_sides import ours, theirs

# Names in PyTorch's schemas that its Python functions do not take.
NOT_IN_PYTHON = {
    *("a", "b", "l", "n", "t", "idx", "list"),  # TorchScript's functions of numbers and lists
    *("values", "indices", "max", "max_values", "min", "min_indices"),  # the names of `out=`
    *("out", "out_dtype", "layout", "pin_memory", "separator", "src", "reverse"),
    *("tensors", "grad_tensors"),  # `Tensor.backward`'s
    *("split_size", "split_sizes", "tensor_indices_or_sections"),
}
# Arguments that the shim does not take yet: each is refused as unexpected.
MISSING = {
    "rrelu_": {"generator"},
    "expand_copy": {"size"},
    "permute_copy": {"dims"},
    "unbind_copy": {"dim"},
    "view_copy": {"size", "dtype"},
}
# Names of results in `out=`, and names of other overloads that Python's function of this name does not take.
OF_OTHERS = {
    "einsum": {"equation", "path"},
    "geqrf": {"tau"},
    "ormqr": {"input2", "input3"},
    "frexp": {"mantissa", "exponent"},
    "histogram": {"bin_edges", "hist"},
    "native_batch_norm": {"out", "save_invstd", "save_mean"},
    "native_group_norm": {"out0", "out1", "out2"},
    "native_layer_norm": {"out0", "out1", "out2"},
    "isin": {"element", "test_element"},
    "ldexp": {"i", "x"},
    "lu_unpack": {"U", "P", "L"},
    "orgqr": {"input2"},
    "qr": {"Q", "R"},
    "expand_copy": {"implicit"},
    "result_type": {"scalar", "scalar1", "scalar2"},
    "save": {"item", "filename"},
    "slogdet": {"logabsdet", "sign"},
    "std_mean": {"out0", "out1"},
    "svd": {"U", "S", "V"},
    "tensordot": {"other"},
    "triangular_solve": {"M", "X"},
    "unique_consecutive": {"out0", "out1", "out2"},
    "var_mean": {"out0", "out1"},
}
# Made by functions whose signature says nothing: `*args, **kwargs`.
OF_ANY = {
    *("as_strided_", "squeeze_", "swapaxes_", "swapdims_", "transpose_", "unsqueeze_"),
    *("gru", "lstm", "rnn_relu", "rnn_tanh"),  # two lists of arguments
    *("random_", "uniform_", "to"),  # `from` is no name for a parameter
}


def schemas():
    found = defaultdict(set)
    for schema in theirs._C._jit_get_all_schemas():
        if schema.name.startswith("aten::"):
            names = [each.name for each in schema.arguments]
            if not {"names", "dimnames", "dimname"} & set(names):
                found[schema.name.removeprefix("aten::")].update(names)
    return found


SCHEMAS = schemas()


def cases(space, reference):
    """Each name that both have, with the shim's function."""
    for name in sorted(dir(space)):
        thing = getattr(space, name)
        if name.startswith("_") or isinstance(thing, type) or not callable(thing):
            continue
        if name in SCHEMAS and name not in OF_ANY and hasattr(reference, name):
            yield pytest.param(thing, name, id=name)


def missing(function, name):
    taken = set(inspect.signature(function).parameters)
    excused = NOT_IN_PYTHON | MISSING.get(name, set()) | OF_OTHERS.get(name, set()) | {"self"}
    return SCHEMAS[name] - taken - excused


@pytest.mark.parametrize(("function", "name"), [*cases(ours, theirs)])
def test_function_takes_pytorchs_names(function, name):
    assert not missing(function, name)


@pytest.mark.parametrize(("function", "name"), [*cases(ours.Tensor, theirs.Tensor)])
def test_method_takes_pytorchs_names(function, name):
    assert not missing(function, name)


@pytest.mark.parametrize(
    "call",
    [
        "x.view(size=(3, 2))",
        "torch.reshape(x, shape=(3, 2))",
        "x[:1].expand(size=(2, 3))",
        "x.repeat(repeats=(2, 1))",
        "torch.tile(x, dims=(2,))",
        "torch.permute(x, dims=(1, 0))",
        "torch.flip(x, dims=(0,))",
        "torch.swapaxes(x, axis0=0, axis1=1)",
        "torch.tensor_split(x, sections=3, dim=1)",
        "torch.hsplit(x, indices=(1,))",
        "x.sum(axis=0, keepdims=True)",
        "torch.softmax(x, axis=1)",
        "torch.cumsum(x, axis=0)",
        "torch.argmax(input=x, axis=1, keepdims=True)",
        "torch.max(x, axis=1, keepdims=True)",
        "x.squeeze(axis=0)",
        "x[:1].clone().squeeze_(axis=0)",
        "torch.unsqueeze(x, axis=1)",
        "torch.trapezoid(x, axis=0)",
        "torch.argsort(x, axis=0)",
        "torch.chunk(x, 2, axis=1)",
        "torch.diff(x, axis=0)",
        "x.unbind(axis=1)",
        "x.count_nonzero(axis=0)",
        "x.repeat_interleave(2, axis=0)",
        "x.squeeze(dim=0, axis=0)",
        "x.split(1, axis=1)",
        "torch.var(x, axis=0, keepdims=True)",
        "x.round(decimals=1)",
        "torch.gather(x, axis=1, index=torch.tensor([[0]]))",
        "x.view(2, 3, size=(3, 2))",
        "torch.cumsum(x)",
        "torch.cumsum(x, 0, nothing=1)",
    ],
)
def test_names_mean_what_they_mean_in_pytorch(call):
    def outcome(torch):
        x = torch.tensor([[1.25, 2.5, 3.0], [4.0, 5.0, 6.0]])
        try:
            found = eval(call, {"torch": torch, "x": x})
        except TypeError:
            return TypeError
        several = found if isinstance(found, tuple) else (found,)
        return [np.asarray(each) for each in several]

    mine, expected = outcome(ours), outcome(theirs)
    if expected is TypeError:
        assert mine is TypeError
    else:
        assert [each.shape for each in mine] == [each.shape for each in expected]
        for one, other in zip(mine, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
