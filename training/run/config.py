"""Settings of a training run: the `[training]` table, `--set key=value`, and the resolved whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from engine.errors import ConfigError, nearest
from engine.models.base import ModelConfig
from engine.models.registry import FAMILIES, configure, explain
from engine.models.store import read_settings
from engine.resolve import PRESET, RUN, SETTINGS
from engine.resolve import resolve as resolve_model
from training.objectives import adversarial, quantised, regularisers
from training.objectives.adversarial import AdversarialConfig
from training.objectives.autoencoder import OBJECTIVES
from training.objectives.regularisers import REGULARISERS, KLConfig, RegulariserConfig
from training.run.assignments import assign, parse_assignment

Unit = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class TrainingConfig(BaseModel):
    """How a model is trained. Times are in seconds, levels in dB, KL in nats."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    objective: str = "autoencoder"
    # Budget: the run ends at whichever of the two comes first; None does not limit.
    steps: Count | None = 20000
    minutes: Positive | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    batch_size: Count = 8
    crop_seconds: Positive = 1.0
    gain_db: NotNegative = 6.0  # each crop is made louder or softer by up to this much
    polarity: bool = True  # half of the crops are turned upside down
    filtered: Annotated[float, Field(ge=0, le=1)] = 0.0  # so many crops lose their bass or treble

    learning_rate: Positive = 4e-3
    betas: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.8, 0.99)
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    schedule: str = "cosine"  # "cosine" falls to `final_rate` of the peak, "constant" stays
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    gradient_clip: Positive = 10.0  # largest norm of all gradients together
    ema_decay: Unit = 0.998

    linear_weight: NotNegative = 1.0  # of the linear distance, against the spectral distance
    # Of what a model with `controls` says of them (in bels, octaves), against the same.
    control_weight: NotNegative = 1.0
    # What holds the latents near a prior: a table of its own, see `objectives/regularisers.py`.
    regulariser: SerializeAsAny[RegulariserConfig] = KLConfig()
    # The second phase, a table too: see `training/objectives/adversarial.py`.
    adversarial: AdversarialConfig | None = None

    # So many latents are kept when weights are saved, those that carry most; None keeps all.
    active_latents: Count | None = None

    quantise: str | None = None  # "q16x8": convolutions play weights as that export rounds them
    start_from: str | None = None  # run directory or preset whose weights are the beginning

    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    validation_seconds: Positive = 60.0  # time between validations
    checkpoint_seconds: Positive = 30.0  # time between checkpoints
    log_steps: Count = 20
    workers: Annotated[int, Field(ge=0)] | None = None  # loader processes; None chooses
    cache_gb: NotNegative = 20.0  # the cache beside the run is not made larger than this

    @model_validator(mode="before")
    @classmethod
    def _from_earlier(cls, data: Any) -> Any:
        return upgraded(data) if isinstance(data, dict) else data

    @field_validator("regulariser", mode="before")
    @classmethod
    def _known_regulariser(cls, value: Any) -> RegulariserConfig:
        return regularisers.checked(value)

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> AdversarialConfig | None:
        return adversarial.checked(value)

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, value: str) -> str:
        if value not in OBJECTIVES:
            raise ValueError(f"unknown objective{nearest(value, OBJECTIVES)}")
        return value

    @field_validator("quantise")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        if value is not None and value not in quantised.FORMATS:
            raise ValueError(f"unknown format{nearest(value, quantised.FORMATS)}")
        return value

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, value: str) -> str:
        if value not in ("cosine", "constant"):
            raise ValueError("must be 'cosine' or 'constant'")
        return value


EARLIER = {"kl_weight": "weight", "kl_warmup_steps": "warmup_steps", "free_bits": "free_bits"}


def upgraded(training: dict[str, Any]) -> dict[str, Any]:
    """A `[training]` table with the keys of earlier versions in their new places."""
    settings = dict(training)
    if settings.get("objective") == "kl":
        settings["objective"] = "autoencoder"
    moved = {new: settings.pop(old) for old, new in EARLIER.items() if old in settings}
    if not moved:
        return settings
    table = settings.get("regulariser", {})
    if not isinstance(table, dict):  # left for its own check
        return settings
    if table.get("kind", "kl") != "kl":
        old = next(old for old in EARLIER if old in training)
        raise ConfigError(f"training.{old} belongs to the regulariser 'kl'; this one is "
                          f"{table['kind']!r}: set training.regulariser.{EARLIER[old]}")
    return {**settings, "regulariser": {**moved, **table}}


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
    """Nested tables without what is None, which TOML cannot say."""
    def full(table: dict[str, Any]) -> dict[str, Any]:
        return {k: full(v) if isinstance(v, dict) else v
                for k, v in table.items() if v is not None}

    return full(config.model_dump(mode="json"))


def resolve(preset: str, data: Path, assignments: list[str], **options: Any) -> RunConfig:
    """The run that `tudor train PRESET` describes.

    `assignments` are `key=value` texts; `options` are training keys given as options of their
    own (steps, minutes, seed), None where the option was not used. A run that starts from other
    weights has no warm-up of its regulariser, and one that learns to be rounded a low learning
    rate, unless that is assigned."""
    settings = read_settings(config_path(preset))
    model, training = dict(settings["model"]), dict(settings.get("training", {}))
    family = str(model.pop("family"))
    if family not in FAMILIES:
        raise ConfigError(f"unknown model family {family!r}{nearest(family, FAMILIES)}")
    training = _fine_tuning(upgraded(training), options)
    known = {"model": list(FAMILIES[family].config.model_fields), "training": training_keys()}
    assign({"model": model, "training": training},
            [parse_assignment(text, known) for text in assignments])
    given = {key: value for key, value in options.items() if value is not None}
    training.update(given)
    limits: dict[str, Any] = {}
    if "minutes" in training and "steps" not in training:
        limits["steps"] = None  # a budget in minutes replaces the default one in steps
    elif ("minutes" in given) != ("steps" in given):  # an option replaces the file's budget
        limits["steps" if "minutes" in given else "minutes"] = None
    run = RunConfig(
        family, configure(family, model), training_config({**training, **limits}), data.resolve()
    )
    _check_active(run)
    return run


def _fine_tuning(training: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Settings of a preset or an earlier run as the beginning of what `options` ask for."""
    if options.get("start_from") is None:
        return training
    table = training.get("regulariser", {})
    changed: dict[str, Any] = {"regulariser": {**table, "warmup_steps": 0}}
    if options.get("quantise") is not None:
        changed["learning_rate"] = quantised.LEARNING_RATE
    return {**training, **changed}


def _check_active(run: RunConfig) -> None:
    wanted, have = run.training.active_latents, getattr(run.model, "latents", None)
    if wanted is not None and have is not None and wanted > have:
        raise ConfigError(f"training.active_latents is {wanted}, but the model has only {have} "
                          "(model.latents)")


def training_keys() -> list[str]:
    """All keys of `[training]`, those of its tables with a dot, and those of earlier versions."""
    inside = {f"regulariser.{key}" for row in REGULARISERS.values()
              for key in row.config.model_fields}
    inside |= {f"adversarial.{key}" for key in AdversarialConfig.model_fields}
    return [*TrainingConfig.model_fields, *EARLIER, *sorted(inside)]


def training_config(settings: dict[str, Any]) -> TrainingConfig:
    """A checked `[training]` table; errors name every key that is wrong."""
    try:
        return TrainingConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, TrainingConfig, "training.")) from None


def config_path(preset: str) -> Path:
    """Configuration file of a preset's name, of a path to a .toml file, or of a run directory."""
    return resolve_model(preset, (RUN, SETTINGS, PRESET)).settings


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Keys in which two settings differ, `FREE_KEYS` aside, each with both values. Settings of an
    earlier version are read as what they mean today."""
    found = []
    for table in ("model", "training", "data"):
        old, new = before.get(table, {}), now.get(table, {})
        if table == "training":
            old, new = _completed(old), _completed(new)
        old, new = _flat(old), _flat(new)
        for key in sorted({*old, *new}):
            if table == "training" and key in FREE_KEYS:
                continue
            if old.get(key) != new.get(key):
                found.append(f"{table}.{key} was {old.get(key)!r}, is now {new.get(key)!r}")
    return found


def _completed(training: dict[str, Any]) -> dict[str, Any]:
    """With defaults where nothing is said; as it is where it cannot be read."""
    try:
        return _plain(training_config(training))
    except ConfigError:
        return upgraded(training)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys with dots."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        inside = isinstance(value, dict)
        found.update(_flat(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}": value})
    return found
