"""Tensor parallelism: each layer is shared by several ranks, processes with a device each.

The library shards the layers by its own plan for the architecture and adds the
collective operations. All ranks run the same steps; rank 0 speaks the protocol (see
ranks), the others follow it (see follow). Rank r has the r-th visible GPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import zlib

import torch

from llem_protocol.failures import Failure

from .gate import Gate
from .request import Request

# Ranks that are gone are seen by their pipes, long before this.
TIMEOUT = datetime.timedelta(hours=2)
# What the ranks divide among them, by the names in a model's config.
SHARED_SIZES = ("num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size")
# Before any load has set it.
HOST_THREADS = torch.get_num_threads()


@dataclasses.dataclass
class Group:
    """The ranks from one rank's point of view; see Leader and Member for their tasks."""

    rank: int
    size: int
    port: int
    gate: Gate
    mesh: object = None
    # GPUs of the ranks that this one speaks for.
    uuids: list[str] = dataclasses.field(default_factory=list)

    def join(self, device: torch.device) -> None:
        """Meet the other ranks, and hear of each of them once."""
        import torch.distributed as dist

        # What the library reads.
        os.environ.update(RANK=str(self.rank), LOCAL_RANK=str(self.rank), WORLD_SIZE=str(self.size))
        if device.type == "cpu":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine
        store = dist.TCPStore(
            "127.0.0.1", self.port, self.size, is_master=False, timeout=TIMEOUT, wait_for_workers=False
        )
        on_gpu = {"device_id": device} if device.type == "cuda" else {}
        dist.init_process_group(library(device), store=store, rank=self.rank, world_size=self.size,
                                timeout=TIMEOUT, **on_gpu)
        self.mesh = dist.init_device_mesh(device.type, (self.size,))
        count = torch.ones(1, device=device)
        dist.all_reduce(count)
        if int(count.item()) != self.size:
            raise Failure("nccl" if device.type == "cuda" else "engine_error",
                          f"a sum over {self.size} ranks is {count.item():g}: {library(device)} does not work here",
                          "check `nvidia-smi topo -m`, and run with NCCL_DEBUG=INFO")

    def begin(self, workload: dict) -> None:
        """All ranks begin this run."""

    def cancelled(self, asked) -> bool:
        """Whether all ranks stop before the next step."""
        raise NotImplementedError

    def total(self, peak: int) -> int:
        """The memory of all ranks that this one speaks for."""
        raise NotImplementedError

    def agree(self, digest: int) -> None:
        """Refuse tokens that differ between ranks."""
        raise NotImplementedError


def library(device: torch.device) -> str:
    """What carries the collective operations."""
    return "nccl" if device.type == "cuda" else "gloo"


def on_gpus(request: Request) -> bool:
    """Whether the ranks have GPUs, or all are on the CPU."""
    return request.device != "cpu" and torch.cuda.is_available()


def check(request: Request) -> None:
    """Refuse impossible settings before other processes are started."""
    size = request.tensor_parallel
    on_gpu = on_gpus(request)
    count = torch.cuda.device_count() if on_gpu else 0
    if request.device == "cuda" and not on_gpu or on_gpu and size > count:
        raise Failure("no_device", f"pytorch.tensor_parallel_size {size} needs {size} GPUs, PyTorch sees {count}",
                      "check nvidia-smi and CUDA_VISIBLE_DEVICES, or set a smaller pytorch.tensor_parallel_size")
    check_libraries(on_gpu)


def check_libraries(on_gpu: bool) -> None:
    """Refuse versions that have another form of it, or none."""
    import transformers

    distributed = torch.distributed
    if not distributed.is_available() or not (
        distributed.is_nccl_available() if on_gpu else distributed.is_gloo_available()
    ):
        raise Failure("version_mismatch",
                      f"torch {torch.__version__} is built without {'nccl' if on_gpu else 'gloo'}, "
                      "which pytorch.tensor_parallel_size needs", "install a build of PyTorch that has it")
    try:
        from transformers.distributed import DistributedConfig
        from transformers.distributed.tensor_parallel import apply_tensor_parallelism, distribute_tensor  # noqa: F401

        known = {field.name for field in dataclasses.fields(DistributedConfig)}
        known_here = "tp_size" in known and hasattr(transformers.PreTrainedModel, "maybe_distribute_model")
    except ImportError:
        known_here = False
    if not known_here:
        raise Failure("version_mismatch",
                      f"transformers {transformers.__version__} has no tensor parallelism that this worker knows",
                      "install transformers 5.17, or set pytorch.tensor_parallel_size: 1")


def check_sizes(request: Request, config) -> None:
    """Refuse sizes that the ranks cannot share evenly."""
    size = request.tensor_parallel
    for name in SHARED_SIZES:
        value = getattr(config, name, None)
        if isinstance(value, int) and value % size:
            raise Failure(
                "config",
                f"pytorch.tensor_parallel_size {size} does not divide {name} {value} of model {request.model}",
                "choose a size that divides the heads, the key and value heads, "
                "the intermediate size and the vocabulary",
            )


def device_of(request: Request, group: Group) -> torch.device:
    """This rank's device, made current."""
    if not on_gpus(request):
        return torch.device("cpu")
    torch.cuda.set_device(group.rank)
    return torch.device("cuda", group.rank)


def share_threads(request: Request) -> None:
    """On a CPU the ranks divide the cores among them, unless the study sets a number."""
    if not request.threads and not on_gpus(request):
        torch.set_num_threads(max(1, HOST_THREADS // request.tensor_parallel))


def shard(model: torch.nn.Module, group: Group, device: torch.device, alike: bool) -> dict[str, str]:
    """Keep this rank's part of the weights, on its device. Returns a description for the record.

    Random weights are copied from rank 0: GPUs of different kinds draw
    different ones. alike means that all ranks have read the same weights.
    """
    import torch.distributed as dist
    from transformers.distributed import DistributedConfig

    if not getattr(model, "tp_plan", None):
        raise Failure("unsupported_model", f"transformers has no plan by which ranks share a {type(model).__name__}",
                      "set pytorch.tensor_parallel_size: 1, or pytorch.device_map: auto for several GPUs")
    whole = sum(weight.numel() for weight in model.parameters())
    if not alike:
        for weight in model.parameters():
            dist.broadcast(weight.data, src=0)
    with compact_shards():
        model = type(model).maybe_distribute_model(
            model, DistributedConfig(tp_size=group.size, tp_plan="auto"), group.mesh)
    place_rest(model, device)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the other ranks' parts
    return {"tensor_parallel_size": str(group.size), "tensor_parallel_share": f"{share(model, group.size) / whole:.3f}",
            "collectives": collectives(device)}


@contextlib.contextmanager
def compact_shards():
    """The library's shards may be views that keep the whole weight in memory: copy those."""
    from torch.distributed.tensor import DTensor
    from transformers.distributed import tensor_parallel

    distribute = tensor_parallel.distribute_tensor

    def compact(tensor, mesh, placements, **how):
        whole = distribute(tensor, mesh, placements, **how)
        local = whole.to_local()
        if local.untyped_storage().nbytes() == local.numel() * local.element_size():
            return whole
        return DTensor.from_local(local.clone(), mesh, whole.placements, run_check=False,
                                  shape=whole.shape, stride=whole.stride())

    tensor_parallel.distribute_tensor = compact
    try:
        yield
    finally:
        tensor_parallel.distribute_tensor = distribute


def place_rest(model: torch.nn.Module, device: torch.device) -> None:
    """What every rank has whole goes to its device."""
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            if not is_shared(weight):
                weight.data = weight.data.to(device)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)


def is_shared(weight: torch.Tensor) -> bool:
    """The library holds it as one rank's part of a whole."""
    from torch.distributed.tensor import DTensor

    return isinstance(weight, DTensor)


def share(model: torch.nn.Module, size: int) -> int:
    """Check that the layers are shared. Returns how many weights are here.

    Every linear layer that the plan splits must have 1/size of its weight here, and so
    must each projection of attention: a plan without these is not a valid plan.
    """
    from transformers.distributed.tensor_parallel import _get_parameter_tp_plan

    here = shared = 0
    for name, module in model.named_modules():
        style = _get_parameter_tp_plan(f"{name}.weight", model.tp_plan)
        splits = style is not None and ("colwise" in style or "rowwise" in style)
        linear = isinstance(module, torch.nn.Linear)
        if linear and (splits or name.endswith(("q_proj", "k_proj", "v_proj", "o_proj"))):
            local = module.weight.to_local() if is_shared(module.weight) else module.weight
            if local.numel() * size != module.weight.numel():
                raise Failure("unsupported_model",
                              f"{type(model).__name__}: transformers leaves {name} with {local.numel()} of "
                              f"{module.weight.numel()} weights on a rank, not with 1/{size}",
                              "set pytorch.tensor_parallel_size: 1")
        for weight in module.parameters(recurse=False):
            here += (weight.to_local() if is_shared(weight) else weight).numel()
            shared += is_shared(weight)
    if not shared:
        raise Failure("unsupported_model", f"transformers shares no layer of a {type(model).__name__}",
                      "set pytorch.tensor_parallel_size: 1")
    return here


def collectives(device: torch.device) -> str:
    """The library of the collective operations, with its version."""
    if device.type == "cuda":
        return "nccl " + ".".join(map(str, torch.cuda.nccl.version()))
    return "gloo"


def digest(outputs: list[list[int]]) -> int:
    """A number that differs where the tokens differ."""
    return zlib.crc32(repr(outputs).encode())
