"""What is compared: excerpts of the data, each as the reference, the anchors, a baseline and the
models make it, in the manner of ITU-R BS.1534 (MUSHRA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.audio import channels_refused, match_channels, resample, shown_name
from engine.errors import AudioError, ConfigError
from engine.players.base import Player
from training.data.audio_folder import Skipped, nothing_usable, scan
from training.data.held_out import read_held_out
from training.evaluation.judges.case import Case
from training.evaluation.judges.paired import Pair, pairs_of
from training.evaluation.judges.registry import JUDGES, Judge, pick
from training.evaluation.listening.formats import ANCHOR, BASELINE, MODEL, REFERENCE
from training.evaluation.listening.stimuli import (
    LOW_HZ,
    MID_HZ,
    TRANSITION_HZ,
    as_loud,
    faded,
    loudest,
    low_pass,
)
from training.evaluation.measures import shaped_noise
from training.evaluation.subjects import play

FloatArray = NDArray[np.float32]
ANCHORS = {"anchor 3.5 kHz": LOW_HZ, "anchor 7 kHz": MID_HZ}
BASELINES = {"reconstruction": "noise in octave bands", "paired": "dry input"}
NOISE_FRAME = 512
TRIALS = 10  # unless --limit says otherwise: with practice about twenty minutes
MOST_STIMULI = 12  # of a trial, says BS.1534
LOOKED_SECONDS = 30.0  # of each file, among which the excerpt is found
STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Trial:
    """One excerpt by system, the reference among them; all as long and as loud."""

    sound: str
    start_seconds: float
    stimuli: dict[str, FloatArray]
    gains_db: dict[str, float]


@dataclass(frozen=True)
class ListeningTest:
    """`systems`: kinds by name. `practice` has all systems too and is not counted."""

    rate_hz: int
    systems: dict[str, str]
    practice: Trial
    trials: list[Trial]
    notes: list[str]


def compose(case: Case, against: Sequence[Case], judge: str | None = None) -> ListeningTest:
    """A test of the case's model beside those of `against`, on excerpts of `case.seconds`."""
    chosen = _judge(case, judge)
    for other in against:
        why = JUDGES[chosen.name].refuses(other)
        if why:
            raise ConfigError(f"--against: {why}")
    composer = _Composer.of(case, against, chosen.name)
    count = TRIALS if case.limit is None else case.limit
    found: list[Trial] = []
    for pair in _pairs(case, against, chosen.name, count + 1):
        case.progress(pair.target.source.name)
        trial = composer.trial(pair, case.seconds)
        if trial is None:
            case.skipped.append(Skipped(pair.target.source.name, "has no sound where it is cut"))
        else:
            found.append(trial)
    if not found:
        raise AudioError(nothing_usable(case.folder, case.skipped))
    practice = found.pop() if len(found) > count else found[0]
    return ListeningTest(composer.rate_hz, composer.systems, practice, found,
                [*case.notes(), *composer.notes()])


def _judge(case: Case, name: str | None) -> Judge:
    """It says what the reference is: the input, or the target of pairs."""
    if name is None and not JUDGES["paired"].refuses(case) and case.kind == "pairs":
        name = "paired"
    chosen = pick(case, name or "reconstruction") if name in (None, *BASELINES) else None
    if chosen is None:
        raise ConfigError(f"--listen compares with a reference: --judge takes "
                          f"{' or '.join(BASELINES)} there, not {name!r}")
    return chosen


def _pairs(case: Case, against: Sequence[Case], judge: str, count: int) -> list[Pair]:
    """Sounds that none of the models has learnt from, with what they should become."""
    owners = [other for other in against if other.is_own_folder]
    case = replace(case, limit=None if owners else count, skipped=case.skipped)
    spec = case.description.main
    if judge == "paired":
        found = pairs_of(case, (spec.in_channels, spec.out_channels))
    else:
        found = [Pair(part, part) for part in case.held_out(scan(case.folder), spec.in_channels)]
    for other in owners:
        assert other.run is not None
        held = {row.name: row.start_seconds for row in read_held_out(other.run)}
        found = [Pair(*(replace(part, start_seconds=max(
            part.start_seconds, held[pair.input.source.name])) for part in (pair.input,
                                                                            pair.target)))
                 for pair in found if pair.input.source.name in held]
        if not found:
            raise AudioError(f"{case.folder} is what {other.player.name} learnt from, and it held "
                             "out nothing that the others do not know; give --data another folder")
    return found[:count]


@dataclass(frozen=True)
class _Composer:
    """Makes trials. Its rate is the highest of the models', its channels are their most."""

    players: dict[str, Player]
    judge: str
    rate_hz: int
    channels: int
    skipped: list[Skipped]

    @classmethod
    def of(cls, case: Case, against: Sequence[Case], judge: str) -> _Composer:
        players: dict[str, Player] = {}
        taken = {REFERENCE, *ANCHORS, *BASELINES.values()}
        for each in (case, *against):
            name = base = str(each.named) if each.player.name in taken | players.keys() and (
                each.named) else each.player.name
            number = 2
            while name in taken | players.keys():
                name, number = f"{base} ({number})", number + 1
            players[name] = each.player
        specs = [player.description.main for player in players.values()]
        made = cls(players, judge, max(p.sample_rate_hz for p in players.values()),
                   max(spec.out_channels for spec in specs), case.skipped)
        if len(made.systems) > MOST_STIMULI:
            raise ConfigError(f"--against: {len(made.systems)} stimuli in a trial are too many to "
                              f"compare, at most {MOST_STIMULI}; make several pages")
        return made

    @property
    def anchors(self) -> dict[str, float]:
        """Those that this rate can tell from the reference."""
        return {name: cutoff for name, cutoff in ANCHORS.items()
                if cutoff + TRANSITION_HZ < self.rate_hz / 2}

    @property
    def systems(self) -> dict[str, str]:
        return {REFERENCE: REFERENCE, **dict.fromkeys(self.anchors, ANCHOR),
                BASELINES[self.judge]: BASELINE, **dict.fromkeys(self.players, MODEL)}

    def notes(self) -> list[str]:
        """What the host should know."""
        return [f"no {name}: at {self.rate_hz} Hz it would be the reference itself"
                for name in ANCHORS if name not in self.anchors]

    def trial(self, pair: Pair, seconds: float) -> Trial | None:
        """The loudest stretch of the target; None where there is no sound in it."""
        for name, player in self.players.items():
            refused = channels_refused(pair.input.source.channels,
                                       player.description.main.in_channels)
            if refused is not None:
                self.skipped.append(Skipped(pair.input.source.name, f"{refused} ({name})"))
                return None
        wanted = self._shaped(pair.target.audio(self.rate_hz, self.channels, LOOKED_SECONDS))
        size = min(round(seconds * self.rate_hz), wanted.shape[1])
        if not size:
            return None
        start = loudest(wanted, size, round(STEP_SECONDS * self.rate_hz))
        whole = self._answers(pair, wanted)
        cut = {name: faded(_stretch(whole[name], start, size), self.rate_hz)
               for name in self.systems}
        if not np.abs(cut[REFERENCE]).max() > 0:
            return None
        stimuli, gains = as_loud(cut, cut[REFERENCE], self.rate_hz)
        return Trial(shown_name(pair.target.source.name),
                     pair.target.start_seconds + start / self.rate_hz, stimuli, gains)

    def _answers(self, pair: Pair, wanted: FloatArray) -> dict[str, FloatArray]:
        """What each system makes of the whole."""
        found = {REFERENCE: wanted, **{name: low_pass(wanted, self.rate_hz, cutoff)
                                       for name, cutoff in self.anchors.items()}}
        if self.judge == "paired":
            found[BASELINES[self.judge]] = self._shaped(pair.input.audio(
                self.rate_hz, self.channels, LOOKED_SECONDS))
        else:
            found[BASELINES[self.judge]] = shaped_noise(wanted, NOISE_FRAME)
        for name, player in self.players.items():
            heard = pair.input.audio(player.sample_rate_hz, player.description.main.in_channels,
                                     LOOKED_SECONDS)
            answer = play(player, heard)
            if not np.isfinite(answer).all():
                raise AudioError(f"{name} makes numbers that are not finite")
            found[name] = self._shaped(resample(answer, player.sample_rate_hz, self.rate_hz))
        return found

    def _shaped(self, audio: FloatArray) -> FloatArray:
        return match_channels(audio, self.channels)


def _stretch(audio: FloatArray, start: int, size: int) -> FloatArray:
    """`size` samples from `start` on; silence where there is no more."""
    found = audio[:, start : start + size]
    return np.pad(found, ((0, 0), (0, size - found.shape[1])))
