"""The objective of models with latents: sound as near to the input as it can be.

The energy score of a spectral distance over two draws of the model's noise (`energy.py`), a linear
one beside it, and what holds the latents near a prior (`coded.py`). A second phase, if asked for,
adds discriminators (`adversarial.py`).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from engine.models.base import Model
from engine.models.coded import as_coded
from training.objectives.aligned import aligned, aligned_draws, compared
from training.objectives.autoencoder_settings import AutoencoderSettings
from training.objectives.balance import balance
from training.objectives.base import Moment, Terms
from training.objectives.coded import CodedObjective
from training.objectives.gan import HEARD
from training.objectives.held import held_score
from training.objectives.losses import watched
from training.objectives.noise_head import (
    FLOOR_WEIGHT,
    SILENT_DB,
    Levels,
    NoiseMonitor,
    listening,
    probed_db,
)
from training.objectives.tones import TONE_WEIGHT, tone_loss, tones_of
from training.objectives.width import width_terms


class AutoencoderObjective(CodedObjective):
    """Takes batches with "audio" [batch, channels, samples]."""

    settings = AutoencoderSettings

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config)
        self.watched = "energy_score" if config.energy_score else "spectral_distance"
        self.noise = NoiseMonitor()

    def _begin(self) -> None:
        """A noise head that the weights of another run have silenced begins anew, if the energy
        score asks for one: said in a line."""
        self.restarted: str | None = None
        if not self.config.energy_score or self.config.start_from is None:
            return
        coder = as_coded(self.model)
        level = probed_db(coder)
        if level is None or level >= SILENT_DB:
            return
        coder.restart_noise()
        self.restarted = f"noise head was silent ({-level:.0f} dB below its bands) and begins anew"

    # --- the step ---------------------------------------------------------------------------

    def reconstruction(self, coded: Tensor, target: Tensor, at: Moment) -> Terms:
        model, figures = self.model, Terms()
        coder = as_coded(model)
        with listening(model) as levels, tones_of(model) as tones:
            outputs = coder.draws(coded, 2 if self.config.energy_score else 1)
        found = compared(model, outputs, target, self.config.energy_score)
        loss = found.score + self.config.linear_weight * found.linear_score + self._floor(levels)
        width, told = width_terms(model, outputs, target, self.config.energy_score)
        loss, figures = loss + width, {**figures, **told}
        if self.config.balance_weight:
            heard = balance(*aligned_draws(model, outputs, target), model.sample_rate_hz)
            loss = loss + self.config.balance_weight * (heard.mel_score + heard.octaves)
            figures = {**figures, "mel_score": heard.mel_score.detach(),
                       "octave_nepers": heard.octaves.detach()}
        tone = tone_loss(tones, model, target)
        if tone is not None:
            loss = loss + TONE_WEIGHT * tone
            figures = {**figures, "tone_nepers": tone.detach()}
        if self.config.held_weight and self.config.energy_score:
            held = held_score(coder, coded, target, self.config.linear_weight, at.shard)
            loss = loss + self.config.held_weight * held
            figures = {**figures, "held_score": held.detach()}
        if self.phase == 2:
            figures = figures | dict(zip(HEARD, aligned(model, outputs[0], target), strict=True))
        if self.config.energy_score:
            figures = {**figures, "energy_score": found.score.detach()}
        return {"loss": loss, "spectral_distance": found.distance,
                "linear_distance": found.linear, **figures}

    def _floor(self, levels: Levels) -> Tensor | float:
        """What keeps noise heads from dying, 0 without one or without the energy score."""
        self.noise.update(levels)
        if not levels.noise or not self.config.energy_score:
            return 0.0
        return FLOOR_WEIGHT * levels.floor()

    def watch(self, terms: Terms) -> float:
        """Both distances, so that a second phase with further losses is no divergence."""
        return watched(terms)

    # --- what is told -----------------------------------------------------------------------

    def figures(self) -> dict[str, float | list[float]]:
        level = self.noise.figure()
        return super().figures() | ({} if level is None else {"noise_head_db": round(level, 1)})

    def schedule(self, times: tuple[float, float]) -> str:
        said = super().schedule(times)
        return said if self.restarted is None else f"{said}; {self.restarted}"

    def silence(self) -> str | None:
        """Of noise heads."""
        said = self.noise.sentence()
        more = "" if self.config.energy_score else "; training.energy_score=1 keeps it alive"
        return None if said is None else said + more

    # --- checkpoints ------------------------------------------------------------------------

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.restarted = None  # long ago
