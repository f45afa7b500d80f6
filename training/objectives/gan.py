"""What every objective with an adversarial phase does: the game itself is `adversarial.py`.

    step of phase 2      losses, with the sounds `HEARD` -> discriminators step -> model steps
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from engine.models.base import Model
from training.data.base import Batch
from training.objectives.adversarial import Adversary, GanConfig, checked
from training.objectives.base import Moment, Objective, Terms
from training.run.schedule import check_schedule
from training.settings import Settings

# Of the terms: sounds for the discriminators, not to be logged, and what they are told of them.
HEARD = ("output", "target")
TOLD = "told"


class GanSettings(Settings):
    """Keys of `[training]` of such an objective: a subclass has `adversarial`, of its `game`."""

    game: ClassVar[type[GanConfig]]

    @classmethod
    def names(cls) -> list[str]:
        return [*super().names(), *sorted(f"adversarial.{key}" for key in cls.game.model_fields)]

    @classmethod
    def game_of(cls, value: Any) -> GanConfig | None:
        """The table `adversarial` as its configuration."""
        return checked(value, cls.game)

    @property
    def second_phase(self) -> float | str | None:
        config: GanConfig | None = getattr(self, "adversarial")  # noqa: B009
        return None if config is None or not config.on else config.start


class AdversarialObjective(Objective):
    """An objective whose second phase has discriminators, if `[training.adversarial]` asks for
    them. In a step that `Adversary.plays` its `losses` hold the sounds `HEARD` too."""

    first_phase: ClassVar[str]  # what the first phase is about, in a word

    def __init__(self, model: Model, config: Any, channels: int, conditions: int = 0) -> None:
        """`channels`: of what the discriminators hear; `conditions`: that they are told."""
        super().__init__(model, config)
        self.adversary: Adversary | None = None
        self.turn: Terms = {}  # figures of the last turn: not every step has one
        if config.adversarial is not None and config.adversarial.on:
            self.adversary = Adversary(config.adversarial, channels, model.sample_rate_hz,
                                       config.seed, conditions)

    def step(self, batch: Batch, at: Moment) -> Terms:
        """In phase 2 the discriminators take theirs first, on what the model made."""
        adversary, rate = self.adversary, at.learning_rate
        if adversary is not None and adversary.began(at.step, at.seconds, at.progress):
            rate = min(rate, adversary.config.model_rate or rate)
        terms = self.engine.losses(batch, at)
        output, target, told = (terms.pop(name, None) for name in (*HEARD, TOLD))
        if adversary is not None and output is not None and target is not None:
            heard, self.turn = adversary.play(output, target, at.step, told)
            terms = {**terms, "loss": terms["loss"] + heard, **self.turn}
        self.descend(terms, rate)
        return terms

    # --- what is told -----------------------------------------------------------------------

    def figures(self) -> dict[str, float | list[float]]:
        """Those of the last turn where not every step has one, or a log might never show them."""
        if self.adversary is None or self.adversary.turn_steps == 1:
            return {}
        return {name: float(value) for name, value in self.turn.items()}

    @property
    def phases(self) -> int:
        return 1 if self.adversary is None else 2

    @property
    def phase(self) -> int:
        """1 without discriminators, 2 with them."""
        return 2 if self.adversary is not None and self.adversary.began_step >= 0 else 1

    def enter(self, phase: int) -> None:
        if phase == 1:
            self.adversary = None
        elif self.adversary is not None:
            self.adversary.began_step, self.adversary.turn_steps = 0, 1

    def usual_seconds(self, times: tuple[float, float]) -> tuple[float, float]:
        if self.adversary is None:
            return times
        first, turn = times
        return first, first + (turn - first) / self.adversary.turn_steps

    def schedule(self, times: tuple[float, float]) -> str:
        return ("phase 2 adversarial, begun earlier" if self.phase == 2
                else check_schedule(self.config, times, self.first_phase))

    def events(self, step: int) -> list[str]:
        begun = ["phase 2 begins: discriminators listen"] if self.phase == 2 else []
        if self.adversary is not None and self.adversary.warm(step):
            begun.append("discriminators are heard from here")
        return begun

    def closing(self, step: int, stopped: bool) -> list[str]:
        said = []
        if self.adversary is not None and not self.adversary.warm(step - 1) and not stopped:
            said.append("[yellow]the discriminators were never heard:[/] the run ended before; "
                        "give a smaller training.adversarial.start or warmup_steps, or a longer "
                        "run")
        return [*said, *super().closing(step, stopped)]

    # --- checkpoints ------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Self:
        super().to(*args, **kwargs)
        if self.adversary is not None:
            self.adversary.to(next(self.parameters()).device)
        return self

    def state(self) -> dict[str, Any]:
        own = None if self.adversary is None else self.adversary.state()
        return {**super().state(), "adversary": own}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        if self.adversary is not None and state["adversary"] is not None:
            self.adversary.load(state["adversary"])
