"""Names: those that only PyTorch has are refused with words that help, and questions about devices have PyTorch's answers."""

import contextlib
import importlib
import operator
import subprocess
import sys
import typing
import warnings
from pathlib import Path

import pytest

from funcgrad.torch._types.stand_ins import _NAMES as NAMES
from tests.against_pytorch.names import TABLE
from tests.both_sides import SIDES, assert_same, attempt, ours, theirs


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
    [
        ("", "conv_tbc"),
        ("Tensor", "hash_tensor"),
        ("Tensor", "to_mkldnn"),
        ("cuda", "list_gpu_processes"),
    ],
)
def test_a_name_that_pytorch_has_is_refused_with_a_way_out(place, name):
    space = ours.ones(1) if place == "Tensor" else getattr(ours, place) if place else ours
    full = ".".join(filter(None, ("torch", place, name)))
    with pytest.raises(AttributeError, match=f"'{name}': PyTorch has {full}, .*from_jax"):
        getattr(space, name)
    assert not hasattr(space, name)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("export.export", "jax.export"),
        ("package", "state_dict"),
        ("quantization", "bfloat16"),
        ("ao.quantization.quantize_dynamic", "bfloat16"),
        ("classes", "custom_op"),
        ("cuda.graphs", "jax.jit"),
        ("utils.cpp_extension", "from_jax"),
        ("monitor", "Leave out"),
    ],
)
def test_a_part_that_makes_no_sense_on_jax_says_why(name, way_out):
    with pytest.raises(
        AttributeError, match=rf"PyTorch has torch\.{name.split('.')[0]}.*{way_out}"
    ):
        operator.attrgetter(name)(ours)


def test_a_class_that_would_answer_aten_ops_is_refused():
    kind = type("Answering", (ours.Tensor,), {"__torch_dispatch__": classmethod(print)})
    x = ours.ones(2, 2)
    for make in (lambda: kind(2), lambda: x[0].as_subclass(kind), lambda: ours.Tensor._make_subclass(kind, x)):  # fmt: skip
        with pytest.raises(NotImplementedError, match="__torch_function__"):
            make()


STAND_INS = [
    ("distributed.fsdp", "FullyShardedDataParallel", "jax.sharding"),
    ("distributed.tensor", "DTensor", "jax.sharding"),
    ("distributed.checkpoint.state_dict", "get_model_state_dict", "one"),
    ("distributed", "TCPStore", "one"),
    ("_subclasses.fake_tensor", "FakeTensor", "XLA compiles"),
    ("utils.cpp_extension", "CppExtension", "from_jax"),
    ("", "SymInt", "numbers"),
    ("cuda", "CUDAGraph", "jax.jit"),
]


@pytest.mark.parametrize(("place", "name", "reason"), STAND_INS)
def test_a_name_that_libraries_import_exists_and_refuses_use(place, name, reason):
    found = getattr(importlib.import_module(f"funcgrad.torch.{place}".rstrip(".")), name)
    with pytest.raises(NotImplementedError, match=f"{name}: .*{reason}"):
        found(3)
    if name[0].isupper():
        assert not isinstance(ours.ones(1), found)
        with pytest.raises(AttributeError, match=f"{name}.FULL: .*{reason}"):
            found.FULL  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        importlib.import_module(f"funcgrad.torch.{place}".rstrip(".")).nothing  # noqa: B018


def test_stand_ins_are_named_as_pytorch_names_them(torch):
    assert torch
    for module, names in NAMES.items():
        if module.startswith(
            ("_dynamo", "_inductor", "fx", "_higher")
        ):  # these take seconds to load
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                found = importlib.import_module(f"torch.{module}".rstrip("."))
        except ImportError:  # in a build without a library
            continue
        assert [name for name in names.split() if not hasattr(found, name)] == []


@pytest.fixture
def no_library_was_refused():
    refused = importlib.import_module("funcgrad.torch._custom_ops").REFUSED_LIBRARIES
    before = list(refused)
    refused.clear()
    yield
    refused[:] = before


@pytest.mark.usefixtures("no_library_was_refused")
def test_a_package_of_compiled_ops_goes_on_without_them():
    def register():
        return ours.library.register_fake("vision::nms")(len)

    with pytest.raises(RuntimeError, match="there is no op 'vision::nms'"):
        register()
    with pytest.raises(OSError, match="compiled for PyTorch"):
        ours.ops.load_library("_C.so")
    assert register() is len
    with pytest.raises(AttributeError, match="has no attribute 'nms'"):
        ours.ops.vision.nms  # noqa: B018


def test_keys_of_the_dispatcher_can_be_joined():
    keys, make = ours._C.DispatchKey, ours._C.DispatchKeySet
    assert make(keys.CPU) | make(keys.AutocastCPU) == {keys.CPU, keys.AutocastCPU}


def test_questions_of_inner_modules_have_answers():
    def answer(path, *args):
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(f"funcgrad.torch.{module}"), name)(*args)

    x = ours.ones(1)
    assert answer("_subclasses.fake_tensor.is_fake", x) is False
    assert answer("_dynamo.eval_frame.is_dynamo_supported") is False
    assert answer("distributed._functional_collectives.wait_tensor", x) is x
    assert answer("utils._python_dispatch.is_traceable_wrapper_subclass", x) is False
    assert answer("_vmap_internals._vmap", ours.sum)(ours.ones(2, 3)).tolist() == [3.0, 3.0]
    assert ours._C._nn._parse_to("cpu", ours.float64, True) == (
        ours.device("cpu"),
        ours.float64,
        True,
        None,
    )
    assert ours._C._nn._parse_to(ours.float16) == (None, ours.float16, False, None)
    assert ours._C._are_functorch_transforms_active() is False
    assert isinstance(ours.Tensor, ours._C._TensorMeta)
    assert ours.profiler.kineto_available() is False
    parallel = importlib.import_module("funcgrad.torch.nn.parallel.distributed")
    assert parallel.DistributedDataParallel is ours.nn.parallel.DistributedDataParallel


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
    "cuda.memory_stats_as_nested_dict()",
    "cuda.host_memory_stats()",
    "cuda.can_device_access_peer(0, 1)",
    "cuda.get_sync_debug_mode()",
    "cuda.set_sync_debug_mode(0)",
    "cuda.get_gencode_flags()",
    "cuda.is_tf32_supported()",
    "cuda.set_rng_state(get_rng_state())",
    "cuda.set_rng_state_all([])",
    "cuda.has_half, cuda.has_magma",
    "cuda.device_of(ones(1)).__enter__()",
    'cuda.nvtx.range_push("a")',
    "cuda.nvtx.range_pop()",
    'cuda.nvtx.range("a").__enter__()',
    'cuda.nvtx.mark("a")',
    "cuda.FloatTensor(2)",
    "cuda.LongTensor([1])",
    "cuda.BoolTensor.dtype, cuda.HalfTensor.is_cuda, cuda.FloatTensor.__module__[-4:]",
    "isinstance(ones(1), cuda.FloatTensor)",
    "mps.synchronize()",
    "mps.current_allocated_memory()",
    "mps.driver_allocated_memory()",
    "mps.seed()",
    "mps.get_rng_state()",
    "mps.set_per_process_memory_fraction(0.5)",
    "xpu.current_device()",
    "xpu.synchronize()",
    "xpu.get_device_name()",
    "xpu.memory_allocated(), xpu.max_memory_reserved(), xpu.memory_stats()",
    "xpu.mem_get_info()",
    "xpu.seed(), xpu.seed_all(), xpu.is_initialized(), xpu.get_arch_list()",
    "cpu.is_initialized(), cpu.set_device(0), cpu.stream(cpu.current_stream()).__enter__()",
    "accelerator.set_device_index(0)",
    "accelerator.current_device_idx()",
    "accelerator.memory_allocated()",
    "accelerator.max_memory_reserved()",
    "accelerator.empty_cache()",
    "accelerator.reset_peak_memory_stats()",
    "accelerator.get_memory_info()",
    "accelerator.device_index(0).__enter__()",
    "accelerator.device_index(None).__enter__()",
    "get_autocast_cpu_dtype(), get_autocast_gpu_dtype(), get_autocast_xla_dtype(), get_autocast_ipu_dtype()",
    "is_autocast_cpu_enabled(), is_autocast_xla_enabled(), is_autocast_ipu_enabled()",
    "set_autocast_cpu_enabled(False), set_autocast_cpu_dtype(bfloat16), set_autocast_gpu_dtype(float16)",
    "has_mkl, has_lapack, has_openmp, has_spectral",
    "sym_int(2.5), sym_int(-2.5), sym_float(2), sym_max(1, 2.0), sym_max(1, 2), sym_min(1, 2.0), sym_not(True)",
    "sym_sqrt(4), sym_sum([1, 2]), sym_ite(True, 1, 2)",
    "legacy_contiguous_format",
    'torch.__version__ >= "2.4", torch.__version__ < "2.9.1+cpu", torch.__version__ >= (1, 8), torch.__version__ > "parrot"',
    'torch.torch_version.TorchVersion("2.4.0a0") < "2.4"',
    'torch.torch_version.TorchVersion("2.4.0") == "2.4", torch.torch_version.TorchVersion("1.10") != "1.10.0"',
    'torch.torch_version.TorchVersion("2.4.0.dev1") < "2.4.0a0", torch.torch_version.TorchVersion("2.4+cu1") > "2.4"',
    'torch.torch_version.TorchVersion("2.4.post1") > (2, 4), torch.torch_version.TorchVersion("2.4rc1") > "2.4b2"',
    "futures.wait_all([f.then(lambda g: g.value() + 1) for f in [futures.Future()] if f.set_result(1) is None])",
    "futures.collect_all([]).wait()",
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


MODULES = ("accelerator", "backends", "cpu", "cuda", "futures", "mps", "torch_version", "version", "xpu")  # fmt: skip


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


WARNED = [
    "cuda.reset_max_memory_cached()",
    "accelerator.set_device_idx(0)",
    "cpu.amp.autocast()",
    "cpu.amp.GradScaler()",
    "cuda.amp.custom_fwd(len)",
    "cuda.amp.custom_bwd(len)",
    "nn.utils.stateless.functional_call(nn.ReLU(), {}, ones(1))",
    "is_autocast_cpu_enabled()",
    "set_autocast_cpu_dtype(bfloat16)",
    "get_autocast_gpu_dtype()",
]


@pytest.mark.parametrize("text", WARNED)
def test_old_names_warn(torch, text):
    def words(torch):
        for name in ("nn.utils.stateless", "cpu.amp", "cuda.amp", "accelerator"):
            importlib.import_module(f"{torch.__name__}.{name}")
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            with contextlib.suppress(Exception):  # the answer without a GPU, which is asked above
                eval(
                    f"torch.{text}",
                    {
                        "torch": torch,
                        "nn": torch.nn,
                        "ones": torch.ones,
                        "bfloat16": torch.bfloat16,
                    },
                )
        return [(each.category, str(each.message).split(" (Trig")[0]) for each in noted][:1]

    assert words(ours) == words(torch)
    assert words(ours)


WINDOWS = {
    "bartlett": [{}], "blackman": [{}], "cosine": [{}], "exponential": [{"tau": 2.0}, {"center": 1.0}, {"tau": 0.0}],
    "gaussian": [{"std": 2.0}, {"std": -1.0}], "general_cosine": [{"a": [0.5, 0.3, 0.2]}, {"a": []}, {"a": 3}],
    "general_hamming": [{"alpha": 0.6}], "hamming": [{}], "hann": [{"dtype": "float64"}, {"dtype": "int64"}],
    "kaiser": [{"beta": 8.0}, {"beta": -1.0}], "nuttall": [{}],
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    def run(torch, see):
        windows = importlib.import_module(f"{torch.__name__}.signal.windows")
        for options in WINDOWS[name]:
            more = {
                key: getattr(torch, of) if key == "dtype" else of for key, of in options.items()
            }
            for length in (0, 1, 2, 7, -1):
                for sym in (True, False):
                    see(attempt(getattr(windows, name), length, sym=sym, **more))

    assert_same(run, rtol=1e-5, atol=1e-7)


LOSSES = [
    "kl_div(x, y)", "kl_div(x, y, 1)", "kl_div(x, y, 2, log_target=True)", "binary_cross_entropy_with_logits(x, y, None, y + 1, 0)",
    "cosine_embedding_loss(x, y, torch.tensor([1, -1]), 0.1, 0)", "hinge_embedding_loss(x, torch.ones(2, 3))",
    "margin_ranking_loss(x, y, torch.ones(2, 3), 0.5, 2)", "poisson_nll_loss(x, y, True, False, 1e-8, 1)",
    "triplet_margin_loss(x, y, x + y, reduction=2)", "embedding(x, torch.tensor([1, 0]))", "embedding(x, torch.tensor([1, 0]), 0)",
    "ctc_loss(x.log_softmax(-1).unsqueeze(1), torch.tensor([[1]]), [2], [1], reduction=0)",
]  # fmt: skip


@pytest.mark.parametrize("text", LOSSES)
def test_losses_of_torch_itself(text):
    def run(torch, see):
        x = torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]], requires_grad=True)
        y = torch.tensor([[0.2, 0.2, 0.6], [0.1, 0.5, 0.4]])
        found = eval(f"torch.{text}", {"torch": torch, "x": x, "y": y})
        found.sum().backward()
        see(found.detach(), x.grad)

    assert_same(run, rtol=1e-5, atol=1e-6)


def test_names_for_annotations(torch):
    for place in ("nn.common_types", "types"):
        mine, reference = (importlib.import_module(f"{each.__name__}.{place}") for each in SIDES)
        for name in dir(mine):
            if name[:1] == "_" and name[1] != "_" and "symsize" not in name:
                expected = str(getattr(reference, name)).replace("typing.Union[int, NoneType, ", "")
                assert hasattr(reference, name), name
                assert ("tuple" in str(getattr(mine, name))) == ("tuple" in expected), name


JIT = [
    "jit.annotate(int, 3)", "jit.Attribute(1, int).value", "jit.script_if_tracing(abs)(-1)", "jit.onednn_fusion_enabled()",
    "jit.wait(jit.fork(torch.add, torch.ones(1), 2)).item()", "jit.strict_fusion().__enter__()", "issubclass(jit.Error, RuntimeError)",
    *(f"jit.isinstance({case})" for case in (
        "[1, 2], List[int]", "[1, 'a'], List[int]", "{'a': 1}, Dict[str, int]", "{'a': 1.0}, Dict[str, int]", "(1, 'a'), Tuple[int, str]",
        "(1,), Tuple[int, str]", "None, Optional[int]", "2.0, Optional[int]", "3, (str, int)", "torch.ones(1), torch.Tensor",
        "[torch.ones(1)], List[torch.Tensor]", "1, List[int]",
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", JIT)
def test_functions_of_torchscript_that_do_the_same_in_python(torch, text):
    def answer(torch):
        jit = importlib.import_module(f"{torch.__name__}.jit")
        with warnings.catch_warnings(action="ignore"):
            return eval(
                text,
                {
                    "torch": torch,
                    "jit": jit,
                    **{
                        name: getattr(typing, name)
                        for name in ("Dict", "List", "Optional", "Tuple")
                    },
                },
            )

    assert answer(ours) == answer(torch)


MADE = [
    "3, 2, dtype=torch.float32", "(3, 2), dtype=torch.float64, low=-1, high=1", "(4,), dtype=torch.int64", "(4,), dtype=torch.bool",
    "(4,), dtype=torch.uint8, low=-3, high=5", "(4,), dtype=torch.complex64", "(2, 3), dtype=torch.float32, noncontiguous=True",
    "(9,), dtype=torch.int8, low=0, high=2, exclude_zero=True", "(2,), dtype=torch.float32, low=-1e39, high=1e39",
    "(2,), dtype=torch.float16, requires_grad=True", "(2,), dtype=torch.int32, requires_grad=True", "(2,), dtype=torch.float32, low=2, high=1",
    "(2,), dtype=torch.uint8, low=300, high=400", "(2,), dtype=torch.float32, low=float('nan')", "(2,), dtype=torch.float32, low=1, high=1",
    "(1, 2, 2, 2), dtype=torch.float32, memory_format=torch.channels_last", "(), dtype=torch.float32",
]  # fmt: skip


@pytest.mark.parametrize("arguments", MADE)
def test_tensors_made_for_tests(arguments):
    def run(torch, see):
        testing = importlib.import_module(f"{torch.__name__}.testing")
        torch.manual_seed(0)
        made = attempt(
            eval, f"make({arguments}, device='cpu')", {"torch": torch, "make": testing.make_tensor}
        )
        see(made, made.stride() if isinstance(made, torch.Tensor) else None)

    assert_same(run)


def test_the_old_name_of_assert_close():
    def run(torch, see):
        testing = importlib.import_module(f"{torch.__name__}.testing")
        for pair in (
            ([1.0, 2.0], [1.0, 2.00001]),
            (1, 2),
            (torch.ones(2), torch.ones(2).double() * 1.0002),
        ):
            see(type(attempt(testing.assert_allclose, *pair)).__name__)

    assert_same(run)


def test_a_future_gives_its_value_or_its_error_once():
    def run(torch, see):
        Future = importlib.import_module(f"{torch.__name__}.futures").Future
        first, seen = Future(), []
        first.add_done_callback(lambda done: seen.append(done.value()))
        second = first.then(lambda done: 1 / done.value())
        see(first.done())
        first.set_result(0)
        see(first.done(), first.wait(), seen, type(attempt(second.wait)).__name__)
        third = Future()
        third.set_exception(ValueError("no"))
        see(str(attempt(third.wait)), type(attempt(Future().set_exception, 3)).__name__)
        see(type(attempt(first.set_result, 1)).__name__, type(attempt(Future().value)).__name__)

    assert_same(run)
