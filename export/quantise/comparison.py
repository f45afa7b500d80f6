"""A quantised file against the float32 model on audio that it was not calibrated with.

    SNR                  of every method's output, and of every layer's on the way
    spectral distance    to the audio itself, float and quantised (training's one definition)
    lost bits            where output is drawn: how much of a draw's information the quantised
                         model's distribution misses, given the same past

Audio methods hear the audio; a method that takes latents gets those that the model's own encoder
makes of it, attributes standing at their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.description import DECODE, GENERATE, Method
from engine.errors import ConfigError
from engine.models.base import Model
from engine.players.base import Player
from engine.scores.loops import plays_loops
from export.native.export import lower
from export.native.forced import Forced, Signal, first_frames
from export.native.nodes import CONVS, Program
from export.quantise.drawn import (
    Drawn,
    analysis_for,
    conditions,
    follows,
    made_in_float,
    own_sound,
)
from export.quantise.recordings import Material
from export.quantise.sensitivity import (
    AUDIO,
    DRAWN,
    LATENTS,
    Aim,
    alone,
    decibels,
    error_ratio,
    layer_snr_db,
    macs,
)
from export.replay import is_looped
from export.resynthesised import HIGHEST, logarithms, resynthesised
from training.objectives.losses import spectral_distance

FloatArray = NDArray[np.float32]
Signals = Mapping[str, Tensor]
Heard = Mapping[str, Signal]
FREE_FRAMES = 1 << 12  # of conditions that nobody gave


@dataclass(frozen=True)
class Layer:
    """A layer of a method. `snr_db`: of what it writes, after all errors before it (None: not
    known); `alone_db`: of the method's output if this layer alone had fewer bits (None: it has
    as many as in float32)."""

    name: str
    kind: str
    dtype: str
    macs_share: float
    snr_db: float | None
    alone_db: float | None


@dataclass(frozen=True)
class MethodLoss:
    """What a method lost. Distances are None where the output is not audio. `input_peak`: what it
    was calibrated to hear; louder input may be clipped. `drawn`: of a method that draws from what
    it drew before; its SNR is that of what it draws from."""

    method: str
    input_peak: float
    snr_db: float
    aim_db: float
    distance_float32: float | None
    distance: float | None
    drawn: Drawn | None = None
    layers: tuple[Layer, ...] = ()

    @property
    def distance_change(self) -> float | None:
        """Share by which the spectral distance to the audio grew."""
        if self.distance is None or not self.distance_float32:
            return None
        return self.distance / self.distance_float32 - 1


@dataclass(frozen=True)
class Comparison:
    """All methods of one file. `notes`: what the user should know of how it was made."""

    dtype: str
    calibration: str
    held_out_seconds: float
    methods: dict[str, MethodLoss]
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exact: Signals = field(default_factory=dict)  # outputs on the held-out audio, for the picture
    played: Signals = field(default_factory=dict)

    def to_dict(self, layers: bool = True) -> dict[str, Any]:
        """Plain numbers for JSON; endless ones become null."""
        methods = {}
        for name, loss in self.methods.items():
            row = asdict(loss)
            row["distance_change"] = loss.distance_change
            row["layers"] = [_finite(layer) for layer in row["layers"]]
            if not layers:
                del row["layers"]
            methods[name] = _finite(row)
        return {"dtype": self.dtype, "calibration": self.calibration,
                "held_out_seconds": self.held_out_seconds, "kept": list(self.kept),
                "notes": list(self.notes), "methods": methods}


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and v in (inf, -inf) else v for k, v in row.items()}


def aim_of(spec: Method, drawn: bool = False) -> Aim:
    """What a method's output should reach: audio, latents and what is drawn from differ."""
    return DRAWN if drawn else AUDIO if spec.out_ratio == 1 else LATENTS


@torch.no_grad()
def signals(model: Model, material: Material, held_out: bool) -> dict[str, Tensor]:
    """What every method of `model` hears of the audio, [in_channels, frames]; of what generates,
    conditions; of the decoder of a coder inside, what that makes of audio. Not those that read
    their own output: `export.quantise.drawn`."""
    audio = material.held_out if held_out else material.calibration
    whole = audio.shape[1] // model.ratio * model.ratio
    x = torch.from_numpy(audio[:, :whole])
    found: dict[str, Tensor] = {}
    for name, spec in model.methods.items():
        if is_looped(model, name):
            continue
        if follows(model, name):
            found[name] = own_sound(model, name, material, held_out)
            continue
        if spec.in_ratio == 1 and spec.in_channels == len(x):
            found[name] = x
            continue
        maker = analysis_for(model, spec)
        if maker is None and spec.role == GENERATE:
            given = conditions(model, spec, material, held_out, FREE_FRAMES)
            found[name] = torch.from_numpy(given[:, : given.shape[1] // spec.in_frames
                                                 * spec.in_frames])
            continue
        if maker is not None:
            found[name] = model.offline(maker, x[None])[0]
            continue
        made = latents_inside(model, name, x)
        if made is None:
            made = own_latents(model, spec, material, held_out)
        if made is None:
            raise ConfigError(f"{model.family}.{name} takes {spec.in_channels} channels that no "
                              "other method makes from audio: it cannot be calibrated")
        found[name] = made
    return found


def latents_inside(model: Model, name: str, audio: Tensor) -> Tensor | None:
    """What the coder inside makes of `audio` for its method `name` to take back, if it can."""
    inside = model.inside(name)
    if inside is None or not audio.shape[1]:
        return None
    coder, own = inside
    maker = analysis_for(coder, coder.methods[own])
    return None if maker is None else coder.offline(maker, audio[None])[0]


def own_latents(model: Model, spec: Method, material: Material, held_out: bool) -> Tensor | None:
    """Latents that a method makes by itself as `spec` takes them; None if there is none."""
    for name, maker in model.methods.items():
        if plays_loops(maker.input_labels) and (maker.out_channels, maker.out_ratio) == (
                spec.in_channels, spec.in_ratio):
            program = lower({name: model.graph(name)}, model.describe("calibration"))[name]
            x = conditions(model, maker, material, held_out)
            return torch.from_numpy(made_in_float(model, name, program, x))
    return None


@torch.no_grad()
def float_outputs(model: Model, inputs: Signals) -> dict[str, Tensor]:
    """What the float32 model gives: [out_channels, frames] per method."""
    return {name: model.offline(name, x[None])[0] for name, x in inputs.items()}


def played_outputs(player: Player, inputs: Signals) -> dict[str, Tensor]:
    """What a file gives for the same inputs, from fresh state."""
    player.reset()
    return {name: torch.from_numpy(player.process(name, x.numpy())) for name, x in inputs.items()}


def heard_seconds(model: Model, inputs: Heard) -> float:
    """How long the longest of what methods hear is."""
    heard = {name: x.x if isinstance(x, Forced) else x for name, x in inputs.items()}
    return round(max(x.shape[1] * model.methods[name].in_ratio for name, x in heard.items())
                 / model.sample_rate_hz, 1)


def peaks(inputs: Heard) -> dict[str, float]:
    """Largest magnitude of what every method hears."""
    heard = {name: x.x if isinstance(x, Forced) else x for name, x in inputs.items()}
    return {name: round(float(x.abs().max()), 4) for name, x in heard.items()}


def compare(model: Model, audio: FloatArray, heard: Mapping[str, float],
            exact: Mapping[str, Tensor], played: Mapping[str, Tensor], auto: bool,
            layers: Mapping[str, tuple[Layer, ...]] | None = None,
            drawn: Mapping[str, Drawn] | None = None) -> dict[str, MethodLoss]:
    """SNR and spectral distance of every method. `heard`: `peaks` of the calibration; `drawn`: of
    those whose `exact` and `played` are what they draw from."""
    losses, drawn = {}, drawn or {}
    for name, spec in model.methods.items():
        if name not in exact or resynthesised(model, name):
            continue
        aim = aim_of(spec, name in drawn)
        distances: tuple[float | None, float | None] = (None, None)
        if (spec.out_ratio == 1 and audio.shape[1] and name not in drawn
                and spec.role != GENERATE and not follows(model, name)):
            distances = (_distance(model, name, exact[name], audio),
                         _distance(model, name, played[name], audio))
        pair = exact[name], played[name]
        logs = logarithms(model, name)
        if logs:
            pair = tuple(y[:logs].clamp(max=HIGHEST).exp() for y in pair)  # type: ignore[assignment]
        snr = decibels(1.0, error_ratio(*pair))
        losses[name] = MethodLoss(name, heard[name], round(snr, 2),
                                  aim.kept if auto else aim.plain, *distances,
                                  drawn.get(name), (layers or {}).get(name, ()))
    return losses


def _distance(model: Model, method: str, output: Tensor, audio: FloatArray) -> float:
    """Spectral distance of an output to the audio, its delay taken away. From latents, the delay
    is that of encoding too: the whole model's."""
    spec = model.methods[method]
    late = spec.lookahead_samples
    if spec.role == DECODE:
        late = (model.inside(method) or (model,))[0].main.lookahead_samples
    whole = output[:, late:].float()
    target = torch.from_numpy(audio[:, : whole.shape[1]])
    if whole.shape != target.shape:
        raise ConfigError(f"{method} gives {len(output)} channels, the audio has {len(audio)}")
    return float(spectral_distance(whole, target))


def layer_table(programs: Mapping[str, Program], attributes: Mapping[str, Tensor],
                inputs: Heard) -> dict[str, tuple[Layer, ...]]:
    """Every layer of every method that no other method holds whole (encode and decode, but not
    forward, which is both)."""
    names = {m: {n.name for n in p.nodes if n.kind in CONVS} for m, p in programs.items()}
    found = {}
    for method, program in programs.items():
        parts: set[str] = set().union(*(names[m] for m in names if names[m] < names[method]))
        if parts == names[method]:
            continue
        found[method] = _layers(program, attributes, inputs[method])
    return found


def _layers(program: Program, attributes: Mapping[str, Tensor], signal: Signal
            ) -> tuple[Layer, ...]:
    from export.native.simulate import Simulator

    snr = layer_snr_db(program, attributes, signal)
    rows = program.input.root.rows
    frames = (signal.x if isinstance(signal, Forced) else signal).shape[1]
    short = first_frames(signal, max(rows, frames // 4 // rows * rows))
    exact = Simulator(program, attributes, dtype=torch.float32).run(short)
    by_name = {item.name: item.snr_db for item in alone(program, attributes, short, exact)}
    work = {node.name: macs(node, program) for node in program.nodes if node.kind in CONVS}
    total = sum(work.values()) or 1.0
    return tuple(
        Layer(node.name, node.kind, node.dtype if node.kind in CONVS else "",
              work.get(node.name, 0.0) / total, snr[node.name],
              round(by_name[node.name], 2) if node.name in by_name else None)
        for node in program.nodes
    )
