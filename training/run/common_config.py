"""The keys of `[training]` that the loop itself reads, whatever is trained and on what."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from training.settings import Count, Positive, Settings, Unit


class CommonConfig(Settings):
    """What the loop itself reads. Times are in seconds, levels in dB, KL in nats."""

    free: ClassVar[frozenset[str]] = frozenset({
        "steps", "minutes", "validation_seconds", "checkpoint_seconds", "log_steps", "workers"})

    # Rows of their registries; the family's own, unless something is said.
    objective: str = "autoencoder"
    data: str = "crops"
    # Budget: the run ends at whichever of the two comes first; None does not limit.
    steps: Count | None = 20000
    minutes: Positive | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    batch_size: Count = 8  # of each process
    learning_rate: Positive = 4e-3
    betas: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.8, 0.99)
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    schedule: str = "cosine"  # "cosine" falls to `final_rate` of the peak, "constant" stays
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    gradient_clip: Positive = 10.0  # largest norm of all gradients together
    ema_decay: Unit = 0.998
    # "bfloat16": networks in 16 bits, losses and filter banks in float32; "auto": so on CUDA alone.
    precision: str = "auto"
    start_from: str | None = None  # run directory or preset whose weights are the beginning

    validation_seconds: Positive = 60.0  # time between validations
    checkpoint_seconds: Positive = 30.0  # time between checkpoints
    log_steps: Count = 20
    workers: Annotated[int, Field(ge=0)] | None = None  # loader processes; None chooses

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, value: str) -> str:
        if value not in ("cosine", "constant"):
            raise ValueError("must be 'cosine' or 'constant'")
        return value

    @field_validator("precision")
    @classmethod
    def _known_precision(cls, value: str) -> str:
        if value not in ("auto", "float32", "bfloat16"):
            raise ValueError("must be 'auto', 'float32' or 'bfloat16'")
        return value


def check_owner(row: str, kind: type[Settings]) -> None:
    """A `ValueError` for a row of a registry that claims a key of the loop's own."""
    taken = sorted({*kind.model_fields} & {*CommonConfig.model_fields})
    if taken:
        raise ValueError(f"{row}: training.{taken[0]} is the loop's own key")
