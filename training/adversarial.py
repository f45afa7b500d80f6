"""The adversarial phase: the decoder learns to fool discriminators, the encoder stays as it is
(document 003, section 5.1; phases as in Caillon and Esling 2021).

    |-- phase 1: reconstruction --|-- phase 2: discriminators listen --|-- and are heard -- ... end
                                start                         start + warmup_steps

`start` is a share of the run (0.6), or a text: "12000 steps", "12 minutes". A start that the run
cannot reach is refused before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor
from torch.nn import functional as F

from engine.errors import ConfigError, nearest
from engine.models.registry import explain
from training.discriminators import DISCRIMINATORS, Discriminators, Opinion

if TYPE_CHECKING:
    from training.config import TrainingConfig

TABLE = "training.adversarial."
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
_START = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(step|steps|min|minute|minutes)\s*")


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


def start_of(start: float | str) -> tuple[str, float]:
    """("share", 0.6), ("steps", 12000.0) or ("minutes", 12.0)."""
    if isinstance(start, str):
        found = _START.fullmatch(start)
        if not found:
            raise ValueError("must be a share of the run such as 0.6, or \"12000 steps\", or "
                             "\"12 minutes\"")
        return "steps" if found[2].startswith("step") else "minutes", float(found[1])
    if not 0 <= start < 1:
        raise ValueError("a share of the run lies between 0 and 1, for example 0.6")
    return "share", float(start)


def begins(config: AdversarialConfig, step: int, seconds: float, progress: float) -> bool:
    """Whether the phase begins here."""
    unit, value = start_of(config.start)
    return {"share": progress, "steps": step, "minutes": seconds / 60}[unit] >= value


def check_schedule(training: TrainingConfig, times: tuple[float, float]) -> str:
    """The schedule as a sentence, which says so if the discriminators would never be heard; an
    error if the run would end before the phase has begun.

    `times`: measured seconds of a step of each phase."""
    config = training.adversarial
    if config is None or not config.on:
        return "one phase: reconstruction"
    unit, value = start_of(config.start)
    ends: list[tuple[str, float]] = []  # of the run, in the unit of `start`
    if unit == "share" and training.steps is not None and training.minutes is None:
        ends.append((f"{training.steps} steps", 1 - 0.999 / training.steps))  # its last step
    if unit != "share" and training.steps is not None:
        known = unit == "steps"
        ends.append((f"{training.steps} steps",
                     training.steps if known else training.steps * times[0] / 60))
    if unit != "share" and training.minutes is not None:
        known = unit == "minutes"
        left = training.minutes * 60 / times[0]
        ends.append((f"{training.minutes:g} minutes", training.minutes if known else left))
    for text, end in ends:
        if value >= end:
            known = unit == "share" or text.endswith(unit)
            estimate = "" if known else f", about {end:.0f} {unit} here"
            raise ConfigError(
                f"the adversarial phase would never begin: training.adversarial.start is "
                f"{config.start!r}, but the run ends after {text}{estimate}. Give a share of the "
                "run, such as --set adversarial.start=0.6, or a longer run"
            )
    return _sentence(config, _phase_two_steps(training, times))


def _phase_two_steps(training: TrainingConfig, times: tuple[float, float]) -> float:
    """About how many steps the run has left once the phase has begun."""
    assert training.adversarial is not None
    unit, value = start_of(training.adversarial.start)
    first, second = times
    left = []
    if training.steps is not None:
        begin = {"share": value * training.steps, "steps": value, "minutes": 60 * value / first}
        left.append(training.steps - begin[unit])
    if training.minutes is not None:
        seconds = 60 * training.minutes
        begin = {"share": value * seconds, "steps": value * first, "minutes": 60 * value}
        left.append((seconds - begin[unit]) / second)
    return min(left, default=float("inf"))


def _sentence(config: AdversarialConfig, left: float) -> str:
    """The schedule, when phase 2 has about `left` steps."""
    unit, value = start_of(config.start)
    when = f"{value:.0%} of the run" if unit == "share" else f"{value:g} {unit}"
    frozen = "encoder frozen" if config.freeze_encoder else "encoder trained on"
    begin = f"phase 1 reconstruction until {when}; then " if value else ""
    never = (f", which this run does not reach (about {left:.0f} steps in phase 2): give a smaller "
             "training.adversarial.start or warmup_steps") if left <= config.warmup_steps else ""
    return (f"{begin}phase 2 adversarial ({config.objective}, {frozen}), its discriminators heard "
            f"after {config.warmup_steps} steps{never}")


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
        if self.began_step < 0 and begins(self.config, step, seconds, progress):
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
