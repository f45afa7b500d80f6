"""The keys of `[training]`: each belongs to the part of training that reads it.

The table is flat, but its keys have owners: the loop, the objective and the data. Each owner brings
a `Settings` class; `training/run/config.py` makes one class of those that a run needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from engine.models.base import ModelConfig

Unit = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Base of the keys that one part of training reads. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # Keys that may change when a run is taken up again: they steer it without changing what is
    # learnt.
    free: ClassVar[frozenset[str]] = frozenset()

    # What runs did that were begun before there was a key, where its default does otherwise.
    absent: ClassVar[dict[str, Any]] = {}

    @classmethod
    def names(cls) -> list[str]:
        """What `--set` may name, keys of inner tables with a dot, those of earlier versions too."""
        return list(cls.model_fields)

    @classmethod
    def upgraded(cls, table: dict[str, Any]) -> dict[str, Any]:
        """`[training]` with keys of earlier versions in their new places."""
        return table

    @classmethod
    def fine_tuned(cls, table: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        """`[training]` of a preset or run as the beginning of one that starts from weights."""
        return table

    @classmethod
    def recipe(cls, model: dict[str, Any]) -> dict[str, Any]:
        """`[model]` of a preset or run as that of another run, which starts from nothing: without
        what came from the sounds that the first one learnt from."""
        return model

    @classmethod
    def complete(cls, model: dict[str, Any], training: dict[str, Any], data: Path) -> None:
        """Fill in, in place, what `[model]` does not say and another part of the run decides."""

    def check_model(self, model: ModelConfig) -> None:
        """A `ConfigError` for settings that this model cannot have."""

    @property
    def second_phase(self) -> float | str | None:
        """Where steps of another length begin: a share of the run, "N steps" or "N minutes"."""
        return None
