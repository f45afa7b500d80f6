"""The adversarial phase: what makes sound learns to fool discriminators (document 003, section 5.1;
document 000, part II; phases as in Caillon and Esling 2021). One game for every objective that has
such a phase; what is played with differs:

    autoencoder      a stretch of what was decoded, the encoder staying as it is
    autoregressive   windows that the model has drawn by itself (`free_running.py`)
    spectrogram_gan  frames of log-magnitudes, and what was asked for (`frame_game.py`)

    |-- phase 1: no discriminators --|-- phase 2: they listen --|-- and are heard -- ... end
                                   start               start + warmup_steps

When it begins and whether a run reaches it: `training/run/schedule.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor

from engine.errors import ConfigError, nearest
from engine.models.registry import explain
from training.objectives.discriminators import (
    DISCRIMINATORS,
    Build,
    Discriminators,
    Opinion,
)
from training.objectives.gan_losses import (
    GAN_OBJECTIVES,
    discriminator_loss,
    feature_matching,
    generator_loss,
    gradient_penalty,
)
from training.run.schedule import begins, start_of

TABLE = "training.adversarial."
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class GanConfig(BaseModel):
    """`[training.adversarial]`, what every kind of it has; the table being there, or `on`, turns
    the phase on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    on: bool = True
    start: float | str = 0.6  # share of the run, "N steps" or "N minutes"
    warmup_steps: Annotated[int, Field(ge=0)] = 200  # of the discriminators, unheard
    ramp_steps: Annotated[int, Field(ge=0)] = 0  # then `weight` rises from 0 over so many
    objective: Literal["hinge", "least-squares", "non-saturating", "classical"] = "hinge"
    discriminators: Annotated[
        tuple[str, ...], Field(strict=False, min_length=1)
    ] = ("scales", "periods", "spectrograms")
    discriminator_steps: Annotated[int, Field(ge=1)] = 1  # for each of the model's
    width: Annotated[int, Field(ge=1, le=512)] = 8  # channels of their first layers
    weight: NotNegative = 0.1  # of the generator's loss, against the model's own
    feature_weight: NotNegative = 1.0  # of feature matching
    learning_rate: Positive = 1e-3  # of the discriminators
    model_rate: Positive | None = 5e-4  # the model's own is not above it in this phase
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        Field(strict=False),
    ] = (0.5, 0.9)
    # Of the penalty on slopes where sound is real (R1), each `r1_steps` steps of the
    # discriminators, so many times as heavy (Karras et al. 2020); 0: none.
    r1_weight: NotNegative = 0.0
    r1_steps: Annotated[int, Field(ge=1)] = 8

    known: ClassVar[dict[str, Build]] = DISCRIMINATORS  # rows that `discriminators` may name
    # Whether features are compared for the log alone, where `feature_weight` is 0.
    logs_features: ClassVar[bool] = True

    # Whether what is heard are whole examples, other ones for each step of the discriminators, or
    # places in the same ones.
    others: ClassVar[bool] = False

    @property
    def turn_steps(self) -> int:
        """Of so many steps of the phase one has a turn of the game."""
        return 1

    def stretch_samples(self, rate_hz: int) -> int:
        """Samples of each stretch that is heard."""
        raise NotImplementedError

    def told(self) -> str:
        """What is particular to the phase, for its schedule."""
        raise NotImplementedError

    @field_validator("start")
    @classmethod
    def _readable(cls, value: float | str) -> float | str:
        start_of(value)
        return value

    @field_validator("discriminators")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in cls.known:
                raise ValueError(f"unknown discriminator{nearest(name, cls.known)}")
        return value


class WholeGameConfig(GanConfig):
    """That of what is heard whole and learnt by the game from its first step on."""

    logs_features: ClassVar[bool] = False
    start: float | str = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight: NotNegative = 1.0
    feature_weight: NotNegative = 0.0
    learning_rate: Positive = 4e-4
    model_rate: Positive | None = None

    def stretch_samples(self, rate_hz: int) -> int:
        return 1 << 30


class AdversarialConfig(GanConfig):
    """That of the autoencoder."""

    seconds: Positive = 0.3  # of each crop, from a random place, is what they hear
    freeze_encoder: bool = True

    def stretch_samples(self, rate_hz: int) -> int:
        return round(self.seconds * rate_hz)

    def told(self) -> str:
        return "encoder frozen" if self.freeze_encoder else "encoder trained on"


def checked(settings: Any, kind: type[GanConfig]) -> GanConfig | None:
    """A `[training.adversarial]` table as its configuration; an error names what is wrong."""
    if settings is None or isinstance(settings, kind):
        return settings
    if not isinstance(settings, dict):
        raise ValueError("must be a table, for example --set adversarial.on=true")
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, TABLE)) from None


# --- the phase ---------------------------------------------------------------------------------


class Adversary:
    """The discriminators with their optimiser. Not a module of the training loop: it takes its own
    steps, and sums gradients over processes by itself."""

    def __init__(self, config: GanConfig, channels: int, rate_hz: int, seed: int,
                 conditions: int = 0) -> None:
        """`conditions`: how many are told to the discriminators beside what they hear."""
        self.config = config
        self.window_samples = config.stretch_samples(rate_hz)
        self.objective = GAN_OBJECTIVES[config.objective]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.networks = Discriminators(config.discriminators, channels, config.width,
                                           config.known, conditions)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(), config.learning_rate, betas=config.betas)
        self.began_step = -1  # -1: not yet
        self.turn_steps = config.turn_steps
        self.steps = 0  # of the discriminators

    def began(self, step: int, seconds: float, progress: float) -> bool:
        """Whether the phase has begun; once it has, a longer budget does not end it."""
        if self.began_step < 0 and begins(self.config.start, step, seconds, progress):
            self.began_step = step
        return self.began_step >= 0

    def plays(self, step: int) -> bool:
        """Whether this step has a turn of the game."""
        return self.began_step >= 0 and (step - self.began_step) % self.turn_steps == 0

    def warm(self, step: int) -> bool:
        """Whether the model hears the discriminators by now."""
        return self.began_step >= 0 and step >= self.began_step + self.config.warmup_steps

    def weight(self, step: int) -> float:
        """Of the generator's loss once it is heard."""
        if not self.config.ramp_steps:
            return self.config.weight
        heard = step - self.began_step - self.config.warmup_steps
        return self.config.weight * min(1.0, heard / self.config.ramp_steps)

    def to(self, device: torch.device) -> None:
        """Networks and the optimiser's moments."""
        self.networks.to(device)
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.dim():
                    state[name] = value.to(device)

    def play(
        self, output: Tensor, audio: Tensor, step: int, told: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One turn on a batch (aligned, [batch, channels, time]): the steps of the discriminators,
        and the model's adversarial loss on what the last of them heard, 0 during warm-up; figures
        for the log. `told`: conditions of both, [batch, conditions, time]."""
        with torch.autocast(output.device.type, enabled=False):
            losses = []
            for fake, real, given in self._turns(output.float(), audio.float(), told):
                losses.append(self._discriminate(fake.detach(), real, given))
            figures = {"discriminator_loss": torch.stack(losses).mean()}
            if not self.warm(step):
                return output.new_zeros(()), figures
            return self._generate(fake, real, given, self.weight(step), figures)

    def state(self) -> dict[str, Any]:
        """All that resuming needs."""
        return {"networks": self.networks.state_dict(), "optimizer": self.optimizer.state_dict(),
                "began_step": self.began_step, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.began_step = int(state["began_step"])
        self.steps = int(state.get("steps", 0))  # checkpoints before the penalty do not have it

    # --- inside -----------------------------------------------------------------------------

    def _turns(
        self, output: Tensor, audio: Tensor, told: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """What each step of the discriminators hears, made and real, and is told."""
        count = self.config.discriminator_steps
        if self.config.others:
            given = [None] * count if told is None else told.chunk(count)
            yield from zip(output.chunk(count), audio.chunk(count), given, strict=True)
            return
        for _ in range(count):
            stretch = self._stretch(output.shape[-1])
            yield (output[..., stretch], audio[..., stretch],
                   None if told is None else told[..., stretch])

    def _stretch(self, length: int) -> slice:
        """The same of all that is heard."""
        spare = length - self.window_samples
        start = int(torch.randint(spare + 1, ())) if spare > 0 else 0
        return slice(start, start + self.window_samples)

    def _opinions(self, heard: Tensor, told: Tensor | None) -> list[Opinion]:
        found: list[Opinion] = (self.networks(heard) if told is None
                                else self.networks(heard, told))
        return found

    def _discriminate(self, fake: Tensor, real: Tensor, told: Tensor | None) -> Tensor:
        config = self.config
        self.networks.requires_grad_(True)
        penalised = config.r1_weight > 0 and self.steps % config.r1_steps == 0
        if penalised:
            real = real.detach().requires_grad_(True)
        opinions = self._opinions(real, told)
        loss = total = discriminator_loss(self.objective, opinions, self._opinions(fake, told))
        if penalised:
            total = loss + 0.5 * config.r1_weight * config.r1_steps * gradient_penalty(
                opinions, real)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        _average_gradients(self.networks)
        self.optimizer.step()
        self.steps += 1
        return loss.detach()

    def _generate(
        self, fake: Tensor, real: Tensor, told: Tensor | None, weight: float,
        figures: dict[str, Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        self.networks.requires_grad_(False)  # gradients reach the sound only
        config = self.config
        opinions = self._opinions(fake, told)
        adversarial = generator_loss(self.objective, opinions)
        figures = {**figures, "adversarial_loss": adversarial.detach()}
        if not config.feature_weight and not config.logs_features:
            return weight * adversarial, figures
        with torch.no_grad():
            wanted = self._opinions(real, told)
        matching = feature_matching(wanted, opinions)
        return (weight * adversarial + config.feature_weight * matching,
                {**figures, "feature_matching": matching.detach()})


def _average_gradients(networks: torch.nn.Module) -> None:
    """Mean over processes, if there are several."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    for parameter in networks.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
