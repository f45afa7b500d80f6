"""Judge "strokes": whether a voice that a gate triggers makes the strokes that it is asked for, as
varied as recorded ones.

A classifier learns real strokes, of the run's own training data where that is there, else of half
of the folder; it hears held-out ones and what the model made. Then it learns from what was made and
hears the held-out ones. Everything is sound: what a model says of magnitudes is not asked.

A model of notes is asked for the pitches that its instruments have in the recordings, and its notes
are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import AudioError
from engine.layers.noise import SEED
from engine.players.base import Player
from engine.scores.conditions import GATE, PITCH
from engine.scores.held_notes import holds_notes
from engine.scores.strokes import VELOCITY
from training.data.audio_folder import scan
from training.data.hit_facts import Stroke, read_strokes, stroke_of
from training.data.hits import SOFTEST, stroke_audio
from training.evaluation.judges.case import Case, Part
from training.evaluation.judges.findings import (
    Column,
    Findings,
    Plot,
    drawn_confusion,
    keep_sound,
    score_grid,
)
from training.evaluation.judges.sounds import halves, learnt
from training.evaluation.measures import plain
from training.evaluation.note_pitch import share_in_tune
from training.evaluation.picture_classifier import Heard, PictureClassifier
from training.evaluation.points import diversity, frechet, nearest, precision_recall
from training.evaluation.stroke_measures import SECONDS, classifier, different_bins, pictures
from training.evaluation.stroke_play import played
from training.evaluation.stroke_targets import target_grid

FloatArray = NDArray[np.float32]
SUBJECTS = {"model": "model", "recordings": "held-out recordings (ceiling)",
            "shuffled": "recordings, classes shuffled (floor)",
            "class_means": "mean picture of each class (floor)", "untrained": "untrained model"}
COLUMNS = (Column("class_accuracy", "class accuracy", "higher"),
           Column("taught_accuracy", "accuracy if taught by it", "higher"),
           Column("frechet", "Fréchet"), Column("precision", "precision", "higher"),
           Column("recall", "recall", "higher"), Column("diversity", "diversity", "one"),
           Column("nearest", "nearest in training", "one"),
           Column("ndb", "different bins"))
NOTE_COLUMNS = (*COLUMNS, Column("in_tune", "in tune", "higher"))
Found = tuple[Part, float | None]  # and its octaves from middle C
MOST_LEARNT, MOST_HELD = 150, 60  # strokes of a class
LEAST_LEARNT = 4  # strokes of each class, or nothing is learnt
ENOUGH_TO_TEACH = 16  # strokes of each class that a classifier can learn from


@dataclass(frozen=True)
class Collection:
    """Strokes as pictures, and the numbers of their classes; of notes their pitches in octaves from
    middle C."""

    x: Tensor
    labels: Tensor
    sounds: list[FloatArray]
    octaves: list[float]

    def pitches_of(self, label: int) -> list[float]:
        """Of a class, from the lowest to the highest."""
        return sorted(octaves for octaves, own in zip(self.octaves, self.labels.tolist(),
                                                      strict=False) if own == label)


def judge(case: Case) -> Findings:
    """Figures of what is made beside those of recordings."""
    names = tuple(case.description.config["classes"])
    rate = case.player.sample_rate_hz
    real, held = recordings(case, names)
    case.progress("a classifier")
    net = classifier(real.x, real.labels, len(names))
    case.progress("what the model makes")
    pitches = [held.pitches_of(index) or real.pitches_of(index) for index in range(len(names))]
    made = {"model": made_strokes(case, case.streams(case.seeds), names, pitches)}
    fresh = case.untrained_streams(case.seeds) if case.baselines else None
    if fresh is not None:
        made["untrained"] = made_strokes(case, fresh, names, pitches)
    here = held.labels.unique()
    results = compared(made, real, held, net)
    if holds_notes(case.description):
        for name, each in ({**made, "recordings": held}).items():
            results[name]["in_tune"] = plain(share_in_tune(each.sounds, each.octaves, rate))
    if case.seeds >= ENOUGH_TO_TEACH:
        for name, each in (*made.items(), ("recordings", real)):
            results[name]["taught_accuracy"] = _taught(each, held, len(names), net, real)
    left_out = [name for index, name in enumerate(names) if index not in here]
    result: dict[str, Any] = {
        **case.facts("strokes", len(held.labels), sum(map(len, held.sounds)) / rate),
        "generated": {"sounds": len(made["model"].labels)}, "learnt": len(real.labels),
        "classes": list(names), "results": results,
        "confusion": _confusion(Heard.of(net, made["model"].x, made["model"].labels),
                                len(names)).tolist()}
    case.progress("how it plays")
    result["played"] = played(case.player, list(names))
    grid = score_grid(f"{case.player.name}: {case.seeds} strokes of each of {len(names)} classes, "
                      f"against {len(held.labels)} held-out recordings", result,
                      NOTE_COLUMNS if holds_notes(case.description) else COLUMNS, SUBJECTS)
    notes = [*case.notes(), "diversity: distance of two strokes of a class, over that of recorded "
             "ones; Fréchet: over the variance of recorded ones; features are those of a "
             f"classifier that learnt {len(real.labels)} recordings"]
    if left_out:
        notes.append(f"fewer than {LEAST_LEARNT} sounds, so not judged: {', '.join(left_out)}")
    sounds = [(f"stroke_{name}.wav", name) for index, name in enumerate(names)
              if keep_sound(case.out, f"stroke_{name}.wav", _row(made["model"], index), rate)]
    return Findings(result, [grid, target_grid(result)], notes, [Plot(
        "classes.png", "which class is heard, of what was asked for",
        drawn_confusion(np.array(result["confusion"]), names))], sounds)


def compared(made: dict[str, Collection], real: Collection, held: Collection,
             net: PictureClassifier) -> dict[str, Any]:
    """Figures of collections that were made, by name, and beside them of the recordings themselves
    and of what makes no sound; `net` has learnt `real`."""
    every = {**made, "class_means": _class_means(real), "recordings": held}
    known, ceiling = Heard.of(net, real.x, real.labels), Heard.of(net, held.x, held.labels)
    here, results = held.labels.unique(), dict[str, Any]()
    own = torch.isin(real.labels, here)
    for name, each in every.items():
        part = torch.isin(each.labels, here)
        results[name] = {
            **_figures(Heard.of(net, each.x, each.labels).where(part.numpy()), ceiling,
                       known.where(own.numpy()), name == "recordings"),
            "ndb": plain(different_bins(real.x[own], each.x[part]))}
    order = np.random.default_rng(0).permutation(len(held.labels))
    results["shuffled"] = {"class_accuracy": plain(
        Heard(ceiling.labels[order], ceiling.heard, ceiling.features).accuracy())}
    return results


# --- collections ---------------------------------------------------------------------------------


def recordings(case: Case, names: Sequence[str]) -> tuple[Collection, Collection]:
    """Strokes to learn from and held-out ones; classes of which there are too few are left out."""
    held = case.held_out(scan(case.folder), 1)
    table = read_strokes(case.folder)
    known, _ = learnt(case)
    if known:
        own = case.learnt or Path((case.settings or {})["data"]["folder"])
        sides = (known, read_strokes(own)), (held, table)
    else:
        pairs = [(part.source.name, part) for part in held]
        first, second = halves(pairs, [1.0] * len(pairs))
        sides = ([held[i] for i in first], table), ([held[i] for i in second], table)
    sorted_out = [_by_class(*side, names) for side in sides]
    here = [name for name, own in sorted_out[1].items()
            if min(len(own), len(sorted_out[0][name])) >= LEAST_LEARNT]
    if len(here) < 2:
        raise AudioError(f"{case.folder}: {len(here)} of the classes of {case.player.name} "
                         f"({', '.join(names)}) have {LEAST_LEARNT} sounds to judge by; it wants "
                         "two such classes, as folders of these names or in metadata.csv")
    there = [name for name, own in sorted_out[0].items() if len(own) >= LEAST_LEARNT]
    return (_collection(case, sorted_out[0], there, names, MOST_LEARNT),
            _collection(case, sorted_out[1], here, names, MOST_HELD))


def _by_class(parts: Sequence[Part], table: dict[str, Stroke], names: Sequence[str]
              ) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {name: [] for name in names}
    for part in parts:
        stroke = stroke_of(part.source.name, table)
        if stroke is not None and stroke.of_class in found:
            found[stroke.of_class].append((part, stroke.octaves))
    return found


def _collection(case: Case, by_class: dict[str, list[Found]], kept: Sequence[str],
                names: Sequence[str], most: int) -> Collection:
    """Not more than `most` of each class of `kept`, spread over the names of the files."""
    rate, sounds, labels = case.player.sample_rate_hz, list[FloatArray](), list[int]()
    pitches = list[float]()
    for name in kept:
        case.progress(name)
        own = by_class[name]
        for part, octaves in own[:: -(-len(own) // most)]:
            audio = part.audio(rate, 1, 2 * SECONDS)[0]
            if np.abs(audio).max(initial=0.0) > 0:
                sounds.append(_stroke(audio, rate))
                labels.append(names.index(name))
                pitches.append(octaves or 0.0)
    return Collection(pictures(sounds, rate), torch.tensor(labels), sounds, pitches)


def _class_means(real: Collection) -> Collection:
    """Of every stroke the mean picture of its class: what a model that blurs would make."""
    means = torch.zeros_like(real.x)
    for label in real.labels.unique():
        own = real.labels == label
        means[own] = real.x[own].mean(dim=0)
    return Collection(means, real.labels, [], real.octaves)


def _stroke(audio: FloatArray, rate_hz: int) -> FloatArray:
    """From its onset on."""
    return stroke_audio(audio, rate_hz, round(SECONDS * rate_hz), 0.0)


def made_strokes(case: Case, player: Player, names: Sequence[str],
                 pitches: Sequence[Sequence[float]]) -> Collection:
    """Strokes of each class that the model makes, its subclasses in turn, of all velocities; notes
    of each of its pitches."""
    spec, rate = player.description.main, player.sample_rate_hz
    subclasses = list(player.description.config["subclasses"])
    late, held = spec.lookahead_samples / rate, holds_notes(case.description)
    sounds, labels, octaves = list[FloatArray](), list[int](), list[float]()
    before = player.get(SEED)
    for index, name in enumerate(names):
        def ask(_: Player, x: FloatArray, number: int, name: str = name,
                own: Sequence[float] = pitches[index]) -> None:
            at = spec.input_labels.index
            x[at(GATE), : None if held else 2] = 1
            if held:
                x[at(PITCH)] = _turn(own, number)
            x[at(VELOCITY)] = SOFTEST + (1 - SOFTEST) * (number * 0.618034 % 1)
            x[at(name)] = 1
            if subclasses:
                x[at(subclasses[number % len(subclasses)])] = 1

        player.set(SEED, index)
        for number, audio in enumerate(case.generated(player, SECONDS + late, case.seeds, ask)):
            sounds.append(_stroke(audio[0], rate))
            labels.append(index)
            octaves.append(_turn(pitches[index], number))
    player.set(SEED, before)
    return Collection(pictures(sounds, rate), torch.tensor(labels), sounds, octaves)


def _turn(pitches: Sequence[float], number: int) -> float:
    """All over the range of an instrument, whatever the count of notes: middle C of none."""
    return pitches[int(len(pitches) * (number * 0.754878 % 1))] if pitches else 0.0


# --- figures -------------------------------------------------------------------------------------


def _figures(heard: Heard, real: Heard, known: Heard, held_out: bool) -> dict[str, float | None]:
    """Of a collection, against held-out recordings (these themselves against what was learnt)."""
    against = known if held_out else real
    precision, recall = precision_recall(against.features, heard.features)
    usual = diversity(real.features, real.labels)
    return {"class_accuracy": plain(heard.accuracy()),
            "frechet": plain(frechet(against.features, heard.features)),
            "precision": plain(precision), "recall": plain(recall),
            "diversity": plain(diversity(heard.features, heard.labels) / max(usual, 1e-9)),
            "nearest": plain(nearest(heard.features, known.features)
                             / max(nearest(real.features, known.features), 1e-9))}


def _taught(made: Collection, held: Collection, classes: int, net: PictureClassifier,
            real: Collection) -> float | None:
    """Accuracy on held-out recordings of a classifier that learnt `made`."""
    other = net if made is real else classifier(made.x, made.labels, classes)
    return plain(Heard.of(other, held.x, held.labels).accuracy())


def _confusion(heard: Heard, classes: int) -> NDArray[np.int64]:
    """How often each class [asked, heard] is heard."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (heard.labels, heard.heard), 1)
    return table


def _row(made: Collection, index: int) -> FloatArray:
    """The first strokes of a class one after another [1, samples]."""
    own = [made.sounds[i] for i in torch.where(made.labels == index)[0][:6].tolist()]
    return np.concatenate(own)[None]
