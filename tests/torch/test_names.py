"""Names: those that only PyTorch has are refused with words that help, and questions about devices have PyTorch's answers."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.against_pytorch.names import TABLE
from tests.both_sides import SIDES, ours, theirs


def test_the_table_of_names_is_pytorchs(torch):
    if not torch.__version__.startswith("2.13"):
        pytest.skip("the table is that of PyTorch 2.13")
    # In a process of its own: submodules that others have loaded are names as well.
    code = "from tests.against_pytorch.names import table; print(table(), end='')"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert TABLE.read_text() == done.stdout


@pytest.mark.parametrize(
    ("place", "name"),
    [("", "lobpcg"), ("linalg", "ldl_solve"), ("Tensor", "to_sparse_csr"), ("special", "airy_ai")],
)
def test_a_name_that_pytorch_has_is_refused_with_a_way_out(place, name):
    space = ours.ones(1) if place == "Tensor" else getattr(ours, place) if place else ours
    full = ".".join(filter(None, ("torch", place, name)))
    with pytest.raises(AttributeError, match=f"'{name}': PyTorch has {full}, .*from_jax"):
        getattr(space, name)
    assert not hasattr(space, name)


@pytest.mark.parametrize("place", ["", "linalg", "fft", "optim", "utils", "Tensor"])
def test_a_name_that_nobody_has_is_refused_as_usual(place):
    space = ours.ones(1) if place == "Tensor" else getattr(ours, place) if place else ours
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
        space.nothing  # noqa: B018


QUESTIONS = [
    "cuda.is_available()",
    "cuda.device_count()",
    "cuda.is_initialized()",
    "cuda.memory_allocated()",
    "cuda.max_memory_allocated()",
    "cuda.empty_cache()",
    "cuda.manual_seed(0)",
    "cuda.manual_seed_all(0)",
    "cuda.is_bf16_supported()",
    "cuda.get_arch_list()",
    "cuda.current_device()",
    "cuda.get_device_name(0)",
    "cuda.get_device_properties(0)",
    "cuda.synchronize()",
    "cuda.mem_get_info()",
    "cuda.get_rng_state_all()",
    "cuda.init()",
    "mps.is_available()",
    "xpu.is_available()",
    "xpu.device_count()",
    "cpu.device_count()",
    "accelerator.is_available()",
    "accelerator.device_count()",
    "accelerator.current_accelerator()",
    "accelerator.synchronize()",
    "accelerator.current_device_index()",
    "backends.mps.is_available()",
    "backends.mps.is_built()",
    "backends.cudnn.is_available()",
    "backends.cudnn.version()",
    "backends.cudnn.deterministic",
    "backends.cudnn.benchmark",
    "backends.cudnn.enabled",
    "backends.cuda.is_built()",
    "backends.cuda.matmul.allow_tf32",
    "backends.mkl.is_available()",
    "inf",
    "pi",
    "e",
    "newaxis",
    "version.cuda",
    "ones(1).cuda()",
    'ones(1).cuda("cpu")',
    'ones(1).cuda(device("xpu"))',
    "spmm(ones(2, 3), ones(3, 1))",
    "spmm(ones(2), ones(2, 1))",
    'ones(1).to("cuda")',
    'ones(1,device="cuda:0")',
    'ones(1).to("mps")',
    'ones(1).to("xpu")',
    "ones(1).to(0)",
    "device(0)",
    "ones(1).is_cuda",
    "ones(1).get_device()",
    "get_default_device()",
    "get_float32_matmul_precision()",
    "set_num_threads(0)",
    "set_num_threads(1.5)",
    "use_deterministic_algorithms(1)",
    'set_deterministic_debug_mode("x")',
    "is_storage(1)",
    "are_deterministic_algorithms_enabled()",
    "get_deterministic_debug_mode()",
    "typename(1)",
    "typename([])",
    "typename(ones(1))",
    "is_vulkan_available()",
    "ones(1).itemsize",
    "ones(3).nbytes",
    "is_nonzero(ones(2))",
    "is_warn_always_enabled()",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_questions_about_devices_and_settings(text):
    def answer(torch):
        scope = {name: getattr(torch, name) for name in dir(torch) if not name.startswith("__")}
        scope |= {name: importlib.import_module(f"{torch.__name__}.{name}") for name in MODULES}
        try:
            return str(eval(text, {**scope, "torch": torch}))
        except Exception as error:
            return type(error).__name__, str(error)

    if theirs.cuda.is_available() or ours.cuda.is_available():
        pytest.skip("the answers are those without a GPU")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert answer(ours) == answer(theirs)


MODULES = ("accelerator", "backends", "cpu", "cuda", "mps", "version", "xpu")


@pytest.mark.usefixtures("settings_of_pytorch")
def test_switches_can_be_set():
    for torch in SIDES:
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        assert torch.backends.cudnn.benchmark is True
        torch.backends.cudnn.benchmark = before


def test_classes_are_named_as_found():
    assert str(type(ours.ones(1))) == "<class 'funcgrad.torch.Tensor'>"
    assert str(type(ours.ones(1).shape)) == "<class 'funcgrad.torch.Size'>"
    assert str(type(ours.float32)) == "<class 'funcgrad.torch.dtype'>"
    assert str(type(ours.device("cpu"))) == "<class 'funcgrad.torch.device'>"
    assert (
        str(ours.utils.data.DataLoader)
        == "<class 'funcgrad.torch.utils.data.dataloader.DataLoader'>"
    )
