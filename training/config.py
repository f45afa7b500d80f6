"""Settings of a training run: the `[training]` table, `--set key=value`, and the resolved whole."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine.errors import ConfigError, nearest
from engine.models.base import ModelConfig
from engine.models.registry import FAMILIES, configure, explain
from engine.models.store import read_settings
from engine.presets import preset_names, preset_path
from training.objective import OBJECTIVES

Unit = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class TrainingConfig(BaseModel):
    """How a model is trained. Times are in seconds, levels in dB, KL in nats."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    objective: str = "kl"
    # Budget: the run ends at whichever of the two comes first; None does not limit.
    steps: Count | None = 20000
    minutes: Positive | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    batch_size: Count = 8
    crop_seconds: Positive = 1.0
    gain_db: NotNegative = 6.0  # each crop is made louder or softer by up to this much
    polarity: bool = True  # half of the crops are turned upside down

    learning_rate: Positive = 4e-3
    betas: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.8, 0.99)
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    schedule: str = "cosine"  # "cosine" falls to `final_rate` of the peak, "constant" stays
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    gradient_clip: Positive = 10.0  # largest norm of all gradients together
    ema_decay: Unit = 0.998

    linear_weight: NotNegative = 1.0  # of the linear distance, against the spectral distance
    kl_weight: NotNegative = 1e-3  # against the spectral distance, per latent number
    kl_warmup_steps: Annotated[int, Field(ge=0)] = 500
    free_bits: NotNegative = 0.05  # nats per latent dimension and frame that cost nothing

    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    validation_seconds: Positive = 60.0  # time between validations
    checkpoint_seconds: Positive = 30.0  # time between checkpoints
    log_steps: Count = 20
    workers: Annotated[int, Field(ge=0)] | None = None  # loader processes; None chooses
    cache_gb: NotNegative = 20.0  # the cache beside the run is not made larger than this

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, value: str) -> str:
        if value not in OBJECTIVES:
            raise ValueError(f"unknown objective{nearest(value, OBJECTIVES)}")
        return value

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, value: str) -> str:
        if value not in ("cosine", "constant"):
            raise ValueError("must be 'cosine' or 'constant'")
        return value


# These may change when a run is taken up again: they steer it without changing what is learnt.
FREE_KEYS = {
    "steps", "minutes", "validation_seconds", "checkpoint_seconds", "log_steps", "workers",
    "cache_gb",
}


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run, checked and complete."""

    family: str
    model: ModelConfig
    training: TrainingConfig
    data: Path

    def settings(self) -> dict[str, Any]:
        """As the tables of `config.toml`; what is None is left out."""
        return {
            "model": {"family": self.family, **_plain(self.model)},
            "training": _plain(self.training),
            "data": {"folder": str(self.data)},
        }


def _plain(config: BaseModel) -> dict[str, Any]:
    return {k: v for k, v in config.model_dump(mode="json").items() if v is not None}


def resolve(preset: str, data: Path, assignments: list[str], **options: Any) -> RunConfig:
    """The run that `tudor train PRESET` describes.

    `assignments` are `key=value` texts; `options` are training keys given as options of their
    own (steps, minutes, seed), None where the option was not used."""
    settings = read_settings(config_path(preset))
    model, training = dict(settings["model"]), dict(settings.get("training", {}))
    family = str(model.pop("family"))
    if family not in FAMILIES:
        raise ConfigError(f"unknown model family {family!r}{nearest(family, FAMILIES)}")
    tables = {"model": model, "training": training}
    fields = {"model": FAMILIES[family].config.model_fields,
              "training": TrainingConfig.model_fields}
    for text in assignments:
        table, key, value = parse_assignment(text, {k: list(v) for k, v in fields.items()})
        tables[table][key] = value
    given = {key: value for key, value in options.items() if value is not None}
    training.update(given)
    limits: dict[str, Any] = {}
    if "minutes" in training and "steps" not in training:
        limits["steps"] = None  # a budget in minutes replaces the default one in steps
    elif "minutes" in given and "steps" not in given:
        limits["steps"] = None
    return RunConfig(
        family, configure(family, model), training_config({**training, **limits}), data.resolve()
    )


def training_config(settings: dict[str, Any]) -> TrainingConfig:
    """A checked `[training]` table; errors name every key that is wrong."""
    try:
        return TrainingConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, TrainingConfig, "training.")) from None


def config_path(preset: str) -> Path:
    """Configuration file of a preset's name, or of a path to a .toml file."""
    if preset in preset_names():
        return preset_path(preset)
    if preset.endswith(".toml"):
        return Path(preset)
    raise ConfigError(f"unknown preset {preset!r}{nearest(preset, preset_names())}")


def parse_assignment(text: str, known: dict[str, list[str]]) -> tuple[str, str, Any]:
    """`model.latents=8` as ("model", "latents", 8); the table may be left out where it is clear.

    `known`: keys of each table."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise ConfigError(f"--set {text}: wanted key=value, for example model.latents=8")
    table, dot, key = name.rpartition(".")
    everything = [f"{t}.{k}" for t, keys in known.items() for k in keys]
    if not dot:
        owners = [t for t, keys in known.items() if name in keys]
        if len(owners) > 1:
            raise ConfigError(
                f"--set {text}: {name!r} is ambiguous; say "
                + " or ".join(f"{owner}.{name}" for owner in owners)
            )
        bare = [k for keys in known.values() for k in keys]
        if not owners:
            raise ConfigError(f"--set {text}: unknown key {name!r}{nearest(name, bare)}")
        return owners[0], name, _value(value)
    if table not in known or key not in known[table]:
        elsewhere = [f"{t}.{k}" for t, keys in known.items() for k in keys if k == key]
        hint = nearest(name, elsewhere or everything)
        raise ConfigError(f"--set {text}: unknown key {name!r}{hint}")
    return table, key, _value(value)


def _value(text: str) -> Any:
    """A TOML value; what is none is taken as a plain string."""
    text = text.strip()
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Keys in which two settings differ, `FREE_KEYS` aside, each with both values."""
    found = []
    for table in ("model", "training", "data"):
        old, new = before.get(table, {}), now.get(table, {})
        for key in sorted({*old, *new}):
            if table == "training" and key in FREE_KEYS:
                continue
            if old.get(key) != new.get(key):
                found.append(f"{table}.{key} was {old.get(key)!r}, is now {new.get(key)!r}")
    return found
