"""Figures of the judge "strokes" for a series of trials: what is made, and the networks that listen
to it, are made once and held against several folders."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch

from engine.models.registry import build
from engine.models.store import Stored, load_model
from engine.players.base import Player
from engine.presets import preset_settings
from engine.scores.strokes import struck
from scripts.stroke_clips.__main__ import register
from scripts.stroke_clips.model import ClipConfig, StrokeClip
from scripts.stroke_clips.playing import ClipCase, ClipPlayer, KeptClips
from training.data.audio_folder import scan
from training.data.hit_facts import read_strokes, stroke_of
from training.data.hits import LOUDEST, stroke_audio
from training.evaluation.judges.case import Case, Part, open_case
from training.evaluation.judges.strokes import (
    SECONDS,
    Collection,
    compared,
    made_strokes,
    recordings,
)
from training.evaluation.picture_classifier import Heard, PictureClassifier
from training.evaluation.stroke_measures import classifier
from training.evaluation.stroke_play import played
from training.objectives.frame_spectra import FrameSpectra, scaled

STROKES = 20  # of each class that are made
ROUNDS = 3  # of which the median time is told
Table = dict[str, Any]


def measured(folder: Path, out: Path, materials: list[str], plays: bool) -> Table:
    """Of a run: its figures on each material, and what it costs. `plays`: also what inversion and
    cutting off do to a stroke."""
    torch.set_num_threads(1)
    register()
    stored = load_model(str(folder))
    case = _case(stored, out / materials[0])
    shape: Table = {"parameters": stored.model.parameter_count, "mmacs": _macs(stored) / 1e6,
                    "stroke_ms": _stroke_ms(case.streams(1))}
    if plays:
        shape |= played(case.player, list(case.description.config["classes"]))
    made = _made(case, case.streams(case.seeds))
    found = _compared({"model": made}, out, materials, case)
    return {"shape": shape, **{key: found[key]["model"] for key in materials}}


def walls(folder: Path, out: Path, materials: list[str], spare: str, clip: Table) -> Table:
    """What figures are read by, for the classes that the run in `folder` has."""
    config: Any = load_model(str(folder)).model.config
    asked = {"classes": config.classes, "subclasses": config.subclasses}
    kept = _case(Stored("kept", _kept(out / spare, {**clip, **asked}), {}, True, None), out / spare)
    settings = {**preset_settings("drums")["model"], **asked}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = build(settings.pop("family"), settings)
    frames = _case(Stored("untrained", fresh.eval(), {}, False, None), out / spare)
    made = {"kept": _made(kept, kept.streams(kept.seeds)),
            "untrained": _made(frames, frames.streams(frames.seeds))}
    return _compared(made, out, materials, kept)


def _compared(made: dict[str, Collection], out: Path, materials: list[str], case: Case
              ) -> dict[str, Table]:
    """Figures by material and then by name, with those of classifiers that were taught by it."""
    names = tuple(case.description.config["classes"])
    rate = case.player.sample_rate_hz
    real, _ = _standard(out, materials[0], names, rate)
    net = _net(out, materials[0], names, rate)
    taught = {name: classifier(each.x, each.labels, len(names)) for name, each in made.items()
              if case.description.config.get("asks", True)}  # else it is of any class
    found = {}
    for material in materials:
        _, held = _standard(out, material, names, rate)
        results = compared(made, real, held, net)
        for name, own in {**taught, "recordings": net}.items():
            results[name]["taught_accuracy"] = Heard.of(own, held.x, held.labels).accuracy()
        for name, each in made.items():
            results[name]["heard_classes"] = _heard_classes(Heard.of(net, each.x, each.labels))
        found[material] = {**results, "files": len(held.labels)}
    return found


@cache
def _standard(out: Path, material: str, names: tuple[str, ...], rate_hz: int
              ) -> tuple[Collection, Collection]:
    """Strokes that a classifier learns, and held-out ones of a material."""
    any_player = ClipPlayer(StrokeClip(ClipConfig(classes=names, sample_rate_hz=rate_hz, width=2)))
    return recordings(Case(any_player, out / material, "hits", None, learnt=out / "learnt"), names)


@cache
def _net(out: Path, material: str, names: tuple[str, ...], rate_hz: int) -> PictureClassifier:
    real, _ = _standard(out, material, names, rate_hz)
    return classifier(real.x, real.labels, len(names))


def _case(stored: Stored, folder: Path) -> Case:
    """To make as many strokes as are judged."""
    options: Table = {"seconds": SECONDS, "seeds": STROKES, "baselines": False}
    if isinstance(stored.model, StrokeClip):
        return ClipCase(ClipPlayer(stored.model, name=stored.name), folder, "hits", None, **options)
    return open_case(stored.model, folder, **options)


def _made(case: Case, player: Player) -> Collection:
    names = tuple(case.description.config["classes"])
    return made_strokes(case, player, names, [[]] * len(names))


def _heard_classes(heard: Heard) -> float:
    """As how many classes, all alike often, what is made is heard (exp of the entropy)."""
    shares = np.bincount(heard.heard) / len(heard.heard)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _macs(stored: Stored) -> float:
    """Multiplications of a stroke of a second; what becomes of log-magnitudes is not counted."""
    model = stored.model
    if isinstance(model, StrokeClip):
        return model.macs()
    rate = model.sample_rate_hz / model.main.in_ratio
    return SECONDS * model.graph("magnitudes").macs_per_input_frame() * rate


def _stroke_ms(player: Player) -> float:
    """Processor time of a stroke of a second, its inversion included."""
    spec, found = player.description.main, []
    count = -(-round(SECONDS * player.sample_rate_hz) // spec.in_ratio)
    name = player.description.config["classes"][0]
    x = struck(spec.input_labels, [(0, {name: 1.0})], -(-count // spec.in_frames) * spec.in_frames)
    for _ in range(1 + ROUNDS):
        player.reset()
        begun = process_time()
        player.process(spec.name, x[None] if player.batch > 1 else x)
        found.append(1000 * (process_time() - begun))
    return median(found[1:])


def _kept(folder: Path, settings: Table) -> KeptClips:
    """Recorded strokes as clips."""
    shape = ClipConfig(**{key: value for key, value in settings.items() if key != "family"})
    model, spectra = KeptClips(shape), FrameSpectra(shape)
    table, clips, asked = read_strokes(folder), [], []
    for source in scan(folder).sources:
        stroke = stroke_of(source.name, table)
        if stroke is None:
            continue
        sound = Part(source).audio(shape.sample_rate_hz, 1, 2 * SECONDS)[0]
        hit, most = np.zeros(shape.frames * shape.hop, np.float32), shape.frames * shape.hop
        found = LOUDEST * stroke_audio(sound, shape.sample_rate_hz, most, 0.0)
        hit[: len(found)] = found
        power = spectra.magnitudes(torch.from_numpy(hit)[None, None]).square()
        clips.append(scaled(model.bands.power(power))[0])
        asked.append([float(name in (stroke.of_class, stroke.subclass))
                      for name in (*shape.classes, *shape.subclasses)])
    model.keep(torch.stack(clips), torch.tensor(asked))
    return model
