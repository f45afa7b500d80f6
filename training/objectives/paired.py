"""The objective "paired": the model's main method makes the target of its input."""

from __future__ import annotations

from collections.abc import Sequence

from engine.models.base import Model
from training.data.base import Batch
from training.objectives.aligned import aligned_terms
from training.objectives.base import Moment, Objective, Terms, Validation
from training.objectives.coded import SOUNDS
from training.objectives.losses import watched
from training.settings import NotNegative, Settings


class PairedSettings(Settings):
    """Keys of `[training]` of what is trained on pairs."""

    linear_weight: NotNegative = 1.0  # of the linear distance, against the spectral distance


class PairedObjective(Objective):
    """Takes batches with "audio" and "target", each [batch, channels, samples]."""

    settings = PairedSettings
    watched = "spectral_distance"

    def losses(self, batch: Batch, at: Moment) -> Terms:
        output = self.played(self.model.main.name, batch["audio"])
        distance, linear = aligned_terms(self.model, output, batch["target"])
        return {"loss": distance + self.config.linear_weight * linear,
                "spectral_distance": distance.detach(), "linear_distance": linear.detach()}

    def watch(self, terms: Terms) -> float:
        return watched(terms)

    def validate(self, model: Model, batches: Sequence[Batch]) -> Validation:
        found = super().validate(model, batches)
        first = batches[0]
        output = model.offline(model.main.name, first["audio"])
        shown = range(min(SOUNDS, len(first)))
        return Validation(
            {name: value for name, value in found.figures.items() if name != "loss"},
            {f"output/{i + 1}": output[i] for i in shown},
            {f"{name}/{i + 1}": sound[i] for i in shown
             for name, sound in (("input", first["audio"]), ("target", first["target"]))})
