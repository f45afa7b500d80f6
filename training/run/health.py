"""Whether a run is still learning: losses that left the real numbers or ran away, and memory."""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import TudorError

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.data.base import Batch

MEMORY = 0.98  # of the running mean per look; it spans about 50 looks
LOOKS = 10  # before that many the mean says nothing
SUSPICIOUS = 1.5  # times the best mean: no checkpoint is replaced
DIVERGED = 3.0  # times the best mean: the run ends
PATIENCE = 200  # suspicious looks in a row that end the run as well
MARGIN = 0.5  # and worse by at least this, or a distance near 0 would be held to nothing


class LossHealth:
    """Follows one figure of a run that should fall."""

    def __init__(self) -> None:
        self.mean = self.best = math.nan
        self._looks = self._suspicious = 0

    def look(self, value: float) -> None:
        """Take in a new value."""
        self._looks += 1
        memory = min(MEMORY, 1 - 1 / self._looks)  # a plain mean at first
        self.mean = value if self._looks == 1 else memory * self.mean + (1 - memory) * value
        self.best = self.mean if self._looks == 1 else min(self.best, self.mean)
        self._suspicious = self._suspicious + 1 if self.worse_than(SUSPICIOUS) else 0

    def worse_than(self, factor: float) -> bool:
        """Whether the mean lies `factor` above its best, by more than the margin."""
        limit = max(factor * self.best, self.best + MARGIN)
        return self._looks >= LOOKS and self.mean > limit

    def check(self, step: int, learning_rate: float, over: bool = False) -> None:
        """An error once the figure has run away, or when the run is `over` and it lies high."""
        if self.worse_than(DIVERGED) or self._suspicious >= (1 if over else PATIENCE):
            raise TudorError(
                f"training diverged: by step {step} the distances rose to {self.mean:.3g} "
                f"from {self.best:.3g} (means over about 50 steps); what was saved before is "
                f"kept. {advice(learning_rate)}"
            )


def advice(learning_rate: float) -> str:
    """What to change after a run went wrong."""
    return (f"Try a lower training.learning_rate (now {learning_rate:g}, say "
            f"{learning_rate / 4:.2g}) in a new --out")


def diagnosis(model: Model, terms: dict[str, Tensor], batch: Batch | None) -> str:
    """Where numbers left the finite range: the input, the weights, or the terms of the loss."""
    for name, given in ({} if batch is None else batch.tensors).items():
        if not bool(torch.isfinite(given).all()):
            return f"the {name} of this batch is not finite"
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            return f"the weights were not finite before this step, first in {name}"
    bad = [name for name, value in terms.items()
           if name != "loss" and not bool(torch.isfinite(value).all())]
    return f"not finite: {', '.join(bad)}" if bad else "weights and terms are finite"


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` is some device's way of saying so."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in ("out of memory", "can't allocate memory"))
    )


def too_much(batch: int, unit: str, fits: int, why: str = "") -> TudorError:
    """The error that names a batch which fits. `unit`: what an example is, "crop of 1 s"."""
    many = re.sub("^[a-z]+", lambda word: f"{word[0]}s", unit)
    return TudorError(f"out of memory at training.batch_size={batch} with {many}{why}; "
                      f"training.batch_size={fits} fits: --set batch_size={fits}")


def too_large(batch: int, unit: str, runs: Callable[[int], object]) -> TudorError:
    """The error for a batch that did not fit: names the largest power-of-two share of it for
    which `runs(batch)` goes through."""
    smaller = batch
    while smaller > 1:
        smaller //= 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            runs(smaller)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        else:
            return too_much(batch, unit, smaller)
    return TudorError(
        f"out of memory even with one {unit}; give "
        f"{'a smaller training.crop_seconds, or ' if 'crop' in unit else ''}a smaller model"
    )
