"""Judge "paired": how near an effect comes to the target of its input.

    DATA/input/a.wav     DATA/target/a.wav

Errors are summed over all of the data, so that a quiet stretch counts as little as it is heard:
ESR = sum (y - t)^2 / sum t^2. With pre-emphasis both pass y[n] - 0.95 y[n - 1] before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.audio import shown_name
from engine.errors import AudioError
from training.data.audio_folder import Skipped, nothing_usable
from training.data.pairs import PARTS, Pairs
from training.evaluation.evaluate import as_player, pieces, why_unfit
from training.evaluation.judges.case import Case, Part
from training.evaluation.judges.findings import (
    Column,
    Findings,
    Plot,
    keep_sound,
    plain,
    score_grid,
)
from training.evaluation.judges.linear import Filter, LinearFit
from training.evaluation.measures import level_db, log_mel
from training.evaluation.subjects import Each, Playing, Subject

FloatArray = NDArray[np.float32]
PRE_EMPHASIS = 0.95
COLUMNS = (Column("esr", "ESR"), Column("esr_pre", "ESR pre-emphasis"),
           Column("log_mel_db", "log-mel dB"), Column("level_error_db", "level dB"))
SUBJECTS = {"model": "model", "linear": "best linear filter (floor)",
            "dry": "dry input (floor)", "silence": "silence (floor)",
            "untrained": "untrained model"}
HEARD_SECONDS = 10.0


@dataclass(frozen=True)
class Pair:
    """A sound and what it should become."""

    input: Part
    target: Part

    def pieces(self, rate_hz: int, channels: tuple[int, int]) -> Iterator[list[FloatArray]]:
        """Input and target, [channels, samples] of one length."""
        both = (pieces(part.blocks(rate_hz, count), rate_hz)
                for part, count in zip((self.input, self.target), channels, strict=True))
        for x, t in zip(*both, strict=False):  # the longer file's end has no partner
            size = min(x.shape[1], t.shape[1])
            yield [np.ascontiguousarray(part[:, :size]) for part in (x, t)]


@dataclass
class Scores:
    """Sums over all pieces of one subject."""

    error: float = 0.0
    error_pre: float = 0.0
    log_mel: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    spectrum: list[NDArray[np.float64]] = field(default_factory=list)  # mean log-mel, dB

    def add(self, audio: FloatArray, target: FloatArray, rate_hz: int) -> None:
        self.error += power(audio - target)
        self.error_pre += power(emphasised(audio) - emphasised(target))
        mel = log_mel(audio, rate_hz)
        self.log_mel.append(float(np.abs(mel - log_mel(target, rate_hz)).mean()))
        self.level.append(abs(level_db(audio) - level_db(target)))
        self.spectrum.append(mel.mean(axis=(0, -1)))

    def figures(self, whole: Scores) -> dict[str, float | None]:
        """`whole`: those of silence, whose error is all of the target."""
        return {"esr": plain(self.error / max(whole.error, 1e-20)),
                "esr_pre": plain(self.error_pre / max(whole.error_pre, 1e-20)),
                "log_mel_db": plain(float(np.mean(self.log_mel))),
                "level_error_db": plain(float(np.mean(self.level)))}


def power(audio: FloatArray) -> float:
    """Sum of squares."""
    return float(np.square(audio, dtype=np.float64).sum())


def emphasised(audio: FloatArray) -> FloatArray:
    """The treble that the ear minds."""
    before = np.pad(audio, ((0, 0), (1, 0)))[:, :-1]
    return audio - np.float32(PRE_EMPHASIS) * before


def judge(case: Case) -> Findings:
    """Scores of the model, its untrained self, the input as it is and the best linear filter."""
    rate, spec = case.player.sample_rate_hz, case.description.main
    channels = (spec.in_channels, spec.out_channels)
    pairs = pairs_of(case, channels)
    subjects: dict[str, Subject] = {"model": Playing(case.player),
                                    "silence": Each(_as_output(np.zeros_like, channels))}
    if case.baselines:
        subjects["dry"] = Each(_as_output(lambda x: x, channels))
        case.progress("the best linear filter")
        subjects["linear"] = Filter(_linear(pairs, rate, channels),
                                    _as_output(lambda x: x, channels))
        untrained = case.untrained()
        if untrained is not None:
            subjects["untrained"] = Playing(as_player(untrained))
    scores = {name: Scores() for name in subjects}
    target_spectrum: list[NDArray[np.float64]] = []
    seconds, sounds = 0.0, list[tuple[str, str]]()
    for index, pair in enumerate(pairs):
        case.progress(pair.input.source.name)
        for piece, answers in _answered(pair, subjects, rate, channels):
            x, t = piece
            seconds += t.shape[1] / rate
            for name, answer in answers.items():
                scores[name].add(answer, t, rate)
            target_spectrum.append(log_mel(t, rate).mean(axis=(0, -1)))
            if index == 0 and not sounds:
                sounds = _sounds(case, pair, {"input": x, "target": t, **answers}, rate)
    results = {name: scores[name].figures(scores["silence"]) for name in SUBJECTS
               if name in scores and (case.baselines or name == "model")}
    result = {**case.facts("paired", len(pairs), seconds), "results": results}
    grid = score_grid(f"{case.player.name} on {len(pairs)} pairs, {seconds:.0f} s", result,
                      COLUMNS, SUBJECTS)
    notes = [*case.notes(), "ESR 1 is as far from the target as silence; the linear filter is the "
             "best one for this very data, and beating it takes more than an equaliser"]
    curves = {"target": target_spectrum,
              **{name: scores[name].spectrum for name in results if name != "silence"}}
    return Findings(result, [grid], notes, [Plot(
        "spectrum.png", "mean spectrum of target, model and baselines", _drawn(curves, rate))],
        sounds)


def pairs_of(case: Case, channels: tuple[int, int]) -> list[Pair]:
    """Files with a partner that the model has not learnt from."""
    data = Pairs(case.folder, None, case.folder)
    data.look()
    case.skipped += data.unpaired
    inputs = case.held_out(data.folders[0], channels[0])
    partners = {source.name: source for source in data.folders[1].sources}
    case.skipped += [Skipped(f"{PARTS[1]}/{item.name}", item.reason)
                     for item in data.folders[1].skipped]
    found = []
    for part in inputs:
        partner = partners[part.source.name]
        reason = why_unfit(partner, channels[1])
        if reason is None:
            found.append(Pair(part, Part(partner, part.start_seconds, part.end_seconds)))
        else:
            case.skipped.append(Skipped(f"{PARTS[1]}/{partner.name}", reason))
    if not found:
        raise AudioError(nothing_usable(case.folder, case.skipped))
    return found


def _answered(
    pair: Pair, subjects: dict[str, Subject], rate: int, channels: tuple[int, int]
) -> Iterator[tuple[list[FloatArray], dict[str, FloatArray]]]:
    """Each piece of a pair with what every subject makes of it."""
    waiting = list[list[FloatArray]]()
    answers = {name: np.zeros((channels[1], 0), np.float32) for name in subjects}
    for subject in subjects.values():
        subject.begin()

    def ready() -> Iterator[tuple[list[FloatArray], dict[str, FloatArray]]]:
        while waiting and all(answer.shape[1] >= waiting[0][1].shape[1]
                              for answer in answers.values()):
            piece = waiting.pop(0)
            size = piece[1].shape[1]
            yield piece, {name: np.ascontiguousarray(answer[:, :size])
                          for name, answer in answers.items()}
            for name in answers:
                answers[name] = answers[name][:, size:]

    for piece in pair.pieces(rate, channels):
        waiting.append(piece)
        for name, subject in subjects.items():
            answers[name] = np.concatenate((answers[name], subject.hear(piece[0])), axis=1)
        yield from ready()
    for name, subject in subjects.items():
        rest = subject.end()
        if rest.shape[1]:
            answers[name] = np.concatenate((answers[name], rest), axis=1)
    yield from ready()


def _as_output(
    answer: Callable[[FloatArray], FloatArray], channels: tuple[int, int]
) -> Callable[[FloatArray], FloatArray]:
    """`answer` to the input in as many channels as the target has."""
    def hear(x: FloatArray) -> FloatArray:
        same = channels[0] == channels[1]
        return answer(x if same else np.repeat(x.mean(axis=0, keepdims=True), channels[1], axis=0))

    return hear


def _linear(pairs: list[Pair], rate: int, channels: tuple[int, int]) -> NDArray[np.float64]:
    fit, shaped = LinearFit(channels[1]), _as_output(lambda x: x, channels)
    for pair in pairs:
        fit.begin()
        for x, t in pair.pieces(rate, channels):
            fit.add(shaped(x), t)
    return fit.taps()


def _sounds(
    case: Case, pair: Pair, heard: dict[str, FloatArray], rate: int
) -> list[tuple[str, str]]:
    """The beginning of the first pair, as all make it."""
    size, title = round(HEARD_SECONDS * rate), shown_name(pair.input.source.name)
    return [(f"{name}.wav", f"{title}: {SUBJECTS.get(name, name)}") for name, audio in heard.items()
            if name != "silence" and keep_sound(case.out, f"{name}.wav", audio[:, :size], rate)]


def _drawn(curves: dict[str, list[NDArray[np.float64]]], rate: int) -> Callable[..., None]:
    def draw(axis: object) -> None:
        for name, rows in curves.items():
            axis.plot(np.mean(rows, axis=0),  # type: ignore[attr-defined]
                      label=SUBJECTS.get(name, name), linewidth=2 if name == "model" else 1)
        axis.set(xlabel=f"mel band, to {rate // 2} Hz", ylabel="dB")  # type: ignore[attr-defined]
        axis.legend(fontsize=7)  # type: ignore[attr-defined]

    return draw
