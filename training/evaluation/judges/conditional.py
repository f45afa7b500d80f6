"""Judge "conditional": whether a model makes the class that it is asked for, and follows its
controls.

Classes: a classifier learns to tell the real ones apart from half of the recordings and hears the
others, then what the model made; the other way round as well, and both are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import GENERATE
from engine.errors import AudioError
from engine.players.base import Player
from training.data.audio_folder import scan
from training.data.labelled import class_of
from training.evaluation.descriptors import NAMES, POINTS, Units, points
from training.evaluation.judges.case import Case
from training.evaluation.judges.classes import Classifier, ClassInput, class_input
from training.evaluation.judges.findings import (
    Column,
    Findings,
    Grid,
    Plot,
    drawn_confusion,
    keep_sound,
    number,
    score_grid,
)
from training.evaluation.judges.generating import played
from training.evaluation.judges.response import SECONDS, responses
from training.evaluation.judges.sounds import (
    LONGEST_SECONDS,
    in_two,
    spread_over,
)
from training.evaluation.measures import plain
from training.objectives.regularisers import mmd

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
SUBJECTS = {"model": "model", "recordings": "held-out recordings (ceiling)",
            "chance": "chance (floor)", "untrained": "untrained model"}
COLUMNS = (Column("class_accuracy", "class accuracy", "higher"),
           Column("worst_class", "worst class", "higher"),
           Column("descriptor_mmd", "descriptor MMD within class"))


def judge(case: Case) -> Findings:
    """Class accuracy, where there are classes; the response of every control."""
    asked = class_input(case)
    spec, rate = case.description.main, case.player.sample_rate_hz
    channels = spec.out_channels if spec.role == GENERATE else spec.in_channels
    parts = case.held_out(scan(case.folder), channels)
    result: dict[str, Any] = {**case.facts("conditional", len(parts), 0.0), "results": {}}
    found = Findings(result, [], case.notes())
    real = spread_over(parts, rate, channels, LONGEST_SECONDS, case.progress)
    result["seconds"] = round(sum(audio.shape[1] for _, audio in real) / rate, 3)
    if asked is not None:
        _judge_classes(case, asked, _by_class(case, asked, real), found)
    audio = None if spec.role == GENERATE else real[0][1][:, : round(SECONDS * rate)]
    rows = result["responses"] = responses(case, audio)
    if rows:
        found.grids.append(_response_grid(rows))
        found.plots.append(Plot("response.png", "rank correlation of controls and descriptors",
                                _drawn_responses(rows), (6, 1 + 0.4 * len(rows))))
        found.notes.append("a control works where its correlation is near 1 or -1 and beyond what "
                           "chance gives (in 19 of 20 random orders)")
    return found


def _by_class(
    case: Case, asked: ClassInput, real: list[tuple[str, FloatArray]]
) -> dict[str, list[tuple[str, FloatArray]]]:
    """Recordings of each class, in the order of the classes."""
    found: dict[str, list[tuple[str, FloatArray]]] = {}
    for name, audio in real:
        if class_of(name):
            found.setdefault(class_of(name), []).append((name, audio))
    wanted = asked.count
    if len(found) < 2 or (wanted is not None and len(found) != wanted):
        said = f"has {wanted} classes" if wanted else "can be asked for a class"
        raise AudioError(f"{case.player.name} {said}, but {case.folder} holds sounds of "
                         f"{len(found)}; it wants a folder for each, such as kick/ and snare/")
    return dict(sorted(found.items()))


def _judge_classes(
    case: Case, asked: ClassInput, real: dict[str, list[tuple[str, FloatArray]]],
    found: Findings,
) -> None:
    """Figures of classes, into `found`."""
    rate, names = case.player.sample_rate_hz, list(real)
    sides = [in_two(sounds) for sounds in real.values()]  # of each class
    folds = [[[points(audio, rate) for audio in side[fold]] for side in sides] for fold in (0, 1)]
    case.progress("what the model makes")
    count = case.seeds if case.role == GENERATE else 1
    made = _of_classes(case, case.streams(count), asked, real)
    collections = {"model": made}
    fresh = case.untrained_streams(count) if case.baselines else None
    if fresh is not None:
        collections["untrained"] = _of_classes(case, fresh, asked, real)
    described = {name: [[points(audio, rate) for audio in sounds] for sounds in classes]
                 for name, classes in collections.items()}
    counts = {name: _confusion(folds, [classes, classes]) for name, classes in described.items()}
    counts["recordings"] = _confusion(folds, folds[::-1])
    results = {name: _figures(table) for name, table in counts.items()}
    results["chance"] = {"class_accuracy": 1 / len(names)}
    for name, classes in (*described.items(), ("recordings", folds[1])):
        results[name]["descriptor_mmd"] = _within(folds[0], classes)
    found.result.update(classes=names, results=results, confusion={
        name: table.astype(int).tolist() for name, table in counts.items()})
    found.grids.append(score_grid(
        f"{case.player.name}: {case.seeds} sounds of each of {len(names)} classes, against "
        f"{sum(map(len, real.values()))} recordings", found.result, COLUMNS, SUBJECTS))
    found.notes.append("classes are numbered in the order of their folders' names: "
                       + ", ".join(f"{i} {name}" for i, name in enumerate(names)))
    found.plots.append(Plot("classes.png", "which class is heard, of what was asked for",
                            drawn_confusion(counts["model"], names)))
    found.sounds += [(f"class_{i + 1}.wav", f"asked for {name}") for i, name in enumerate(names)
                     if keep_sound(case.out, f"class_{i + 1}.wav", made[i][0], rate)]


def _of_classes(
    case: Case, player: Player, asked: ClassInput, real: dict[str, list[tuple[str, FloatArray]]]
) -> list[list[FloatArray]]:
    """Sounds of each class: made from nothing, or by an effect from recordings of all classes."""
    made = []
    for index in range(len(real)):
        if player.description.main.role == GENERATE:
            made.append(case.generated(player, case.seconds, case.seeds,
                                       partial(_ask, asked, index)))
            continue
        case.set_up(player)
        asked.ask(player, np.zeros((0, 0), np.float32), index)
        made.append([played(player, audio[None])[0] for audio in _to_play(case, real)])
    return made


def _to_play(
    case: Case, real: dict[str, list[tuple[str, FloatArray]]]
) -> list[FloatArray]:
    """Beginnings of recordings of all classes, in whole smallest blocks, for an effect."""
    unit = case.description.main.in_frames
    most = round(case.seconds * case.player.sample_rate_hz)
    pieces = [audio[:, : min(most, audio.shape[1]) // unit * unit]
              for sounds in real.values() for _, audio in sounds if audio.shape[1] >= unit]
    places = np.linspace(0, len(pieces) - 1, min(case.seeds, len(pieces)))
    return [pieces[round(place)] for place in places]


def _ask(asked: ClassInput, index: int, player: Player, x: FloatArray, _: int) -> None:
    asked.ask(player, x, index)


def _confusion(
    folds: list[list[list[Points]]], heard: list[list[list[Points]]]
) -> NDArray[np.float64]:
    """How often each class [asked, heard] is heard in `heard`, by classifiers of both folds."""
    size = len(folds[0])
    table = np.zeros((size, size))
    for learnt, classes in zip(folds, heard, strict=True):
        classifier = Classifier(learnt)
        for index, sounds in enumerate(classes):
            for sound in sounds:
                table[index, classifier.hear(sound)] += 1
    return table


def _figures(table: NDArray[np.float64]) -> dict[str, float | None]:
    """Shares that are heard right, each class counting the same."""
    right = np.diag(table) / np.maximum(table.sum(axis=1), 1)
    return {"class_accuracy": plain(float(right.mean())), "worst_class": plain(float(right.min()))}


def _within(reference: list[list[Points]], classes: list[list[Points]]) -> float | None:
    """Mean over classes of the squared MMD to real sounds of the same; axes are in units of the
    spread of all real sounds, since those of one class may have next to none."""
    units = Units(np.concatenate([point for sounds in reference for point in sounds]))
    each = []
    for real, made in zip(reference, classes, strict=True):
        count = min(POINTS, *(sum(map(len, sounds)) for sounds in (real, made)))
        rng = np.random.default_rng(0)
        x, y = (torch.from_numpy(units.scaled(rng.permutation(np.concatenate(sounds))[:count]))
                for sounds in (real, made))
        if count > 1:
            each.append(float(mmd(x, y, "imq")))
    return plain(float(np.mean(each))) if each else None


def _response_grid(rows: list[dict[str, Any]]) -> Grid:
    return Grid("controls", ["control", "from", "to", "follows best", "correlation →±1", "chance",
                             "at from", "at to"],
                [[row["control"], number(row["low"]), number(row["high"]), row["descriptor"],
                  f"{row['rank_correlation']:+.2f}", f"{row['chance']:.2f}",
                  number(row["at_low"]), number(row["at_high"])] for row in rows])


def _drawn_responses(rows: list[dict[str, Any]]) -> Callable[[Any], None]:
    def draw(axis: Any) -> None:
        values = [[row["spearman"][name] for name in NAMES] for row in rows]
        axis.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
        axis.set_xticks(range(len(NAMES)), NAMES, rotation=45)
        axis.set_yticks(range(len(rows)), [row["control"] for row in rows])

    return draw
