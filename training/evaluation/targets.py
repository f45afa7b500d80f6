"""What this project asks of a model's sound, and which of it a model reaches.

Every target is read from the figures of `evaluate_folder`, on the material that it is about: real
sound that was not learnt from, or sustained notes. The spectral distance is none of them: it is
reported, and nothing is chosen by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.judges.findings import Grid

Result = dict[str, Any]  # as `evaluate_folder` returns it
SMALL_HZ = 32000  # models of a lower rate are asked for fewer partials
HELD, NOTES = "held", "notes"  # what a target is measured on


@dataclass(frozen=True)
class Target:
    """A figure and what it should be; `value` is None where it cannot be had."""

    key: str
    title: str
    wanted: str
    value: Callable[[Result], float | None]
    met: Callable[[float], bool]
    on: str = HELD
    shown: str = "{:.2f}"
    rates: tuple[int, float] = (0, float("inf"))  # sample rates that it is for, the second excluded

    def text(self, value: float | None) -> str:
        """The figure as tables have it."""
        return "-" if value is None else self.shown.format(value)


@dataclass(frozen=True)
class Verdict:
    """A target and what was found; `met` is None where the figure cannot be had."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.target.met(self.value)

    @property
    def word(self) -> str:
        """For a table."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]

    @property
    def text(self) -> str:
        return self.target.text(self.value)


def _sound(key: str) -> Callable[[Result], float | None]:
    return lambda result: result["sound"]["subjects"]["model"].get(key)


def own_figure(key: str) -> Callable[[Result], float | None]:
    """A figure of the model."""
    return lambda result: result["results"]["model"].get(key)


def against(key: str, subject: str, combine: Callable[[float, float], float | None]
            ) -> Callable[[Result], float | None]:
    """A figure of the model and the same of another subject, if there are both."""
    def value(result: Result) -> float | None:
        own, other = (result["results"].get(name, {}).get(key) for name in ("model", subject))
        return None if own is None or other is None else combine(own, other)

    return value


def share(own: float, other: float) -> float | None:
    """Of a figure in another; none of nothing."""
    return own / other if other > 0 else None


def _alone(key: str) -> Callable[[Result], float | None]:
    return lambda result: result["standing"].get(key)


def _against_noise(result: Result) -> float | None:
    """The energy score over that of noise with the original's octave-band envelopes."""
    subjects = result["sound"]["subjects"]
    own, noise = (subjects.get(name, {}).get("energy_score") for name in ("model", "noise_128"))
    return None if own is None or not noise else own / noise


def _texture(result: Result) -> float | None:
    """By how much the texture differs from the original's, in dB."""
    subjects = result["sound"]["subjects"]
    own, real = (subjects.get(name, {}).get("texture_db") for name in ("model", "original"))
    return None if own is None or real is None else own - real


def below(limit: float) -> Callable[[float], bool]:
    """Met by what is no larger."""
    return lambda value: value <= limit


def above(limit: float) -> Callable[[float], bool]:
    """Met by what is no smaller."""
    return lambda value: value >= limit


TARGETS = (
    Target("energy", "energy score over that of noise with the right octave-band envelopes",
           "at most 0.75", _against_noise, below(0.75)),
    Target("texture", "texture less the original's, dB", "within ±0.3", _texture,
           lambda value: abs(value) <= 0.3, shown="{:+.2f}"),
    Target("modulation", "modulation at the frame rate over the original's", "0.8 to 1.2",
           _sound("modulation_ratio"), lambda value: 0.8 <= value <= 1.2),
    Target("octaves", "worst level error of an octave, dB", "at most 1",
           _sound("octave_error_db"), below(1.0)),
    Target("mel", "log-mel, dB", "at most 3", own_figure("log_mel_db"), below(3.0), shown="{:.1f}"),
    Target("onsets", "onset F", "at least 0.93", own_figure("onset_f"), above(0.93)),
    Target("held", "held latents: share of the energy above 700 Hz at multiples of the frame rate",
           "at most 0.1", _alone("held_at_frame_rate"), below(0.1)),
    Target("start", "click at the start, silence in, dBFS", "below -60", _alone("start_dbfs"),
           below(-60.0), shown="{:.0f}"),
    Target("reset", "click after a reset, dBFS", "below -60", _alone("reset_dbfs"), below(-60.0),
           shown="{:.0f}"),
    Target("partials", "partials of notes kept to, Hz", "at least 1500",
           _sound("partials_to_hz"), above(1500.0), NOTES, "{:.0f}", (0, SMALL_HZ)),
    Target("partials", "partials of notes kept to, Hz", "at least 3000",
           _sound("partials_to_hz"), above(3000.0), NOTES, "{:.0f}", (SMALL_HZ, float("inf"))),
    Target("pitch", "share of clear frames of notes within 20 cents", "at least 0.9",
           _sound("pitch_kept"), above(0.9), NOTES),
)


def verdicts(results: dict[str, Result], rate_hz: int) -> list[Verdict]:
    """What was found of every target of a model of that rate, in `results` by what was heard
    (`HELD`, `NOTES`); of what was not heard there is no figure."""
    return [Verdict(target, target.value(results[target.on]) if target.on in results else None)
            for target in TARGETS if target.rates[0] <= rate_hz < target.rates[1]]


def verdicts_of(targets: Sequence[Target], result: Result) -> list[Verdict]:
    """What was found of each."""
    return [Verdict(target, target.value(result)) for target in targets]


def verdict_grid(title: str, found: list[Verdict], result: dict[str, Any]) -> Grid:
    """A table of targets, which are noted in the result too."""
    result["targets"] = {row.target.key: {"value": row.value, "wanted": row.target.wanted,
                                          "met": row.met} for row in found}
    return Grid(title, ["", "wanted", "found", ""], [
        [row.target.title, row.target.wanted, row.text, row.word] for row in found])
