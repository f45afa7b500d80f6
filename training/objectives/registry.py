"""The one list of objectives."""

from __future__ import annotations

from training.objectives.autoencoder import AutoencoderObjective
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Objective
from training.objectives.frame_autoencoder import FrameAutoencoderObjective
from training.objectives.frame_game import FrameGameObjective
from training.objectives.loop_flow import FlowObjective
from training.objectives.loop_plan import PlanObjective
from training.objectives.paired import PairedObjective
from training.run.common_config import check_owner

OBJECTIVES: dict[str, type[Objective]] = {
    "autoencoder": AutoencoderObjective,
    "paired": PairedObjective,
    "autoregressive": AutoregressiveObjective,
    "frame_autoencoder": FrameAutoencoderObjective,
    "frame_game": FrameGameObjective,
    "loop_plan": PlanObjective,
    "loop_flow": FlowObjective,
}


def register(name: str, row: type[Objective]) -> None:
    """A further objective; `[training].objective` names it."""
    check_owner(f"objective {name!r}", row.settings)
    OBJECTIVES[name] = row
