"""The objective of models with latents: sound as near to the input as it can be.

The energy score of a spectral distance over two draws of the model's noise (`energy.py`), a linear
one beside it, and what holds the latents near a prior (`regularisers.py`); what controls beside the
latents are taught is `controls.py`. A second phase, if asked for, adds discriminators
(`adversarial.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.models.base import Model
from engine.models.coded import Coded, as_coded
from training.data.base import Batch, Shard
from training.objectives.adversarial import Adversary
from training.objectives.aligned import aligned, aligned_draws, compared, noises
from training.objectives.autoencoder_settings import AutoencoderSettings
from training.objectives.balance import balance
from training.objectives.base import Moment, Objective, Terms, Validation
from training.objectives.controls import ControlLoss, Grid, control_loss
from training.objectives.described import arrange, disorder, grid_of, wanted
from training.objectives.energy import compare
from training.objectives.held import held_score
from training.objectives.latents import playable
from training.objectives.losses import watched
from training.objectives.monitor import LatentMonitor, LatentState, advice
from training.objectives.noise_head import (
    FLOOR_WEIGHT,
    SILENT_DB,
    Levels,
    NoiseMonitor,
    listening,
    probed_db,
)
from training.objectives.quantised import plain, quantise_weights
from training.objectives.regularisers import build_regulariser
from training.objectives.tones import TONE_WEIGHT, tone_loss, tones_of
from training.objectives.width import width_terms
from training.run.schedule import check_schedule

SOUNDS = 3  # validation crops that TensorBoard can play
SETTLED = 0.1  # share of the run before which a collapse is none
HEARD = ("output", "target")  # of the terms: sounds for the discriminators, not to be logged


class AutoencoderObjective(Objective):
    """Takes batches with "audio" [batch, channels, samples]."""

    settings = AutoencoderSettings

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config)
        self.regulariser = build_regulariser(config.regulariser)
        self.watched = "energy_score" if config.energy_score else "spectral_distance"
        self.monitor, self.noise = LatentMonitor(), NoiseMonitor()
        self.restarted = self._restart_noise()
        self._arrange()
        self.adversary: Adversary | None = None
        # Phase 2 may leave the encoder out, which several processes would wait for.
        self.partial = config.adversarial is not None
        if config.adversarial is not None and config.adversarial.on:
            self.adversary = Adversary(config.adversarial, model.main.out_channels,
                                       model.sample_rate_hz, config.seed)
        if config.quantise is not None:
            quantise_weights(model)

    def _restart_noise(self) -> str | None:
        """A noise head that the weights of another run have silenced begins anew, if the energy
        score asks for one: said in a line."""
        if not self.config.energy_score or self.config.start_from is None:
            return None
        coder = as_coded(self.model)
        level = probed_db(coder)
        if level is None or level >= SILENT_DB:
            return None
        coder.restart_noise()
        return f"noise head was silent ({-level:.0f} dB below its bands) and begins anew"

    def _arrange(self) -> None:
        """The latents of other weights in the places where this run teaches them."""
        if self.config.start_from is None or not isinstance(self.model, Coded):
            return
        if self.model.latents:  # training knows the posterior's own noise
            by = [latent.widened for latent in self.model.latents[: self.model.latent_count]]
            self.model.widen_latents(-torch.tensor(by, device=next(self.model.parameters()).device))
        if self.config.descriptor_weight:
            arrange(self.model)
        self.model.set_latents(())  # no longer true after the first step

    # --- the step ---------------------------------------------------------------------------

    def step(self, batch: Batch, at: Moment) -> Terms:
        """In phase 2 the discriminators take theirs first, on what the model made."""
        adversary, rate = self.adversary, at.learning_rate
        if adversary is not None and adversary.began(at.step, at.seconds, at.progress):
            rate = min(rate, adversary.config.model_rate)
        terms = self.engine.losses(batch, at)
        output, target = (terms.pop(name, None) for name in HEARD)
        if adversary is not None and output is not None and target is not None:
            heard, figures = adversary.play(output, target, at.step)
            terms = {**terms, "loss": terms["loss"] + heard, **figures}
        self.descend(terms, rate)
        return terms

    def losses(self, batch: Batch, at: Moment) -> Terms:
        """In phase 2 with the sounds that the discriminators hear."""
        model, audio = self.model, batch["audio"]
        coder, adversary = as_coded(model), self.adversary
        playing = adversary is not None and adversary.began_step >= 0
        frozen = playing and adversary is not None and adversary.config.freeze_encoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            mean, log_std = coder.distribution(audio)  # each [batch, latents, frames]
            mean, log_std, tracked = self._without_tracked(mean, log_std)
            mean, log_std, taught = self._taught(mean, log_std, audio, at.shard)
            noise = at.shard.draw(torch.randn, mean.shape, device=mean.device, dtype=mean.dtype)
            z = mean + torch.exp(log_std) * noise
        target = audio if taught is None else taught.target
        coded = torch.cat((z, *([] if taught is None else [taught.values]), tracked), dim=1)
        with listening(model) as levels, tones_of(model) as tones:
            outputs = coder.draws(coded, 2 if self.config.energy_score else 1)
        found = compared(model, outputs, target, self.config.energy_score)
        penalty, figures = self.regulariser.penalty(mean, log_std, z)
        self.monitor.update(mean, log_std)
        loss = found.score + self.config.linear_weight * found.linear_score
        loss = loss + self.regulariser.weight(at.step) * penalty + self._floor(levels)
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
        if self.config.descriptor_weight:
            apart, orders = disorder(wanted(coder), grid_of(coder), mean, audio)
            loss, figures = loss + self.config.descriptor_weight * apart, {**figures, **orders}
        if taught is not None:
            loss = loss + self.config.control_weight * taught.loss
            figures = {**figures, **taught.figures}
        if playing:
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

    def _without_tracked(self, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The posterior of what is learnt, and the controls that are tracked."""
        count = mean.shape[1] - len(as_coded(self.model).tracked)
        return mean[:, :count], log_std[:, :count], mean[:, count:].detach()

    def _taught(
        self, mean: Tensor, log_std: Tensor, audio: Tensor, shard: Shard
    ) -> tuple[Tensor, Tensor, ControlLoss | None]:
        """The posterior without its controls, and what these are taught, if there are any."""
        coder = as_coded(self.model)
        names = coder.controls[: len(coder.controls) - len(coder.tracked)]
        if not names:
            return mean, log_std, None
        latents = mean.shape[1] - len(names)
        assert self.model.coder is not None
        grid = Grid.of(self.model.sample_rate_hz, self.model.coder[0])
        taught = control_loss(names, grid, mean[:, latents:], audio, shard)
        return mean[:, :latents], log_std[:, :latents], taught

    def watch(self, terms: Terms) -> float:
        """Both distances, so that a second phase with further losses is no divergence."""
        return watched(terms)

    # --- validation and saving --------------------------------------------------------------

    def validate(self, model: Model, batches: Sequence[Batch]) -> Validation:
        late = model.main.lookahead_samples
        target = torch.cat([batch["audio"] for batch in batches])
        draws = [torch.cat([model.offline(model.main.name, batch["audio"], **noise)
                            for batch in batches]) for noise in noises(model)]
        output = draws[0]
        found = compare(tuple(draw[..., late:] for draw in draws),
                        target[..., : target.shape[-1] - late])
        shown = range(min(SOUNDS, len(output)))
        return Validation({"spectral_distance": float(found.distance),
                           "energy_score": float(found.score)},
                          {f"output/{i + 1}": output[i] for i in shown},
                          {f"input/{i + 1}": target[i] for i in shown})

    def finished(self, model: Model, corpus: Tensor | None) -> Model:
        return playable(plain(model), corpus, self.config.active_latents,
                        bool(self.config.descriptor_weight), self.config.temperature_spread)

    # --- what is told -----------------------------------------------------------------------

    def latents(self) -> LatentState | None:
        """What the latents carry at present, None before the first step."""
        return self.monitor.state(self.model.sample_rate_hz / self.model.ratio)

    def figures(self) -> dict[str, float | list[float]]:
        latents, level = self.latents(), self.noise.figure()
        own: dict[str, float | list[float]] = {} if level is None else {
            "noise_head_db": round(level, 1)}
        if latents is None:
            return own
        return {**own, "active_latents": latents.active,
                "latent_bits_per_second": round(latents.bits_per_second, 1),
                "latent_nats": [round(value, 4) for value in latents.nats]}

    @property
    def phases(self) -> int:
        return 1 if self.adversary is None else 2

    @property
    def phase(self) -> int:
        """1 reconstruction, 2 adversarial."""
        return 2 if self.adversary is not None and self.adversary.began_step >= 0 else 1

    def enter(self, phase: int) -> None:
        if phase == 1:
            self.adversary = None
        elif self.adversary is not None:
            self.adversary.began_step = 0

    def schedule(self, times: tuple[float, float]) -> str:
        said = ("phase 2 adversarial, begun earlier" if self.phase == 2
                else check_schedule(self.config, times))
        return said if self.restarted is None else f"{said}; {self.restarted}"

    def events(self, step: int) -> list[str]:
        begun = ["phase 2 begins: discriminators listen"] if self.phase == 2 else []
        if self.adversary is not None and self.adversary.warm(step):
            begun.append("discriminators are heard from here")
        return begun

    def state_of_training(self) -> str | None:
        state = self.latents()
        return None if state is None else state.sentence()

    def warning(self, step: int, progress: float) -> str | None:
        state, silent = self.latents(), self._silence()
        if progress < SETTLED or step < self.config.regulariser.warmup_steps or state is None:
            return None
        if state.collapsed:
            return f"[yellow]posterior collapse:[/] {advice(state, self.config.regulariser)}"
        return None if silent is None else f"[yellow]{silent}[/]"

    def closing(self, step: int, stopped: bool) -> list[str]:
        said = []
        if self.adversary is not None and not self.adversary.warm(step - 1) and not stopped:
            said.append("[yellow]the discriminators were never heard:[/] the run ended before; "
                        "give a smaller training.adversarial.start or warmup_steps, or a longer "
                        "run")
        state = self.latents()
        if state is not None:
            said.append(state.sentence())
            if state.collapsed:
                told = advice(state, self.config.regulariser)
                said.append(f"[yellow]the posterior has collapsed:[/] {told}")
        silent = self._silence()
        return said if silent is None else [*said, f"[yellow]{silent}[/]"]

    def _silence(self) -> str | None:
        """What there is to say of noise heads that do not sound."""
        said = self.noise.sentence()
        more = "" if self.config.energy_score else "; training.energy_score=1 keeps it alive"
        return None if said is None else said + more

    # --- checkpoints ------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> AutoencoderObjective:
        super().to(*args, **kwargs)
        if self.adversary is not None:
            self.adversary.to(next(self.parameters()).device)
        return self

    def state(self) -> dict[str, Any]:
        own = None if self.adversary is None else self.adversary.state()
        return {**super().state(), "adversary": own}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.restarted = None  # long ago
        if self.adversary is not None and state["adversary"] is not None:
            self.adversary.load(state["adversary"])
