"""Names that libraries import from PyTorch's inner and distributed modules: they exist, and refuse to be used.

A library imports `torch.distributed.fsdp` for annotations and `isinstance`, whether or not a program shards anything. One table
lists these modules and their names. A class there has no instances, and to make one raises; a function raises when called.
Questions that have an answer here give it.
"""

import sys
import typing
from collections.abc import Callable
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from funcgrad.torch._types import placements
from funcgrad.torch._types.missing import no_attribute, reason

_OURS = "funcgrad.torch"
_NO, _NONE = (lambda *args, **kwargs: False), (lambda *args, **kwargs: None)

# The modules, without "torch.", and their names. Classes begin with a capital letter.
_SHARDING = (
    "BackwardPrefetch CPUOffload FullOptimStateDictConfig FullStateDictConfig LocalOptimStateDictConfig LocalStateDictConfig "
    "MixedPrecision OptimStateDictConfig ShardedOptimStateDictConfig ShardedStateDictConfig ShardingStrategy StateDictConfig "
    "StateDictSettings StateDictType"
)
_FULLY_SHARD = "CPUOffloadPolicy FSDPModule MixedPrecisionPolicy OffloadPolicy UnshardHandle fully_shard register_fsdp_forward_method"
_SHARDED_TENSORS = (
    "DTensor DeviceMesh distribute_module distribute_tensor empty full init_device_mesh ones rand "
    "randn zeros"
)
_NAMES = {
    "": "PyTorchFileReader PyTorchFileWriter SymBool SymFloat SymInt complex32",
    "_C._distributed_rpc": "",
    "_dynamo.utils": "",
    "ao.quantization": "DeQuantStub FakeQuantize MinMaxObserver QuantStub QuantWrapper",
    "_dynamo._trace_wrapped_higher_order_op": "TransformGetItemToIndex",
    "_dynamo.exc": "BackendCompilerFailed TensorifyScalarRestartAnalysis TorchRuntimeError Unsupported",
    "_higher_order_ops.associative_scan": "associative_scan",
    "_inductor.cpu_vec_isa": "pick_vec_isa",
    "_inductor.runtime.cache_dir_utils": "cache_dir",
    "_subclasses": "FakeTensor FakeTensorMode",
    "_subclasses.fake_tensor": "FakeTensor FakeTensorMode unset_fake_temporarily",
    "autograd.profiler": "emit_itt emit_nvtx load_nvprof",
    "distributed": "DeviceMesh FileStore HashStore P2POp PrefixStore Store TCPStore init_device_mesh",
    "cuda": "CUDAGraph graph make_graphed_callables",
    "distributed._composable": "checkpoint replicate",
    "distributed._composable.fsdp": _FULLY_SHARD.replace("UnshardHandle ", ""),
    "distributed._functional_collectives": "all_to_all_single_autograd",
    "distributed._tensor": _SHARDED_TENSORS,
    "distributed._tensor.experimental": "context_parallel implicit_replication local_map",
    "distributed.algorithms._checkpoint.checkpoint_wrapper": (
        "ActivationWrapper CheckpointImpl CheckpointWrapper OffloadWrapper apply_activation_checkpointing checkpoint_wrapper "
        "offload_wrapper"
    ),
    "distributed.algorithms.ddp_comm_hooks": "DDPCommHookType default_hooks powerSGD_hook register_ddp_comm_hook",
    "distributed.algorithms.ddp_comm_hooks.default_hooks": "allreduce_hook bf16_compress_hook fp16_compress_hook",
    "distributed.algorithms.ddp_comm_hooks.post_localSGD_hook": "PostLocalSGDState post_localSGD_hook",
    "distributed.algorithms.ddp_comm_hooks.powerSGD_hook": "PowerSGDState batched_powerSGD_hook powerSGD_hook",
    "distributed.algorithms.join": "Join JoinHook Joinable",
    "distributed.algorithms.model_averaging.averagers": "ModelAverager PeriodicModelAverager",
    "distributed.checkpoint": (
        "DefaultLoadPlanner DefaultSavePlanner FileSystemReader FileSystemWriter LoadPlan LoadPlanner SavePlan SavePlanner "
        "StorageReader StorageWriter async_save load load_state_dict save save_state_dict"
    ),
    "distributed.checkpoint.default_planner": "DefaultLoadPlanner DefaultSavePlanner",
    "distributed.checkpoint.format_utils": (
        "BroadcastingTorchSaveReader DynamicMetaLoadPlanner _EmptyStateDictLoadPlanner dcp_to_torch_save torch_save_to_dcp"
    ),
    "distributed.checkpoint.hf_storage": "HuggingFaceStorageReader HuggingFaceStorageWriter",
    "distributed.checkpoint.optimizer": "load_sharded_optimizer_state_dict",
    "distributed.checkpoint.state_dict": (
        "StateDictOptions get_model_state_dict get_optimizer_state_dict get_state_dict set_model_state_dict "
        "set_optimizer_state_dict set_state_dict"
    ),
    "distributed.checkpoint.state_dict_loader": "_load_state_dict load load_state_dict",
    "distributed.checkpoint.stateful": "Stateful",
    "distributed.device_mesh": "DeviceMesh init_device_mesh",
    "distributed.elastic.multiprocessing.errors": "ChildFailedError record",
    "distributed.fsdp": f"{_SHARDING} {_FULLY_SHARD} FullyShardedDataParallel OptimStateKeyType",
    "distributed.fsdp.api": _SHARDING,
    "distributed.fsdp.fully_sharded_data_parallel": f"{_SHARDING} FullyShardedDataParallel OptimStateKeyType",
    "distributed.fsdp.sharded_grad_scaler": "ShardedGradScaler",
    "distributed.fsdp.wrap": (
        "CustomPolicy ModuleWrapPolicy always_wrap_policy enable_wrap lambda_auto_wrap_policy size_based_auto_wrap_policy "
        "transformer_auto_wrap_policy wrap"
    ),
    "distributed.launcher.api": "LaunchConfig elastic_launch launch_agent",
    "distributed.optim": "DistributedOptimizer PostLocalSGDOptimizer ZeroRedundancyOptimizer",
    "distributed.pipelining": "Pipe PipelineStage Schedule1F1B ScheduleGPipe SplitPoint pipe_split pipeline",
    "distributed.run": "get_args_parser main run",
    "distributed.tensor": _SHARDED_TENSORS,
    "distributed.tensor._utils": "compute_local_shape_and_global_offset",
    "distributed.tensor.experimental": "context_parallel implicit_replication local_map",
    "distributed.tensor.experimental._attention": "set_rotate_method",
    "distributed.tensor.parallel": (
        "ColwiseParallel ParallelStyle PrepareModuleInput PrepareModuleOutput RowwiseParallel SequenceParallel loss_parallel "
        "parallelize_module"
    ),
    "distributed.tensor.placement_types": "",
    "distributed.utils": "_sync_module_states",
    "fx.experimental.proxy_tensor": "make_fx",
    "fx.experimental.symbolic_shapes": "GuardOnDataDependentSymNode ShapeEnv",
    "jit.annotations": "",
    "nn.utils._per_sample_grad": "call_for_per_sample_grads",
    "numa.binding": "AffinityMode NumaOptions",
    "onnx.symbolic_helper": "",
    "onnx.symbolic_opset11": "select squeeze unsqueeze",
    "utils._python_dispatch": "TorchDispatchMode",
    "utils.cpp_extension": "BuildExtension CUDAExtension CppExtension load load_inline",
}
# Questions that libraries ask of these modules, and their answers.
_ANSWERS: dict[str, Callable[..., Any]] = {
    "_C._distributed_rpc._is_current_rpc_agent_set": _NO,
    "_dynamo.eval_frame.is_dynamo_supported": _NO,
    "_dynamo.utils.is_compile_supported": _NO,
    "_subclasses.fake_tensor.is_fake": _NO,
    "distributed._functional_collectives.wait_tensor": lambda tensor: tensor,
    **{
        f"{module}.{name}": getattr(placements, name)
        for module in (
            "distributed._tensor",
            "distributed.tensor",
            "distributed.tensor.placement_types",
        )
        for name in ("Partial", "Placement", "Replicate", "Shard", "_StridedShard")
    },
    "fx.experimental.proxy_tensor.get_proxy_mode": _NONE,
    "fx.experimental.symbolic_shapes.free_symbols": lambda value: set(),
    "fx.experimental.symbolic_shapes.free_unbacked_symbols": lambda value: set(),
    "fx.experimental.symbolic_shapes.guard_or_false": bool,
    "fx.experimental.symbolic_shapes.guard_or_true": bool,
    "fx.experimental.symbolic_shapes.statically_known_true": bool,
    **{f"jit.annotations.BroadcastingList{k}": list for k in (1, 2, 3)},
    **{
        f"jit.annotations.{name}": getattr(typing, name)
        for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")
    },
    # Packages tell how their ops are exported, and nothing is.
    "onnx.register_custom_op_symbolic": _NONE,
    "onnx.symbolic_helper.parse_args": lambda *kinds: lambda symbolic: symbolic,
    "utils._python_dispatch.is_traceable_wrapper_subclass": _NO,
}
# Modules whose names other modules of ours have.
_ELSEWHERE = {
    "_dynamo.eval_frame": "_dynamo",
    "_vmap_internals": "func",
    "distributed.constants": "distributed",
    "distributed.distributed_c10d": "distributed",
    "distributed.nn.functional": "distributed.nn",
    "nn.parallel.distributed": "nn.parallel",
}
_OLD_NAMES = {"_vmap": "vmap", "_get_default_group": "_world"}
# Packages among the modules, and packages of PyTorch's that lie between.
_PLACES = {
    ".".join(parts[:k])
    for parts in (name.split(".") for name in (*_NAMES, *_ELSEWHERE))
    for k in range(1, len(parts) + 1)
} - {""}


class _NoInstances(type):
    """A class without instances; PyTorch's constants of it are missing with the reason."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")
        raise AttributeError(f"{cls.__name__}.{name}: {cls.__doc__}", name=name)


def refused_class(place: str, name: str, why: str) -> type:
    """A class of PyTorch's that nothing is an instance of here, for `isinstance` and annotations.

    To make one raises NotImplementedError.

    Args:
        place: the module that shows it.
        name: of the class.
        why: the reason, and the way out.
    """

    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(f"{name}: {why}")

    return _NoInstances(
        name, (), {"__module__": place, "__init__": refuse, "__doc__": f"Nothing: {why}."}
    )


def _refused_function(place: str, name: str, why: str) -> Callable[..., Any]:
    def refuse(*args: object, **kwargs: object) -> Any:
        raise NotImplementedError(f"{name}: {why}")

    refuse.__module__, refuse.__name__, refuse.__qualname__ = place, name, name
    refuse.__doc__ = f"Refuse: {why}."
    return refuse


def stand_in(place: str, name: str) -> Any:
    """The stand-in for a name of one of the table's modules.

    Args:
        place: the module's name, such as "funcgrad.torch.distributed.fsdp".
        name: the attribute.

    Raises:
        AttributeError: the table has no such name.
    """
    module = place.removeprefix(_OURS).removeprefix(".")
    full = f"{module}.{name}".removeprefix(".")
    if full in _PLACES:
        return import_module(f"{_OURS}.{full}")
    if full in _ANSWERS:
        return _ANSWERS[full]
    if module in _ELSEWHERE:
        return getattr(import_module(f"{_OURS}.{_ELSEWHERE[module]}"), _OLD_NAMES.get(name, name))
    if name not in _NAMES.get(module, "").split():
        raise no_attribute(place, name)
    make = refused_class if name.lstrip("_")[0].isupper() else _refused_function
    return make(place, name, reason(full) or "funcgrad has not got it")


class _StandIns(MetaPathFinder, Loader):
    """Makes the modules of the table when they are imported."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The module, if it is in the table and no file of ours has it."""
        place, _, module = fullname.partition(f"{_OURS}.")
        if place or module not in _PLACES:
            return None
        inside = any(each.startswith(f"{module}.") for each in _PLACES)
        return ModuleSpec(fullname, self, is_package=inside)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that makes its names when they are asked for."""
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the names come later."""


class _StandInModule(ModuleType):
    """A module of the table."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return _NAMES.get(self.__name__.removeprefix(f"{_OURS}."), "").split()
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'", name=name)
        made = vars(self)[name] = stand_in(self.__name__, name)
        return made

    def __dir__(self) -> list[str]:
        return self.__all__


def find_stand_ins() -> None:
    """From now on `import funcgrad.torch.distributed.fsdp` and the like find the stand-ins."""
    sys.meta_path.append(_StandIns())
