"""What can be trained on pictures: rows of network, objective and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ValidationError
from rich.console import Console

from engine.errors import ConfigError
from engine.models.registry import explain
from training.images.networks import (
    Autoencoder,
    Generator,
    ImageConfig,
    ImageModel,
    PictureJudge,
)
from training.images.objectives import (
    Classify,
    ClassifySettings,
    Code,
    CodeSettings,
    PictureGame,
    PictureGameSettings,
)
from training.images.runs import Trained, train
from training.images.sets import PictureSet
from training.objectives.base import Objective
from training.run.assignments import assign, parse_assignment
from training.run.common_config import CommonConfig

Table = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A row: what is built, what it learns, its shape, and `[training]` for pictures of so many
    pixels."""

    words: str
    network: type[ImageModel]
    objective: type[Objective]
    settings: type[CommonConfig]
    training: Callable[[int, int], Table]  # of pixels and latents
    shape: Table = field(default_factory=dict)

    def names(self) -> list[str]:
        """Keys of `[training]` that may be set."""
        inside = ("regulariser.kind", "regulariser.weight", "regulariser.warmup_steps",
                  "regulariser.free_bits", "regulariser.kernel", "regulariser.prior",
                  "regulariser.components", "regulariser.points")
        return [*self.settings.names(), *(inside if self.settings is CodeSettings else ())]


def _kl(pixels: int, latents: int) -> Table:
    # The bound on likelihood: the house's penalty is a mean over latents, and the cross-entropy
    # here one over pixels.
    return {"regulariser": {"kind": "kl", "weight": latents / pixels, "free_bits": 0.0,
                            "warmup_steps": 200}, "learning_rate": 1e-3, "batch_size": 128,
            "betas": (0.9, 0.999)}


def _wae(pixels: int, latents: int) -> Table:
    return {"regulariser": {"kind": "wae-mmd", "weight": 100 / pixels, "warmup_steps": 200},
            "learning_rate": 1e-3, "batch_size": 128, "betas": (0.9, 0.999)}


def _wae_rbf(pixels: int, latents: int) -> Table:
    return _with(_wae(pixels, latents), kernel="rbf")


def _wae_mixture(pixels: int, latents: int) -> Table:
    return _with(_wae(pixels, latents), prior="mixture")


def _with(table: Table, **keys: Any) -> Table:
    """Other keys of the regulariser."""
    return {**table, "regulariser": {**table["regulariser"], **keys}}


def _game(pixels: int, latents: int) -> Table:
    # The generator learns faster than the discriminator, which otherwise wins within 100 steps.
    return {"learning_rate": 2e-3, "batch_size": 64, "betas": (0.5, 0.9), "final_rate": 0.1,
            "ema_decay": 0.999, "warmup_steps": 20}


def _seeking(pixels: int, latents: int) -> Table:
    return {**_game(pixels, latents), "mode_seeking": 0.1}


def _classes(pixels: int, latents: int) -> Table:
    return {"learning_rate": 2e-3, "batch_size": 128, "betas": (0.9, 0.999)}


RECIPES: dict[str, Recipe] = {
    "classifier": Recipe("which class", PictureJudge, Classify, ClassifySettings, _classes,
                         {"width": 16}),
    "vae": Recipe("VAE", Autoencoder, Code, CodeSettings, _kl, {"width": 400}),
    "vae-conv": Recipe("VAE of convolutions", Autoencoder, Code, CodeSettings, _kl,
                       {"convolutions": True, "width": 16}),
    "wae": Recipe("WAE-MMD", Autoencoder, Code, CodeSettings, _wae, {"width": 400}),
    "wae-rbf": Recipe("WAE-MMD, RBF kernel", Autoencoder, Code, CodeSettings, _wae_rbf,
                      {"width": 400}),
    "wae-mixture": Recipe("WAE-MMD, prior a mixture", Autoencoder, Code, CodeSettings,
                          _wae_mixture, {"width": 400}),
    "wae-conv": Recipe("WAE-MMD of convolutions", Autoencoder, Code, CodeSettings, _wae,
                       {"convolutions": True, "width": 16}),
    "dcgan": Recipe("DCGAN", Generator, PictureGame, PictureGameSettings, _game,
                    {"classes": 0, "latents": 64, "width": 16}),
    "cgan": Recipe("projection GAN", Generator, PictureGame, PictureGameSettings, _game,
                   {"latents": 64, "width": 16}),
    "cgan-seeking": Recipe("projection GAN that seeks modes", Generator, PictureGame,
                           PictureGameSettings, _seeking, {"latents": 64, "width": 16}),
}


def prepared(
    name: str, pictures: PictureSet, seed: int, minutes: float | None, steps: int | None,
    assignments: list[str],
) -> Objective:
    """The objective of a run with its fresh network, everything checked."""
    recipe = RECIPES[name]
    shape = ImageConfig(**{"side": pictures.side, "classes": len(pictures.classes), **recipe.shape})
    tables = {"training": recipe.training(pictures.side**2, shape.latents)}
    known = {"training": recipe.names()}
    assign(tables, [parse_assignment(text, known) for text in assignments])
    try:
        config = recipe.settings(**{"seed": seed, "steps": steps, "minutes": minutes,
                                    **tables["training"]})
    except ValidationError as error:
        raise ConfigError(explain(error, recipe.settings, "training.")) from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe.objective(recipe.network(shape), config)


def run(name: str, objective: Objective, pictures: PictureSet, console: Console) -> Trained:
    """The training itself."""
    return train(objective, objective.config, pictures, name, console)
