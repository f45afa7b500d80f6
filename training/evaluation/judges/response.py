"""What happens to the sound when an attribute or a condition is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.description import GENERATE
from engine.layers.noise import SEED
from engine.players.base import Player
from training.evaluation.descriptors import LABELS, NAMES, curves, spearman
from training.evaluation.judges.classes import CLASS, class_input
from training.evaluation.judges.generating import played

if TYPE_CHECKING:
    from training.evaluation.judges.case import Case

FloatArray = NDArray[np.float32]
VALUES = 9  # of each control, evenly over its range
SECONDS = 1.0  # of each sound that is measured, at most
CONDITION_RANGE = (-1.0, 1.0)  # of conditions, which declare none
# Where several follow equally, what a musician would name first.
PREFERRED = [NAMES.index(name) for name in ("rms", "f0", "centroid", "rolloff", "bandwidth",
                                            "flatness", "contrast")]
ORDERS = 300  # random ones, from which chance is known
CHANCE = 0.95  # of them have no higher correlation


@dataclass(frozen=True)
class Control:
    """An attribute of one number, or a channel of the input."""

    name: str
    low: float
    high: float
    channel: int | None = None

    @property
    def values(self) -> NDArray[np.float64]:
        return np.linspace(self.low, self.high, VALUES)


def controls_of(case: Case) -> list[Control]:
    """What can be moved: neither the seed nor the class."""
    found = [Control(a.name, a.minimum, a.maximum) for a in case.player.attributes.values()
             if a.size == 1 and a.name not in (SEED, CLASS)]
    spec = case.description.main
    if spec.role == GENERATE:
        asked = class_input(case)
        taken = asked.channels if asked else ()
        found += [Control(label, *CONDITION_RANGE, channel)
                  for channel, label in enumerate(spec.input_labels) if channel not in taken]
    return found


def responses(case: Case, audio: FloatArray | None) -> list[dict[str, Any]]:
    """For each control, the descriptor that follows it best: rank correlation, what chance would
    give, and the descriptor at both ends. `audio` [channels, samples]: what an effect plays."""
    return [_response(case, control, audio) for control in controls_of(case)]


def _response(case: Case, control: Control, audio: FloatArray | None) -> dict[str, Any]:
    case.progress(f"control {control.name}")
    sounds = _moved(case, control, audio)
    rate = case.player.sample_rate_hz
    heard = np.stack([_median(sound, rate) for sound in sounds], axis=1)  # [descriptors, values]
    found = spearman(control.values[None], heard)[0]
    best = max(PREFERRED, key=lambda index: round(abs(float(found[index])), 6))
    ends = [None if not np.isfinite(v) else round(float(v), 3) for v in heard[best, [0, -1]]]
    return {"control": control.name, "low": control.low, "high": control.high,
            "descriptor": LABELS[best], "rank_correlation": round(float(found[best]), 4),
            "chance": round(_chance(heard), 4), "at_low": ends[0], "at_high": ends[1],
            "spearman": dict(zip(NAMES, (round(float(v), 4) for v in found), strict=True))}


def _moved(case: Case, control: Control, audio: FloatArray | None) -> list[FloatArray]:
    """A sound for each value, all else being equal, the noise too."""
    player, seconds = case.streams(1), min(SECONDS, case.seconds)
    case.set_up(player)
    before = None if control.channel is not None else player.get(control.name)

    def ask(player: Player, x: FloatArray, _: int) -> None:
        classes = class_input(case)
        if classes is not None:
            classes.ask(player, x, 0)
        if control.channel is None:
            player.set(control.name, value)
        else:
            x[control.channel] = value

    found = []
    for value in control.values:
        if audio is None:
            found += case.generated(player, seconds, 1, ask)
        else:
            player.set(control.name, value)
            found.append(played(player, _whole(player, audio)[None])[0])
    if before is not None:
        player.set(control.name, before)
    return found


def _whole(player: Player, audio: FloatArray) -> FloatArray:
    """Cut to whole smallest blocks."""
    unit = player.description.main.in_frames
    return audio[:, : audio.shape[1] // unit * unit]


def _median(audio: FloatArray, rate_hz: int) -> NDArray[np.float64]:
    """Of each descriptor over time; NaN where the sound is too quiet throughout."""
    found = curves(np.nan_to_num(audio), rate_hz, max(1, round(rate_hz / 60)))
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan
                     for row in found])


def _chance(heard: NDArray[np.float64]) -> float:
    """The best correlation that values in random order would have."""
    rng = np.random.default_rng(0)
    orders = np.stack([rng.permutation(heard.shape[1]) for _ in range(ORDERS)]).astype(float)
    best = np.abs(spearman(orders, heard)).max(axis=1)
    return float(np.quantile(best, CHANCE))
