"""The house: names that users see are PyTorch's, tensors' attributes are the user's, and an import is light."""

import ast
import copy
import importlib
import importlib.util
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from funcgrad.torch._tensor.layout import TypedStorage
from tests.both_sides import SIDES, ours

ROOT = Path(ours.__file__).parent
OWN = {"funcgrad.torch": {"from_jax"}}  # names that the shim has and PyTorch has not


def public_modules():
    """The names of the shim's modules whose paths have no underscore."""
    found = (each.name for each in pkgutil.walk_packages([str(ROOT)], f"{ours.__name__}."))
    return [ours.__name__, *(name for name in found if "._" not in name and can_be_loaded(name))]


def can_be_loaded(module):
    """Whether the package is there that a module needs, as PyTorch's does."""
    return ".tensorboard" not in module or importlib.util.find_spec("tensorboard") is not None


def public(names):
    # pytest leaves names such as "@pytest_ar" in the modules whose assertions it rewrites.
    return {name for name in names if name.isidentifier() and not name.startswith("_")}


def defined(path):
    """The public names that a file defines itself: its functions, classes and variables, but for what it imports."""
    names = set()
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return public(names)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_is_one_of_pytorch_and_shows_no_other_names(torch, name):
    pytorch = name.replace(ours.__name__, torch.__name__)
    module, reference = importlib.import_module(name), importlib.import_module(pytorch)
    # Modules of settings are objects with a module inside.
    known = (
        public(dir(reference))
        | {each.name for each in pkgutil.iter_modules(getattr(reference, "__path__", ()))}
        | public(dir(type(reference)) + dir(getattr(reference, "m", None)))
        | OWN.get(name, set())
    )
    assert public(dir(module)) <= known
    assert set(getattr(module, "__all__", ())) <= known
    if not module.__file__.endswith("__init__.py"):
        assert defined(Path(module.__file__)) <= known


# -- imports ----------------------------------------------------------------------------------------------------------

# A new interpreter runs these one after the other, and says after each which modules are loaded.
STAGES = {
    "the package": "import funcgrad",
    "the shim": """
import jax
from jax import monitoring
events, settings = [], dict(jax.config.values)
monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
import funcgrad.torch as torch
assert not [event for event in events if "compile" in event], events
""",
    "an optimizer": """
from funcgrad.torch._tensor.registry import FUNCTIONS, METHODS
published = set(FUNCTIONS), set(METHODS)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
""",
    "a gradient": """
w = torch.ones(2, dtype=torch.float64, requires_grad=True)
(w * w).sum().backward()
w.grad.tolist()
assert dict(jax.config.values) == settings
assert jax.numpy.ones(2).dtype == "float32"
""",
    "both halves": "from funcgrad import datasets, engine, regression, training",
    "the comparison": "from funcgrad import compare; import funcgrad.cli.compare",
    "all rooms of the shim": """
import importlib.util, pkgutil
for each in pkgutil.walk_packages(torch.__path__, "funcgrad.torch."):
    if ".tensorboard" not in each.name or importlib.util.find_spec("tensorboard"):
        importlib.import_module(each.name)
assert published == (set(FUNCTIONS), set(METHODS)), "a room was forgotten when names were published"
""",
}


@pytest.fixture(scope="module")
def loaded():
    """The modules that are loaded after each stage; where one raises, its error is the last words."""
    script = "import sys, warnings\nwarnings.simplefilter('ignore')\n"
    for code in STAGES.values():
        script += f"{code}\nprint(*sys.modules, flush=True)\n"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    found = dict(zip(STAGES, map(set, map(str.split, run.stdout.splitlines())), strict=False))
    return found, run.stderr


@pytest.mark.parametrize(
    ("stage", "unwanted"),
    [
        ("the package", {"jax", "numpy", "optax", "torch"}),
        ("the shim", {"optax", "torch"}),
        ("an optimizer", {f"funcgrad.torch.{name}" for name in ("jit", "functional", "nn", "optim.swa_utils")}),
        ("a gradient", {"optax", "torch"}),
        ("both halves", {"torch", "matplotlib", "pyarrow", "sklearn", "tqdm"}),
        ("the comparison", {"torch", "matplotlib", "jinja2", "fast_sugiyama"}),
        ("all rooms of the shim", set()),
    ],
    ids=list(STAGES),
)  # fmt: skip
def test_an_import_changes_no_setting_compiles_nothing_and_loads_no_more_than_it_needs(loaded, stage, unwanted):  # fmt: skip
    found, error = loaded
    assert stage in found, error
    assert not found[stage] & unwanted
    if stage == "the package":
        assert {name for name in found[stage] if name.startswith("funcgrad")} == {"funcgrad"}


# -- views ------------------------------------------------------------------------------------------------------------


def test_the_shim_reads_storages_and_nodes_by_methods():
    """A view has neither `_storage.value` nor `_node`: reading it can record an op, and so is a call."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in ROOT.rglob("*.py")
        for line in path.read_text().splitlines()
        if "_storage.value" in line
    ]
    assert not found
    view = ours.ones(2)[:1]
    assert view._storage.value is None
    with pytest.raises(AttributeError):
        _ = view._node
    with pytest.raises(AttributeError):
        view._storage.value = ours.ones(1)._storage.read()


# -- attributes -------------------------------------------------------------------------------------------------------

# Words that an engine, a view or a storage might keep for itself.
WORDS = (
    *("node", "nr", "base", "creation", "storage", "value", "memory", "geometry", "version"),
    *("edges", "face", "seen", "viewed", "written", "own_node", "own_nr", "retained", "former"),
)


def marked(thing):
    for place, word in enumerate(WORDS):
        setattr(thing, word, f"{word} {place}")
    return thing


def check_marks(thing):
    assert [getattr(thing, word) for word in WORDS] == [f"{w} {k}" for k, w in enumerate(WORDS)]


@pytest.mark.parametrize("torch", SIDES)
def test_attributes_of_leaves_results_and_views_are_the_users(torch):
    w = marked(torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True))
    y = marked(w * w)
    v = marked(y[0])
    v.mul_(2.0)
    marked((v * 3).sum() + y.sum()).backward()
    for each in (w, y, v):
        check_marks(each)
    # v is 2 w² in the first row: 3 * 4 w from v and 4 w from y; 2 w in the second.
    assert w.grad.tolist() == [[16.0, 32.0], [6.0, 8.0]]
    assert type(v.grad_fn).__name__ == "AsStridedBackward0"
    assert v._base is y


@pytest.mark.parametrize("torch", SIDES)
def test_copies_of_a_view_carry_the_users_attributes_and_no_others(torch):
    view = torch.arange(6.0).reshape(2, 3)[1]
    view.base = "x"
    for made in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        own = {"_grad"} if torch is ours else set()
        assert vars(made).keys() - own == {"base"}
        assert made.base == "x"
        assert made.tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize("torch", SIDES)
def test_a_subclass_with_such_names_works(torch):
    class Parameter(torch.Tensor):
        node = "encoder.0"
        nr = 3
        creation = "here"
        geometry = value = None

        def base(self):
            return "base"

        def storage(self):
            return "storage"

    for p in (
        Parameter([1.0, 2.0]),
        torch.Tensor._make_subclass(Parameter, torch.tensor([1.0, 2.0])),
    ):
        p.requires_grad_()
        assert type(p) is Parameter
        assert isinstance(p, torch.Tensor)
        p.seen = "by the user"
        (p * p).sum().backward()
        assert p.grad.tolist() == [2.0, 4.0]
        with torch.no_grad():
            p -= 0.5 * p.grad
            p[0] = 7.0
        p.grad = None
        (p.view(2)[1:] * 3).sum().backward()
        assert p.grad.tolist() == [0.0, 3.0]
        assert p.tolist() == [7.0, 0.0]
        assert (p.node, p.nr, p.creation, p.geometry, p.value) == (
            "encoder.0",
            3,
            "here",
            None,
            None,
        )
        assert (p.base(), p.storage(), p.seen) == ("base", "storage", "by the user")


@pytest.mark.parametrize("torch", SIDES)
def test_a_subclass_shares_the_elements_it_is_made_of(torch):
    source = torch.tensor([1.0, 2.0])
    made = torch.Tensor._make_subclass(type("P", (torch.Tensor,), {}), source, True)
    with torch.no_grad():
        made[0] = 5.0
    assert source.tolist() == [5.0, 2.0]
    assert (made.is_leaf, made.requires_grad, source.requires_grad) == (True, True, False)


@pytest.mark.parametrize("torch", SIDES)
@pytest.mark.parametrize(
    ("call", "shape"),
    [("torch.Tensor()", [0]), ("torch.Tensor(2, 3)", [2, 3]), ("torch.Tensor(torch.Size([4]))", [4])],
)  # fmt: skip
def test_the_class_makes_a_tensor_of_sizes(torch, call, shape):
    made = eval(call, {"torch": torch})
    assert (list(made.shape), made.dtype) == (shape, torch.float32)


@pytest.mark.parametrize("torch", SIDES)
def test_the_class_makes_a_tensor_of_elements_and_of_a_tensor(torch):
    assert torch.Tensor([[1, 2]]).tolist() == [[1.0, 2.0]]
    assert torch.Tensor(range(2)).dtype == torch.float32
    a = torch.ones(2, requires_grad=True)
    made = torch.Tensor(a)
    made.sum().backward()
    assert a.grad.tolist() == [1.0, 1.0]
    assert made._base is a
    assert type(made.grad_fn).__name__ == "AliasBackward0"


@pytest.mark.parametrize("torch", SIDES)
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3.5,), TypeError, r"new\(\): data must be a sequence \(got float\)"),
        ((None,), TypeError, r"new\(\): data must be a sequence \(got NoneType\)"),
        (("a",), TypeError, r"new\(\): invalid data type 'str'"),
        ((1.0, 2), TypeError, r"new\(\) received an invalid combination of arguments - got \(float, int\)"),
        ((-1,), RuntimeError, r"Trying to create tensor with negative dimension -1: \[-1\]"),
    ],
)  # fmt: skip
def test_the_class_refuses_what_pytorch_refuses(torch, arguments, error, words):
    with pytest.raises(error, match=words):
        torch.Tensor(*arguments)


@pytest.mark.parametrize("torch", SIDES)
def test_a_class_that_is_no_tensor_is_refused(torch):
    with pytest.raises(TypeError, match="does not inherit from Tensor"):
        torch.Tensor._make_subclass(int, torch.ones(2))


@pytest.mark.parametrize("torch", SIDES)
def test_storage_is_a_method_that_warns(torch, monkeypatch):
    # Each side warns once in a process.
    if torch is ours:
        monkeypatch.setattr(TypedStorage, "_warned", False)
    else:
        torch.storage._reset_warn_typed_storage_removal()
    row = torch.arange(6.0).reshape(2, 3)[1]
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        storage = row.storage()
    assert len(storage) == storage.size() == 6
    assert storage.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert storage[4] == 4.0
    with pytest.raises(RuntimeError, match="slices are only supported in UntypedStorage"):
        storage[1:3]
    assert (storage.dtype, storage.nbytes(), storage.element_size()) == (torch.float32, 24, 4)
    assert storage.data_ptr() == row.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "module", ["funcgrad", *(f"funcgrad.{each}" for each in ("compare", "datasets", "regression", "training"))]
)  # fmt: skip
def test_signatures_are_short_enough_to_read(module):
    found = importlib.import_module(module)
    things = [getattr(found, name) for name in found.__all__]
    signatures = [
        str(inspect.signature(each))
        for each in things
        if inspect.isfunction(each) or (inspect.isclass(each) and not issubclass(each, Exception))
    ]
    assert signatures
    # Types by the names that the code has for them, not by the modules that hold them or by all that they stand for.
    assert [each for each in signatures if re.search(r"collections\.abc|jaxlib|_src|typing\.", each)] == []  # fmt: skip
