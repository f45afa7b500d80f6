"""Keys of `[training]` that objectives of models with latents read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from engine.errors import ConfigError, nearest
from engine.models.base import ModelConfig
from training.objectives import quantised, regularisers
from training.objectives.adversarial import AdversarialConfig, GanConfig
from training.objectives.gan import GanSettings
from training.objectives.regularisers import REGULARISERS, KLConfig, RegulariserConfig
from training.settings import Count, NotNegative

# Keys that version 0.1 had beside the others, and what they are in the regulariser's table today.
EARLIER = {"kl_weight": "weight", "kl_warmup_steps": "warmup_steps", "free_bits": "free_bits"}


class CodedSettings(GanSettings):
    """How latents are to be, whatever sound is compared by."""

    game = AdversarialConfig

    # Of what a model with `controls` says of them (in bels, octaves), against the reconstruction.
    control_weight: NotNegative = 1.0
    # Of the order that the first latents should have, so that they follow loudness, brightness and
    # noisiness: see `objectives/described.py`. 0 leaves them alone.
    descriptor_weight: NotNegative = 0.1
    # What the attribute `temperature` adds at 1, in shares of a latent's spread on the corpus: a
    # posterior's own noise is too little to be heard. 0 leaves it at that.
    temperature_spread: NotNegative = 0.25
    # What holds the latents near a prior: a table of its own, see `objectives/regularisers.py`.
    regulariser: SerializeAsAny[RegulariserConfig] = KLConfig()
    # The second phase, a table too: see `training/objectives/adversarial.py`.
    adversarial: AdversarialConfig | None = None
    # So many latents are kept when weights are saved, those that carry most; None keeps all.
    active_latents: Count | None = None
    quantise: str | None = None  # "q16x8": convolutions play weights as that export rounds them

    @classmethod
    def names(cls) -> list[str]:
        inside = {f"regulariser.{key}" for row in REGULARISERS.values()
                  for key in row.config.model_fields}
        return [*super().names(), *EARLIER, *sorted(inside)]

    @classmethod
    def upgraded(cls, table: dict[str, Any]) -> dict[str, Any]:
        settings = dict(table)
        moved = {new: settings.pop(old) for old, new in EARLIER.items() if old in settings}
        if not moved:
            return settings
        inner = settings.get("regulariser", {})
        if not isinstance(inner, dict):  # left for its own check
            return settings
        if inner.get("kind", "kl") != "kl":
            old = next(old for old in EARLIER if old in table)
            raise ConfigError(f"training.{old} belongs to the regulariser 'kl'; this one is "
                              f"{inner['kind']!r}: set training.regulariser.{EARLIER[old]}")
        return {**settings, "regulariser": {**moved, **inner}}

    @classmethod
    def fine_tuned(cls, table: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        """No warm-up of the regulariser; rounding is learnt at a low rate."""
        inner = table.get("regulariser", {})
        changed: dict[str, Any] = {"regulariser": {**inner, "warmup_steps": 0}}
        if options.get("quantise") is not None:
            changed["learning_rate"] = quantised.LEARNING_RATE
        return {**table, **changed}

    def check_model(self, model: ModelConfig) -> None:
        have = getattr(model, "latents", None)
        if self.active_latents is not None and have is not None and self.active_latents > have:
            raise ConfigError(f"training.active_latents is {self.active_latents}, but the model "
                              f"has only {have} (model.latents)")

    @model_validator(mode="before")
    @classmethod
    def _from_earlier(cls, data: Any) -> Any:
        return CodedSettings.upgraded(data) if isinstance(data, dict) else data

    @field_validator("regulariser", mode="before")
    @classmethod
    def _known_regulariser(cls, value: Any) -> RegulariserConfig:
        return regularisers.checked(value)

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> GanConfig | None:
        return cls.game_of(value)

    @field_validator("quantise")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        if value is not None and value not in quantised.FORMATS:
            raise ValueError(f"unknown format{nearest(value, quantised.FORMATS)}")
        return value


class AutoencoderSettings(CodedSettings):
    """How sound is to be coded that is compared as sound."""

    absent: ClassVar[dict[str, Any]] = {"energy_score": 0.0, "balance_weight": 0.0,
                                       "descriptor_weight": 0.0, "temperature_spread": 0.0}

    # Of the distance between two draws of the noise heads: 1 is the energy score, which keeps noise
    # noise; 0 is the distance alone, which prefers smooth sound. See `objectives/energy.py`.
    energy_score: Annotated[float, Field(ge=0, le=1)] = 1.0
    # Of mel bands and octave levels, against the spectral distance: see `objectives/balance.py`.
    balance_weight: NotNegative = 1.0
    linear_weight: NotNegative = 1.0  # of the linear distance, against the spectral distance
    # Of what latents sound like that stand still or glide: see `objectives/held.py`. Only with the
    # energy score; 0 leaves them to chance.
    held_weight: NotNegative = 0.0
