"""What objectives of models with latents share: a draw from the posterior, what holds it near a
prior (`regularisers.py`), what controls beside the latents are taught (`controls.py`), and what is
told and saved of all that. How sound is compared, a subclass says.

    audio -> posterior -> a draw -> `reconstruction`: a loss, the sound being in it or not
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.models.base import Model
from engine.models.coded import Coded, as_coded
from training.data.base import Batch, Shard
from training.objectives.aligned import noises
from training.objectives.autoencoder_settings import CodedSettings
from training.objectives.base import Moment, Terms, Validation
from training.objectives.controls import ControlLoss, Grid, control_loss
from training.objectives.described import arrange, disorder, grid_of, wanted
from training.objectives.energy import compare
from training.objectives.gan import AdversarialObjective
from training.objectives.latents import playable
from training.objectives.monitor import LatentMonitor, LatentState, advice
from training.objectives.quantised import plain, quantise_weights
from training.objectives.regularisers import build_regulariser

SOUNDS = 3  # validation crops that TensorBoard can play
SETTLED = 0.1  # share of the run before which a collapse is none


class CodedObjective(AdversarialObjective):
    """Takes batches with "audio" [batch, channels, samples]."""

    settings = CodedSettings
    first_phase = "reconstruction"

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config, model.main.out_channels)
        self.regulariser = build_regulariser(config.regulariser)
        self.monitor = LatentMonitor()
        self._begin()
        self._arrange()
        # Phase 2 may leave the encoder out, which several processes would wait for.
        self.partial = config.adversarial is not None
        if config.quantise is not None:
            quantise_weights(model)

    def _begin(self) -> None:
        """What is to be done to the weights of another run first."""

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

    @abstractmethod
    def reconstruction(self, coded: Tensor, target: Tensor, at: Moment) -> Terms:
        """"loss", and more to be logged, of what latents and controls `coded` [batch, coded,
        frames] become, `target` [batch, channels, samples] being wanted. In phase 2 with the sounds
        that the discriminators hear."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        model, audio = self.model, batch["audio"]
        coder = as_coded(model)
        frozen = self.phase == 2 and self.config.adversarial.freeze_encoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            mean, log_std = coder.distribution(audio)  # each [batch, latents, frames]
            mean, log_std, tracked = self._without_tracked(mean, log_std)
            mean, log_std, taught = self._taught(mean, log_std, audio, at.shard)
            noise = at.shard.draw(torch.randn, mean.shape, device=mean.device, dtype=mean.dtype)
            z = mean + torch.exp(log_std) * noise
        target = audio if taught is None else taught.target
        coded = torch.cat((z, *([] if taught is None else [taught.values]), tracked), dim=1)
        penalty, figures = self.regulariser.penalty(mean, log_std, z)
        self.monitor.update(mean, log_std)
        terms = self.reconstruction(coded, target, at)
        loss = terms.pop("loss") + self.regulariser.weight(at.step) * penalty
        if self.config.descriptor_weight:
            apart, orders = disorder(wanted(coder), grid_of(coder), mean, audio)
            loss, figures = loss + self.config.descriptor_weight * apart, {**figures, **orders}
        if taught is not None:
            loss = loss + self.config.control_weight * taught.loss
            figures = {**figures, **taught.figures}
        return {"loss": loss, **terms, **figures}

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
        latents, own = self.latents(), super().figures()
        if latents is None:
            return own
        return {**own, "active_latents": latents.active,
                "latent_bits_per_second": round(latents.bits_per_second, 1),
                "latent_nats": [round(value, 4) for value in latents.nats]}

    def state_of_training(self) -> str | None:
        state = self.latents()
        return None if state is None else state.sentence()

    def warning(self, step: int, progress: float) -> str | None:
        state = self.latents()
        if progress < SETTLED or step < self.config.regulariser.warmup_steps or state is None:
            return None
        if state.collapsed:
            return f"[yellow]posterior collapse:[/] {advice(state, self.config.regulariser)}"
        silent = self.silence()
        return None if silent is None else f"[yellow]{silent}[/]"

    def closing(self, step: int, stopped: bool) -> list[str]:
        said, state = super().closing(step, stopped), self.latents()
        if state is not None and state.collapsed:
            told = advice(state, self.config.regulariser)
            said.append(f"[yellow]the posterior has collapsed:[/] {told}")
        silent = self.silence()
        return said if silent is None else [*said, f"[yellow]{silent}[/]"]

    def silence(self) -> str | None:
        """What there is to say of parts of the model that do not sound."""
        return None
