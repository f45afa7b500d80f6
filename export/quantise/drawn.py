"""What a method that reads its own output is calibrated with: its own sound.

The float32 model generates, in the C runtime, and every draw is noted; with the draws given, both
models are then simulated all rows at once (`export/native/forced.py`). So ranges are found where
the loop really goes when it plays. Recordings would not do: which conditions belong to them, and
through what layers behind the loop they came, a model does not say; and what a network makes of
others' sounds is not what it makes of its own.

    conditions    of what plays loops, loops (`loops.py`); of what a gate triggers, strokes; what
                  an own analysis makes of audio; arrays that the user gives; else rests and steps
    held out      the same with other noise, and where the user gave arrays, with others of them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.description import EFFECT, Description, Method
from engine.errors import ConfigError, TudorError
from engine.models.base import Model
from engine.players.base import load
from engine.players.native_model import NativeFile, NativeModel
from engine.scores.loops import plays_loops
from engine.scores.strokes import made_up, plays_strokes
from export.native.export import compile_programs, lower
from export.native.forced import Forced, draw_of, end_of, gate_of
from export.native.nodes import Node, Program, Root, View, outermost
from export.native.simulate import Simulator
from export.native.simulate_ops import draw_layer
from export.quantise.loops import loop_conditions
from export.quantise.recordings import FloatArray, Material
from export.quantise.sensitivity import SAME_DB, decibels, error_ratio
from export.replay import is_looped

CALIBRATION_DRAWS, HELD_OUT_DRAWS = 1 << 16, 1 << 14
OTHER_NOISE = 1 << 30  # so far apart are the places of the noise that both hear
BLOCK_DRAWS = 1 << 12
LONGEST_STEP = 64  # frames for which conditions are held
REST_SHARE = 0.25
CONDITIONS = ".npy"
CHECKED_DRAWS = 1 << 12
ACT_ROUNDING = 2e-3  # an activation that PyTorch rounds otherwise moves a row by a unit of 16 bits
MOST_MISSED = 1e-3  # on average, as a probability


@dataclass(frozen=True)
class Drawn:
    """What fewer bits do to a method's draws. `bits`: information in one draw of the float32
    model; `lost_bits`: how many more it costs to expect the other's distribution (Kullback and
    Leibler), on average over rows with the same past."""

    bits: float
    lost_bits: float


def analysis_for(model: Model, spec: Method) -> str | None:
    """A method that makes from audio what `spec` takes."""
    made = (m for m, s in model.methods.items() if s.in_ratio == 1 and not is_looped(model, m)
            and not follows(model, m)
            and (s.out_channels, s.out_ratio) == (spec.in_channels, spec.in_ratio))
    return next(made, None)


def hearing(model: Model) -> Method | None:
    """The first method that takes audio, so that audio can be calibrated with."""
    return next((spec for name, spec in model.methods.items() if spec.in_ratio == 1
                 and not is_looped(model, name) and not follows(model, name)), None)


def follows(model: Model, name: str) -> str | None:
    """The method that draws sound by itself where `name` draws a given one anew; else None."""
    if model.methods[name].role != EFFECT or is_looped(model, name):
        return None
    return next((m for m in model.methods if is_looped(model, m)), None)


@torch.no_grad()
def own_sound(model: Model, name: str, material: Material, held_out: bool) -> Tensor:
    """What a method that follows a sound hears [in_channels, samples]: sound that the float32 model
    drew by itself, and the conditions under which it did."""
    drawing = follows(model, name)
    assert drawing is not None
    spec, wanted = model.methods[drawing], model.methods[name]
    program = lower({drawing: model.graph(drawing)}, model.describe("calibration"))[drawing]
    x = filled(conditions(model, spec, material, held_out), program,
               HELD_OUT_DRAWS if held_out else CALIBRATION_DRAWS)
    audio = made_in_float(model, drawing, program, x)
    given = {"audio": audio[0],
             **{label: np.repeat(row, spec.in_ratio) for label, row in zip(
                 spec.input_labels, x, strict=True)}}
    return torch.from_numpy(np.stack([given[label] for label in wanted.input_labels]))


def made_in_float(model: Model, name: str, program: Program, x: FloatArray) -> FloatArray:
    """What the float32 model makes of `x` [in_channels, frames] in the C runtime."""
    alone = replace(model.describe("calibration"), methods={name: model.methods[name]})
    player = NativeModel(NativeFile.from_bytes(compile_programs({name: program}, alone)))
    made: FloatArray = player.process(name, x[None])[0]
    return made


def sounds(model: Model, description: Description, material: Material, held_out: bool
           ) -> dict[str, Forced]:
    """What every method that reads its own output hears, and what the float32 model then draws."""
    names = [name for name in model.methods if is_looped(model, name)]
    programs = lower({name: model.graph(name) for name in names}, description)
    draws = HELD_OUT_DRAWS if held_out else CALIBRATION_DRAWS
    found = {}
    for name, program in programs.items():
        spec = model.methods[name]
        x = conditions(model, spec, material, held_out)
        if not plays_loops(spec.input_labels):
            x = filled(x, program, draws)
        found[name] = record(program, description, name, x, held_out)
    return found


@torch.no_grad()
def conditions(model: Model, spec: Method, material: Material, held_out: bool,
               frames: int = HELD_OUT_DRAWS) -> FloatArray:
    """What a method that generates hears: the user's arrays, what the model's own analysis makes of
    audio, or rests and steps."""
    if spec.name in material.conditions:
        return material.conditions[spec.name][held_out]
    if plays_loops(spec.input_labels):
        return loop_conditions(spec, model.sample_rate_hz, held_out,
                               HELD_OUT_DRAWS if held_out else CALIBRATION_DRAWS)
    if plays_strokes(spec.input_labels):
        return made_up(spec.input_labels, getattr(model.config, "groups", ()), frames, held_out)
    maker = analysis_for(model, spec)
    if maker is None:
        return steps(spec, frames, seed=int(held_out))
    audio = torch.from_numpy(material.held_out if held_out else material.calibration)
    whole = audio.shape[1] // model.ratio * model.ratio
    made: FloatArray = model.offline(maker, audio[None, :, :whole])[0].numpy()
    return made


def steps(spec: Method, frames: int, seed: int) -> FloatArray:
    """Conditions nobody gave [in_channels, frames]: rests at 0, and steps about as large as
    normalised conditions are."""
    rng = np.random.default_rng(seed)
    x = np.zeros((spec.in_channels, frames), np.float32)
    at = 0
    while at < frames:
        end = at + int(rng.integers(1, LONGEST_STEP))
        if rng.random() > REST_SHARE:
            x[:, at:end] = rng.standard_normal((spec.in_channels, 1))
        at = end
    return x


def conditions_in(folder: Path, spec: Method) -> tuple[FloatArray, FloatArray]:
    """The user's arrays one after the other: two thirds to calibrate with, the rest held out."""
    wanted = (f"arrays of conditions, NAME{CONDITIONS} [{spec.in_channels} channels "
              f"({', '.join(spec.input_labels)}), frames]")
    files = sorted(folder.glob(f"*{CONDITIONS}")) if folder.is_dir() else []
    if not files:
        raise ConfigError(f"--calibrate {folder}: {spec.name} hears no audio, a folder for it "
                          f"holds {wanted}; without --calibrate rests and steps do")
    parts = []
    for file in files:
        try:
            array = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: no array can be read from it ({error})") from None
        if array.ndim != 2 or len(array) != spec.in_channels or not np.isfinite(array).all():
            raise ConfigError(f"{file}: shape {list(array.shape)}, wanted {wanted}, finite")
        parts.append(array.astype(np.float32))
    whole = np.concatenate(parts, axis=1)
    cut = whole.shape[1] * 2 // 3
    if cut < spec.in_frames or whole.shape[1] - cut < spec.in_frames:
        raise ConfigError(f"{folder}: {whole.shape[1]} frames of conditions in all, wanted at "
                          f"least {3 * spec.in_frames}")
    return whole[:, :cut], whole[:, cut:]


def filled(x: FloatArray, program: Program, draws: int) -> FloatArray:
    """Conditions for about so many draws, whole smallest blocks: repeated, or cut."""
    unit = program.input.root.rows
    rows = outermost(program.fed[0].root)[0].rows
    frames = max(1, draws // rows) * unit
    times = -(-frames // max(1, x.shape[1]))
    return np.ascontiguousarray(np.tile(x, times)[:, :frames])


def record(program: Program, description: Description, method: str, x: FloatArray,
           held_out: bool = False) -> Forced:
    """Play conditions `x` [in_channels, frames] and note the draws, or what the loop makes without
    one. `held_out`: other noise in the draws."""
    draw = draw_of(program)
    end_of(program)  # refuses what cannot be played with known rows
    place = program.fed[0]
    with _other_noise(draw, held_out):
        model = probe(program, description, method, place)
    block = max(1, BLOCK_DRAWS // outermost(place.root)[0].rows) * program.input.root.rows
    parts = [model.process(method, np.ascontiguousarray(x[None, :, at : at + block]))[0]
             for at in range(0, x.shape[1], block)]
    return Forced(torch.from_numpy(x), torch.from_numpy(np.concatenate(parts, axis=1)))


@contextmanager
def _other_noise(draw: Node | None, other: bool) -> Iterator[None]:
    """A draw's own seed, another while it lasts."""
    if draw is None:
        yield
        return
    seed = draw.params["seed"]
    draw.params["seed"] = seed + OTHER_NOISE if other else seed
    try:
        yield
    finally:
        draw.params["seed"] = seed


def probe(program: Program, description: Description, method: str, view: View) -> NativeModel:
    """The method in the C runtime, giving what `view` holds instead of its output."""
    spec = description.methods[method]
    rows = outermost(view.root)[0].rows
    shown = replace(
        spec, in_ratio=spec.in_ratio * rows, out_channels=view.channels, out_ratio=spec.ratio,
        output_labels=tuple(map(str, range(view.channels))),
        granularity_samples=spec.ratio * rows)
    alone = replace(description, methods={method: shown})
    nodes = program.nodes
    if outermost(view.root)[0].scale:
        plain = Root(view.channels, view.root.rows)
        nodes = [*nodes, Node("dequantise", "probe/dequantise", [view], plain)]
        view = View(plain, 0, view.channels)
    seen = Program(program.input, view, nodes, program.fed)
    return NativeModel(NativeFile.from_bytes(compile_programs({method: seen}, alone)))


@torch.no_grad()
def loss(program: Program, attributes: Mapping[str, Tensor], heard: Forced
         ) -> tuple[Drawn, Tensor, Tensor]:
    """What fewer bits do to a method's draws; and what both models draw from."""
    draw = draw_of(program)
    assert draw is not None
    exact = Simulator(program, attributes, dtype=torch.float32).run(heard)
    played = Simulator(program, attributes, annotated=True).run(heard)
    layer, counts = draw_layer(draw), ~silence(program, attributes, heard)[0]
    if not counts.any():
        raise ConfigError("nothing sounds under the conditions to compare with: give others with "
                          "--calibrate DIR")
    p, q = (layer.distribution(given[None, :, counts[0]].double()) for given in (exact, played))
    share = p.exp()
    bits = -(share * p).sum(dim=2).mean() / log(2)
    lost = (share * (p - q)).sum(dim=2).mean() / log(2)
    return Drawn(round(float(bits), 5), round(max(0.0, float(lost)), 7)), exact, played


@torch.no_grad()
def silence(program: Program, attributes: Mapping[str, Tensor], heard: Forced
            ) -> tuple[Tensor, Tensor]:
    """Rows of the loop in which its gate lets nothing through [1, rows], and what comes instead."""
    rows = heard.drawn[:1]
    shut, rest = torch.zeros_like(rows, dtype=torch.bool), torch.zeros_like(rows)
    gate = gate_of(program)
    if gate:
        simulator = Simulator(program, attributes, dtype=torch.float32)
        simulator.start(heard)
        given = []
        for at, node in enumerate(program.nodes):
            if node in gate:
                given.append(simulator.real(node.inputs[1]))
            simulator.step(at)
        shut, rest = given[0] == 0, given[1] if len(given) > 1 else rest
    return shut, rest


@torch.no_grad()
def check_draws(program: Program, description: Description, method: str,
                attributes: Mapping[str, Tensor], x: FloatArray, path: Path) -> None:
    """The figures come from a simulation: the file, playing by itself, must draw what the simulated
    model asks for after the same past, and put out what was drawn."""
    draw = draw_of(program)
    assert draw is not None
    x = filled(x, program, CHECKED_DRAWS)
    heard = record(program, description, method, x)
    played = Simulator(program, attributes, annotated=True)
    given = played.run(heard)
    margins = draw_layer(draw).margins(given[None].double(), heard.drawn[None].double(),
                                       {k: v.double() for k, v in attributes.items()}, ACT_ROUNDING)
    output = torch.from_numpy(load(path).process(method, x))
    same = decibels(1.0, error_ratio(played.real(program.output), output))
    shut, rest = silence(program, attributes, heard)
    margins = torch.where(shut, (heard.drawn != rest).to(margins.dtype), margins)
    missed = float(margins.mean())
    if missed > MOST_MISSED or same < SAME_DB:
        raise TudorError(f"{method}: the file plays something else than its own arithmetic says "
                         f"(draws missed by {missed:.2g}, SNR {same:.1f} dB); please report this")
