"""Judge "generation": how like real sound is what a model makes by itself.

Sounds are compared as collections of points, a quarter of a second each
(`training/evaluation/descriptors.py`): half of the held-out sounds is what all are compared with,
the other half shows how well real sound does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import shown_name
from engine.errors import TudorError
from training.data.audio_folder import scan
from training.evaluation.descriptors import POINTS, Units, descriptor_mmd, points
from training.evaluation.judges.case import Case
from training.evaluation.judges.classes import class_folders, class_input
from training.evaluation.judges.findings import (
    Column,
    Findings,
    Plot,
    keep_sound,
    score_grid,
)
from training.evaluation.judges.generating import Ask
from training.evaluation.judges.nearest import Nearest
from training.evaluation.judges.objective import LIKELIHOODS, held_out_figures
from training.evaluation.judges.sounds import (
    LEARNT_SECONDS,
    LONGEST_SECONDS,
    colored_noise,
    in_two,
    learnt,
    shuffled_pieces,
    spread_over,
)
from training.evaluation.measures import plain

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
SUBJECTS = {"model": "model", "held_out": "held-out half (ceiling)",
            "learnt": "training sounds shuffled",
            "noise": "noise of that spectrum (floor)", "silence": "silence (floor)",
            "untrained": "untrained model"}
COLUMNS = (Column("descriptor_mmd", "descriptor MMD"),
           Column("diversity", "diversity", "one"),
           Column("variety", "variety of sounds", "one"),
           Column("nearest", "nearest in training", "one"))
COPYING = 0.5  # nearer to what was learnt than half of what other real sound is, and than half of
# the way to that: the second tells a copy from what is merely like everything
KEPT = 4  # sounds of the page


def judge(case: Case) -> Findings:
    """Descriptor distances, diversity, nearest training neighbour and likelihood."""
    rate, spec = case.player.sample_rate_hz, case.description.main
    parts = case.held_out(scan(case.folder), spec.out_channels)
    real = spread_over(parts, rate, spec.out_channels, LONGEST_SECONDS, case.progress)
    reference, others = in_two(real)
    known, why = learnt(case)
    training = [audio for _, audio in
                spread_over(known, rate, spec.out_channels, LEARNT_SECONDS, case.progress)]
    case.progress("what the model makes")
    sounds = {"model": _made(case), **_baselines(case, reference, others, training)}
    against = _Against(reference, others, training, rate)
    case.progress("descriptors")
    found = {name: [points(audio, rate) for audio in collection]
             for name, collection in sounds.items()}
    results = {name: against.figures(sounds[name], made) for name, made in found.items()}
    likelihoods, notes = _likelihoods(case)
    for name, figures in likelihoods.items():
        results.setdefault(name, {}).update(figures)
    seconds = sum(audio.shape[1] for _, audio in real) / rate
    result = {**case.facts("generation", len(real), seconds), "generated": {
        "sounds": case.seeds, "seconds": case.seconds}, "results": results,
        "copied": against.copied(sounds["model"])}
    said = list(dict.fromkeys(key for row in likelihoods.values() for key in row))
    columns = [*COLUMNS, *(Column(key, key.replace("_", " ")) for key in said)]
    grid = score_grid(f"{case.player.name}: {case.seeds} sounds of {case.seconds:g} s, against "
                      f"{len(real)} held-out files, {seconds:.0f} s", result, columns, SUBJECTS)
    notes = [*case.notes(), *_verdict(result["copied"], why), *notes]
    result["notes"] = notes
    cloud = {"held_out": [*against.reference, *against.others]}
    cloud |= {name: found[name] for name in ("noise", "model") if name in found}
    return Findings(result, [grid], notes, [Plot(
        "descriptors.png", "descriptors of generated and real sound (first two principal "
        "components of the real)", scatter(cloud))], _kept(case, sounds["model"], *real[0]))


def _kept(case: Case, made: list[FloatArray], name: str, real: FloatArray) -> list[tuple[str, str]]:
    """Sounds for the page, with what they are."""
    rate = case.player.sample_rate_hz
    sounds = [(f"generated_{i + 1}.wav", f"generated, number {i + 1}", audio)
              for i, audio in enumerate(made[:KEPT])]
    sounds.append(("held_out.wav", f"held out: {shown_name(name)}",
                   real[:, : round(case.seconds * rate)]))
    return [(file, said) for file, said, audio in sounds
            if keep_sound(case.out, file, audio, rate)]


def _made(case: Case) -> list[FloatArray]:
    """What the model makes, classes in turn where it has them."""
    return case.generated(case.streams(case.seeds), case.seconds, case.seeds, asking(case))


def asking(case: Case) -> Ask | None:
    """Asks for the classes in turn; None for a model without."""
    classes = class_input(case)
    if classes is None or not classes.channels:
        return None
    count = classes.count or max(1, len(class_folders(case)))
    return lambda player, x, number: classes.ask(player, x, number % count)


def _baselines(
    case: Case, reference: list[FloatArray], others: list[FloatArray], training: list[FloatArray]
) -> dict[str, list[FloatArray]]:
    """Sounds that need no training, and those of real collections. All but the ceiling know only
    the half that is compared with, as a model that had learnt its statistics would."""
    if not case.baselines:
        return {}
    rate, seconds, seeds = case.player.sample_rate_hz, case.seconds, range(case.seeds)
    found = {"held_out": others,
             "noise": [colored_noise(reference, seconds, rate, seed) for seed in seeds],
             "silence": [np.zeros((1, max(1, round(seconds * rate))), np.float32)] * len(seeds)}
    if training:
        found["learnt"] = [shuffled_pieces(training, seconds, rate, seed) for seed in seeds]
    player = case.untrained_streams(case.seeds)
    if player is not None:
        found["untrained"] = case.generated(player, seconds, case.seeds, asking(case))
    return found


class _Against:
    """Real sound, and what it was learnt from, that collections are compared with."""

    def __init__(self, reference: list[FloatArray], others: list[FloatArray],
                 training: list[FloatArray], rate_hz: int) -> None:
        self.reference = [points(audio, rate_hz) for audio in reference]
        self.others = [points(audio, rate_hz) for audio in others]
        self._units = Units(np.concatenate([*self.reference, *self.others]))
        self._nearest = Nearest(training, rate_hz) if training else None
        self._real = [*reference, *others]
        self._usual = self._nearest.distance(self._real) if self._nearest else 0.0

    def figures(self, sounds: list[FloatArray], found: list[Points]) -> dict[str, float | None]:
        """Of a collection, `found` being the points of each sound."""
        return {
            "descriptor_mmd": plain(descriptor_mmd(np.concatenate(self.reference),
                                                   np.concatenate(found))),
            "diversity": plain(_ratio(self._apart(found), self._apart(
                [*self.reference, *self.others]))),
            "variety": plain(_ratio(self._variety(found), self._variety(
                [*self.reference, *self.others]))),
            "nearest": None if self._nearest is None else plain(
                _ratio(self._nearest.distance(sounds), self._usual)),
        }

    def copied(self, sounds: list[FloatArray]) -> bool | None:
        """Whether sounds are copies of what was learnt; None where that is not known."""
        if self._nearest is None:
            return None
        other = Nearest(self._real, self._nearest.rate_hz, self._nearest)
        return self._nearest.distance(sounds) < COPYING * min(self._usual, other.distance(sounds))

    def _apart(self, found: list[Points]) -> float:
        """Mean distance of two points of a collection."""
        return _mean_distance(_some(self._units.scaled(np.concatenate(found))))

    def _variety(self, found: list[Points]) -> float:
        """Mean distance of two sounds, each at the mean of its points."""
        return _mean_distance(np.stack([self._units.scaled(part).mean(axis=0) for part in found]))


def _some(found: Points) -> Points:
    """Not more than `POINTS`, chosen at random but always the same."""
    return found[np.random.default_rng(0).permutation(len(found))[:POINTS]]


def _mean_distance(found: Points) -> float:
    """Between two different rows; not a number for fewer than two."""
    count = len(found)
    if count < 2:
        return float("nan")
    total = sum(float(np.sqrt(np.square(found[i + 1 :] - row).sum(axis=1)).sum())
                for i, row in enumerate(found[:-1]))
    return 2 * total / (count * (count - 1))


def _ratio(value: float, usual: float) -> float:
    return value / usual if usual > 1e-9 else float("nan")


def _verdict(copied: bool | None, why: str) -> list[str]:
    """In words, what the last columns mean."""
    notes = ["diversity: distance of two quarter seconds, over that of real ones; variety: the "
             "same of whole sounds"]
    if why:
        return [*notes, f"nearest in training: {why}"]
    notes.append("nearest in training: distance to the nearest that was learnt, over that of "
                 "held-out sound")
    if copied:
        notes.append("what it makes is much nearer to what was learnt than to other sound: the "
                     "model may be playing its training sounds")
    return notes


def _likelihoods(case: Case) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """Bits or nats of held-out sound as the objective says them, by subject; or why there are
    none."""
    if case.model is None:
        return {}, [f"likelihood: {case.player.name} is an exported file, only a run says it"]
    try:
        _, results = held_out_figures(case)
    except TudorError as error:
        return {}, [f"likelihood: {error}"]
    found = {name: {key: value for key, value in row.items() if key.startswith(LIKELIHOODS)}
             for name, row in results.items()}
    if not any(found.values()):
        return {}, ["likelihood: the objective does not say it"]
    return found, []


def scatter(collections: dict[str, list[Points]]) -> Callable[[Any], None]:
    """Draws points of collections in the plane where "held_out" is widest."""
    def draw(axis: Any) -> None:
        real = np.concatenate(collections["held_out"])
        units = Units(real)
        plane = np.linalg.svd((real - units.centre) / units.spread, full_matrices=False)[2][:2]
        for name, found in collections.items():
            place = units.scaled(np.concatenate(found)) @ plane.T
            axis.scatter(*place.T[:2], s=6, alpha=0.6, label=name.replace("_", " "))
        axis.set(xlabel="first component", ylabel="second component")
        axis.legend(fontsize=7)

    return draw
