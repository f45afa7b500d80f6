"""The one list of model families. Export, verification, commands and benchmarks iterate it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.errors import ConfigError, nearest
from engine.models.base import Model, ModelConfig
from engine.models.latent_flow import LatentFlow, LatentFlowConfig
from engine.models.latent_vae import LatentVAE, LatentVAEConfig
from engine.models.raw_vae import RawVAE
from engine.models.raw_vae_config import RawVAEConfig
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from engine.models.spectrogram_vae import SpectrogramVAE, SpectrogramVAEConfig
from engine.models.two_tier import TwoTier, TwoTierConfig
from engine.models.wavenet import WaveNet, WaveNetConfig


@dataclass(frozen=True)
class Family:
    """A model family: its configuration, how to build it, and how it is trained unless a preset
    says otherwise: names of rows of `training/objectives/` and `training/data/registry.py`."""

    config: type[ModelConfig]
    build: Callable[[Any], Model]
    summary: str
    objective: str = "autoencoder"
    data: str = "crops"


def with_coder(kind: Callable[..., Model]) -> Callable[[Any], Model]:
    """How to build a family whose configuration holds another model's, its coder."""
    def made(config: Any) -> Model:
        settings = dict(config.coder)
        if not settings:
            return kind(config)
        family = str(settings.pop("family", ""))
        coder = build(family, settings)
        if coder.coder is None:
            raise ConfigError(f"model.coder: family {family!r} does not encode and decode")
        return kind(config, coder)

    return made


FAMILIES: dict[str, Family] = {
    "raw_vae": Family(RawVAEConfig, RawVAE, "variational autoencoder of the waveform"),
    "wavenet": Family(WaveNetConfig, WaveNet, "sound drawn sample by sample, dilated convolutions",
                      "autoregressive", "performed"),
    "two_tier": Family(TwoTierConfig, TwoTier, "sound drawn sample by sample, in two rates",
                       "autoregressive", "performed"),
    "latent_vae": Family(LatentVAEConfig, with_coder(LatentVAE),
                         "loops from a code, by their latents", "loop_plan", "loops"),
    "latent_flow": Family(LatentFlowConfig, with_coder(LatentFlow),
                          "loops drawn chunk by chunk, by their latents", "loop_flow", "loops"),
    "spectrogram_gan": Family(SpectrogramGANConfig, SpectrogramGAN,
                              "strokes that a gate triggers, by frames of a spectrogram",
                              "frame_game", "hits"),
    "spectrogram_vae": Family(SpectrogramVAEConfig, SpectrogramVAE,
                              "variational autoencoder of frames of a spectrogram",
                              "frame_autoencoder"),
}


def register(name: str, family: Family) -> None:
    """A further family."""
    FAMILIES[name] = family


def configure(family: str, settings: dict[str, Any]) -> ModelConfig:
    """Validated configuration of `family`; `ConfigError` names every key that is wrong."""
    if family not in FAMILIES:
        raise ConfigError(f"unknown model family {family!r}{nearest(family, FAMILIES)}")
    kind = FAMILIES[family].config
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, "model.")) from None


def build(family: str, settings: dict[str, Any] | ModelConfig) -> Model:
    """A freshly initialised model."""
    config = settings if isinstance(settings, ModelConfig) else configure(family, settings)
    return FAMILIES[family].build(config)


def explain(error: ValidationError, kind: type[Any], prefix: str = "") -> str:
    """A pydantic error as one line per key: where, what was wrong, what would be right."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            hint = nearest(where, kind.model_fields)
            lines.append(f"unknown key {prefix}{where}{hint}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            place = f"{prefix}{where}" if item["loc"] else f"{prefix}*"
            shown = f" (got {item['input']!r})" if item["loc"] else ""
            lines.append(f"{place}: {message}{shown}")
    return "; ".join(lines)
