"""What an objective is: how a family of models is trained, from a batch to saved weights.

An objective is a row of `training/objectives/registry.py`: a class, and the keys that it reads of
the `[training]` table. It holds the model and every network that is trained beside it, owns their
optimisers and takes the step:

    terms = objective.step(batch, at)          losses by name; weights have moved
    found = objective.validate(average, held)  figures, and sounds to listen to
    saved = objective.finished(average, corpus)    a copy, fit to be saved

The common case (one loss, one optimiser) is a class with `losses` alone. The loop
(`training/run/trainer.py`) knows no more of training than this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from engine.models.base import Model
from training.data.base import Batch, Shard
from training.settings import Settings

Terms = dict[str, Tensor]


class Moment(NamedTuple):
    """Where in the run a step stands."""

    step: int = 0
    seconds: float = 0.0
    progress: float = 0.0  # 0 at the start, 1 at the end of the budget
    learning_rate: float = 0.0
    shard: Shard = Shard()


class Engine(Protocol):
    """What carries the arithmetic: devices, precision, several processes."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        """The objective's own `losses`, in the right precision and over all processes."""
        ...

    def look(self, terms: Terms) -> None:
        """See whether the losses are sound, before weights move; an error if they are not."""
        ...

    def backward(self, loss: Tensor) -> None: ...


class PlainEngine:
    """One process, full precision: for a step outside a run."""

    def __init__(self, objective: Objective) -> None:
        self.losses = objective

    def look(self, terms: Terms) -> None:
        """Nothing is judged."""

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Validation:
    """What held-out batches showed: figures; sounds [channels, samples] by name, and those that
    stay the same from one validation to the next."""

    figures: dict[str, float] = field(default_factory=dict)
    sounds: dict[str, Tensor] = field(default_factory=dict)
    fixed: dict[str, Tensor] = field(default_factory=dict)


class Objective(nn.Module):
    """Base: one loss, one optimiser (Adam) over the model and the networks beside it."""

    settings: ClassVar[type[Settings]] = Settings
    watched: str = "loss"  # of the validation's figures: what is shown, and should fall
    # Whether a step may leave parameters without gradients, which several processes must know.
    partial: bool = False

    def __init__(self, model: Model, config: Any) -> None:
        """`config`: the whole `[training]` table, of which this class's `settings` are a part."""
        super().__init__()
        self.model, self.config = model, config
        self.optimizer: torch.optim.Optimizer | None = None
        self.engine: Engine = PlainEngine(self)
        self._loaded: dict[str, Any] | None = None

    # --- what a kind of training says -------------------------------------------------------

    def begin_with(self, source: str) -> None:
        """Before the first step, the model having the weights of the run or preset `source`: undo
        what was done to them to be saved, if it would be done twice."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        """Scalars by name; "loss" is minimised, the others are logged. Nothing moves here."""
        raise NotImplementedError

    def step(self, batch: Batch, at: Moment) -> Terms:
        """Move the weights by one batch; the terms of `losses`."""
        terms = self.engine.losses(batch, at)
        self.descend(terms, at.learning_rate)
        return terms

    def watch(self, terms: Terms) -> float:
        """The figure of a step that should fall: when it runs away, training has diverged."""
        return float(terms["loss"].detach())

    def validate(self, model: Model, batches: Sequence[Batch]) -> Validation:
        """How the averaged `model` does on held-out batches: here, its losses on them."""
        own, self.model = self.model, model
        try:
            found = [self.losses(batch, Moment()) for batch in batches]
        finally:
            self.model = own
        sizes = [len(batch) for batch in batches]
        return Validation({
            name: sum(size * float(terms[name]) for size, terms in zip(sizes, found, strict=True))
            / sum(sizes) for name in found[0]})

    def finished(self, model: Model, corpus: Tensor | None) -> Model:
        """A copy of the averaged model as it is saved; `model` itself if nothing is to be done.
        `corpus`: a sample of what is learnt from."""
        return model

    # --- what is told of it -----------------------------------------------------------------

    def figures(self) -> dict[str, float | list[float]]:
        """More to be logged than the losses."""
        return {}

    @property
    def phases(self) -> int:
        """How many kinds of steps there are, 1 or 2."""
        return 1

    @property
    def phase(self) -> int:
        """The present one, counted from 1."""
        return 1

    def enter(self, phase: int) -> None:
        """Take steps of `phase` from here on: so that they can be timed, on a copy."""

    def usual_seconds(self, times: tuple[float, float]) -> tuple[float, float]:
        """Of a step of each phase in the mean, where `times` are those of the longest ones."""
        return times

    def schedule(self, times: tuple[float, float]) -> str:
        """What will happen when, for the preflight; an error if the run ends too early for it.
        `times`: measured seconds of a step of each phase."""
        return "one phase"

    def events(self, step: int) -> list[str]:
        """What has begun by `step`, in the order of its beginning."""
        return []

    def state_of_training(self) -> str | None:
        """A sentence that is worth saying now and then."""
        return None

    def warning(self, step: int, progress: float) -> str | None:
        """Something that goes wrong though losses fall."""
        return None

    def closing(self, step: int, stopped: bool) -> list[str]:
        """What is to be said at the end, after `step` steps."""
        said = self.state_of_training()
        return [] if said is None else [said]

    # --- arithmetic -------------------------------------------------------------------------

    def played(self, method: str, x: Tensor, **attributes: Tensor) -> Tensor:
        """A whole signal through a method of the model, as `Model.offline`, with gradients."""
        model, values = self.model, {**self.model.default_attributes(), **attributes}
        return model.step(method, x, model.init_state(method, x.shape[0]), values)[0]

    def forward(self, batch: Batch, at: Moment) -> Terms:
        return self.losses(batch, at)

    def start(self, engine: Engine | None = None) -> None:
        """Get ready for steps, all networks being where they will stay."""
        self.engine = engine or PlainEngine(self)
        self.optimizer = self.make_optimizer()
        if self._loaded is not None:
            self.optimizer.load_state_dict(self._loaded)
            self._loaded = None

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam over all parameters."""
        parameters = list(self.parameters())
        # One kernel for all weights: on a CPU, 0.7 ms in place of 6.3 for 180 thousand of them.
        fused = parameters[0].device.type in ("cpu", "cuda")
        return torch.optim.Adam(parameters, self.config.learning_rate, betas=self.config.betas,
                                fused=fused)

    def descend(
        self, terms: Terms, rate: float, optimizer: torch.optim.Optimizer | None = None
    ) -> None:
        """One step of an optimiser (this class's own unless told) against "loss" of `terms`."""
        self.engine.look(terms)
        chosen = optimizer or self.optimizer
        assert chosen is not None, "start() comes before the first step"
        chosen.zero_grad(set_to_none=True)
        self.engine.backward(terms["loss"])
        moved = [p for group in chosen.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(moved, self.config.gradient_clip)
        for group in chosen.param_groups:
            group["lr"] = rate
        chosen.step()

    # --- checkpoints ------------------------------------------------------------------------

    def beside(self) -> Iterator[tuple[str, Tensor]]:
        """Weights of the networks beside the model."""
        for name, value in self.state_dict().items():
            if not name.startswith("model."):
                yield name, value

    def state(self) -> dict[str, Any]:
        """All that resuming needs beside the model and its average, as a checkpoint keeps it: an
        objective with more than this puts it into "objective"."""
        assert self.optimizer is not None
        return {"objective": dict(self.beside()), "optimizer": self.optimizer.state_dict(),
                "adversary": None}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `state`, before `start`."""
        missing, unexpected = self.load_state_dict(state["objective"], strict=False)
        missing = [name for name in missing if not name.startswith("model.")]
        if missing or unexpected:
            raise KeyError(*missing, *unexpected)
        self._loaded = state["optimizer"]
