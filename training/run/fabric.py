"""Lightning Fabric carries devices, precision and processes; here is all that is asked of it."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.layers import PQMFAnalysis, PQMFSynthesis

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def fabric(kind: str, devices: int | list[int], nodes: int, partial: bool,
           precision: str = "auto") -> Fabric:
    """On devices of a kind ("cpu", "cuda", "mps"): so many on each node, or that with the number
    in the list. `partial`: steps may leave parameters without gradients. `precision`: as in
    `CommonConfig`."""
    from lightning.fabric import Fabric

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    if kind == "cuda":
        torch.set_float32_matmul_precision("high")
    many = isinstance(devices, int) and devices * nodes > 1
    few_bits = kind == "cuda" if precision == "auto" else precision == "bfloat16"
    ddp = "ddp_find_unused_parameters_true" if partial else "ddp"
    try:
        return Fabric(accelerator=kind, devices=devices, num_nodes=nodes,
                      strategy=ddp if many else "auto",
                      precision="bf16-mixed" if few_bits else "32-true")
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot train on {devices} x {kind}: {error}") from None


def mixed(fabric: Fabric) -> bool:
    """Whether some of the arithmetic has fewer bits."""
    return "mixed" in str(fabric._precision.precision)


def lost_process(error: BaseException) -> bool:
    """Whether `error` says that another process of the run is gone."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and torch.distributed.is_initialized() and any(
        words in said for words in ("connection closed by peer", "connection reset by peer",
                                    "broken pipe", "timed out", "remote process exited",
                                    "connection refused", "failed to recv"))


def part() -> None:
    """Ends the bond between the processes of a run once all of them have come here. Left to the
    interpreter's own end, a thread that still waits for another process takes this one down."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def keep_full_precision(model: nn.Module) -> None:
    """Filter banks compute in float32 under autocast: the 8 bits of bfloat16 would bury everything
    48 dB below the loudest sample, where a logarithmic loss still listens."""
    for layer in model.modules():
        if isinstance(layer, (PQMFAnalysis, PQMFSynthesis)):
            layer.forward = _in_float32(layer.forward)  # type: ignore[method-assign]


def _in_float32(forward: Any) -> Any:
    def full(x: Tensor, state: tuple[Tensor, ...]) -> Any:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float(), tuple(s.float() for s in state))

    return full
