"""The adversarial phase: the decoder learns to fool discriminators, the encoder stays as it is
(document 003, section 5.1; phases as in Caillon and Esling 2021).

    |-- phase 1: reconstruction --|-- phase 2: discriminators listen --|-- and are heard -- ... end
                                start                         start + warmup_steps

When it begins and whether a run reaches it: `training/run/schedule.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor
from torch.nn import functional as F

from engine.errors import ConfigError, nearest
from engine.models.registry import explain
from training.objectives.discriminators import DISCRIMINATORS, Discriminators, Opinion
from training.run.schedule import begins, start_of

TABLE = "training.adversarial."
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class AdversarialConfig(BaseModel):
    """`[training.adversarial]`; the table being there, or `on`, turns the phase on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    on: bool = True
    start: float | str = 0.6  # share of the run, "N steps" or "N minutes"
    warmup_steps: Annotated[int, Field(ge=0)] = 200  # of the discriminators, unheard
    objective: Literal["hinge", "least-squares", "non-saturating", "classical"] = "hinge"
    discriminators: Annotated[
        tuple[str, ...], Field(strict=False, min_length=1)
    ] = ("scales", "periods", "spectrograms")
    width: Annotated[int, Field(ge=1, le=512)] = 8  # channels of their first layers
    seconds: Positive = 0.3  # of each crop, from a random place, is what they hear
    weight: NotNegative = 0.1  # of the generator's loss, against the spectral distance
    feature_weight: NotNegative = 1.0  # of feature matching
    learning_rate: Positive = 1e-3  # of the discriminators
    model_rate: Positive = 5e-4  # the model's own is not above it in this phase
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        Field(strict=False),
    ] = (0.5, 0.9)
    freeze_encoder: bool = True

    @field_validator("start")
    @classmethod
    def _readable(cls, value: float | str) -> float | str:
        start_of(value)
        return value

    @field_validator("discriminators")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in DISCRIMINATORS:
                raise ValueError(f"unknown discriminator{nearest(name, DISCRIMINATORS)}")
        return value


def checked(settings: Any) -> AdversarialConfig | None:
    """A `[training.adversarial]` table as its configuration; an error names what is wrong."""
    if settings is None or isinstance(settings, AdversarialConfig):
        return settings
    if not isinstance(settings, dict):
        raise ValueError("must be a table, for example --set adversarial.on=true")
    try:
        return AdversarialConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, AdversarialConfig, TABLE)) from None


# --- objectives --------------------------------------------------------------------------------

Loss = Callable[[Tensor], Tensor]


class GanObjective:
    """Losses of scores: of real and of decoded sound for the discriminator, for the generator."""

    def __init__(self, real: Loss, fake: Loss, generator: Loss) -> None:
        self.real, self.fake, self.generator = real, fake, generator


GAN_OBJECTIVES: dict[str, GanObjective] = {
    # Goodfellow et al. 2014, eq. 1, with D = sigmoid(score): the generator minimises ln(1 - D).
    "classical": GanObjective(
        lambda s: F.softplus(-s).mean(), lambda s: F.softplus(s).mean(),
        lambda s: -F.softplus(s).mean()),
    # The same paper, section 3: the generator maximises ln D, which does not fade when it loses.
    "non-saturating": GanObjective(
        lambda s: F.softplus(-s).mean(), lambda s: F.softplus(s).mean(),
        lambda s: F.softplus(-s).mean()),
    # Mao et al. 2017, eq. 9 (targets 0, 1, 1), without the factor 1/2.
    "least-squares": GanObjective(
        lambda s: (s - 1).square().mean(), lambda s: s.square().mean(),
        lambda s: (s - 1).square().mean()),
    # Lim and Ye 2017.
    "hinge": GanObjective(
        lambda s: F.relu(1 - s).mean(), lambda s: F.relu(1 + s).mean(), lambda s: -s.mean()),
}


def discriminator_loss(
    objective: GanObjective, real: list[Opinion], fake: list[Opinion]
) -> Tensor:
    """Mean over discriminators."""
    losses = [objective.real(r.scores) + objective.fake(f.scores)
              for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def generator_loss(objective: GanObjective, fake: list[Opinion]) -> Tensor:
    """Mean over discriminators."""
    return torch.stack([objective.generator(f.scores) for f in fake]).mean()


def feature_matching(real: list[Opinion], fake: list[Opinion]) -> Tensor:
    """Mean over layers of |difference| / |real| (Kumar et al. 2019, eq. 3, made free of scale)."""
    losses = [
        (a.detach() - b).abs().mean() / a.detach().abs().mean().clamp_min(1e-6)
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r.features, f.features, strict=True)
    ]
    return torch.stack(losses).mean()


# --- the phase ---------------------------------------------------------------------------------


class Adversary:
    """The discriminators with their optimiser. Not a module of the training loop: it takes its own
    steps, and sums gradients over processes by itself."""

    def __init__(self, config: AdversarialConfig, channels: int, rate_hz: int, seed: int) -> None:
        self.config = config
        self.window_samples = round(config.seconds * rate_hz)
        self.objective = GAN_OBJECTIVES[config.objective]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.networks = Discriminators(config.discriminators, channels, config.width)
        self.optimizer = torch.optim.Adam(
            self.networks.parameters(), config.learning_rate, betas=config.betas)
        self.began_step = -1  # -1: not yet

    def began(self, step: int, seconds: float, progress: float) -> bool:
        """Whether the phase has begun; once it has, a longer budget does not end it."""
        if self.began_step < 0 and begins(self.config.start, step, seconds, progress):
            self.began_step = step
        return self.began_step >= 0

    def warm(self, step: int) -> bool:
        """Whether the model hears the discriminators by now."""
        return self.began_step >= 0 and step >= self.began_step + self.config.warmup_steps

    def to(self, device: torch.device) -> None:
        """Networks and the optimiser's moments."""
        self.networks.to(device)
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.dim():
                    state[name] = value.to(device)

    def play(
        self, output: Tensor, audio: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One turn on a batch (aligned, [batch, channels, time]): a step of the discriminators, and
        the model's adversarial loss, 0 during warm-up; figures for the log."""
        with torch.autocast(output.device.type, enabled=False):
            fake, real = self._window(output.float(), audio.float())
            loss = self._discriminate(fake.detach(), real)
            figures = {"discriminator_loss": loss}
            if not self.warm(step):
                return output.new_zeros(()), figures
            return self._generate(fake, real, figures)

    def state(self) -> dict[str, Any]:
        """All that resuming needs."""
        return {"networks": self.networks.state_dict(), "optimizer": self.optimizer.state_dict(),
                "began_step": self.began_step}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.networks.load_state_dict(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.began_step = int(state["began_step"])

    # --- inside -----------------------------------------------------------------------------

    def _window(self, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """The same stretch of both."""
        spare = output.shape[-1] - self.window_samples
        start = int(torch.randint(spare + 1, ())) if spare > 0 else 0
        stretch = slice(start, start + self.window_samples)
        return output[..., stretch], audio[..., stretch]

    def _discriminate(self, fake: Tensor, real: Tensor) -> Tensor:
        self.networks.requires_grad_(True)
        loss = discriminator_loss(self.objective, self.networks(real), self.networks(fake))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        _average_gradients(self.networks)
        self.optimizer.step()
        return loss.detach()

    def _generate(
        self, fake: Tensor, real: Tensor, figures: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        self.networks.requires_grad_(False)  # gradients reach the sound only
        config = self.config
        opinions = self.networks(fake)
        adversarial = generator_loss(self.objective, opinions)
        with torch.no_grad():
            wanted = self.networks(real)
        matching = feature_matching(wanted, opinions)
        figures = {**figures, "adversarial_loss": adversarial.detach(),
                   "feature_matching": matching.detach()}
        return config.weight * adversarial + config.feature_weight * matching, figures


def _average_gradients(networks: torch.nn.Module) -> None:
    """Mean over processes, if there are several."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    for parameter in networks.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= distributed.get_world_size()
