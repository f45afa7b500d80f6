"""Trained model -> native file in fewer bits: bf16w or q16x8, with what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.description import Description
from engine.errors import ConfigError, TudorError, nearest
from engine.models.base import Model
from engine.models.rest import from_zeros
from engine.players.base import load
from export.native.export import compile_model, compile_programs, lower, write_native
from export.native.forced import Signal, draw_of
from export.native.nodes import CONVS, Node, Program, Root, outermost
from export.native.simulate import Simulator
from export.quantise.calibration import Request
from export.quantise.comparison import (
    Comparison,
    aim_of,
    compare,
    float_outputs,
    heard_seconds,
    layer_table,
    peaks,
    played_outputs,
    signals,
)
from export.quantise.drawn import Drawn, check_draws, loss, record, sounds
from export.quantise.loops import both, check_rows
from export.quantise.scales import cast, find_scales, find_weights
from export.quantise.sensitivity import SAME_DB, decibels, error_ratio, keep_auto, macs
from export.quantise.settings import through_range
from export.resynthesised import resynthesised

MOST_LOST = 0.02  # of spectral distance, before audio is written by float32 layers after all


def export_quantised(model: Model, path: Path, description: Description,
                     request: Request) -> Comparison:
    """Write `model` to `path` in `request.dtype`, and compare it with float32 on held-out audio,
    and on held-out draws where a method reads its own.

    All is calibrated and compared from zeros; the state to start in is written last, for it is
    found by playing the file."""
    final, model = model, from_zeros(model)
    material = request.material
    heard: dict[str, Signal] = {**signals(model, material, held_out=False),
                                **sounds(model, description, material, held_out=False)}
    made = _rounded(model, description, heard, request)
    write_native(path, compile_programs(made.programs, description))
    if request.dtype == "q16x8" and request.keep != ("none",) and "audio" not in request.keep:
        lost = _distance_lost(model, path, heard, request)
        if lost > MOST_LOST:
            request.tell("once more, with float32 where audio is written")
            made = _rounded(model, description, heard,
                            replace(request, keep=(*request.keep, "audio")))
            made.notes.append(f"16-bit rows there added {100 * lost:.1f} % to the spectral "
                              "distance on the calibration audio (--keep none leaves them)")
            write_native(path, compile_programs(made.programs, description))
    comparison = _compared(model, path, description, request, made, peaks(heard))
    write_native(path, compile_model(final, made.programs, description))
    return comparison


def _compared(model: Model, path: Path, description: Description, request: Request,
              made: Rounded, heard: Mapping[str, float]) -> Comparison:
    request.tell("comparing with float32 on held-out audio")
    material, attributes = request.material, model.default_attributes()
    audio = material.held_out
    inputs = signals(model, material, held_out=True)
    drawn = sounds(model, description, material, held_out=True)
    exact, played = float_outputs(model, inputs), played_outputs(load(path), inputs)
    _check_simulation(made.programs, attributes,
                      {m: x for m, x in inputs.items() if not resynthesised(model, m)}, played)
    losses: dict[str, Drawn] = {}
    for name, sound in drawn.items():
        program, x = made.programs[name], sound.x.numpy()
        if draw_of(program) is None:
            own = record(program, description, name, x)
            check_rows(program, name, attributes, own, path)
            exact[name], played[name] = both(program, attributes, sound)
        else:
            check_draws(program, description, name, attributes, x, path)
            losses[name], exact[name], played[name] = loss(program, attributes, sound)
    layers = layer_table(made.programs, attributes, {**inputs, **drawn})
    methods = compare(model, audio, heard, exact, played, request.auto, layers, losses)
    return Comparison(request.dtype, material.source, heard_seconds(model, {**inputs, **drawn}),
                      methods, made.kept, tuple(made.notes), exact, played)


@dataclass
class Rounded:
    """Programs with weights in fewer bits; the layers that keep more; what is worth a note."""

    programs: dict[str, Program]
    kept: tuple[str, ...]
    notes: list[str]


def _rounded(model: Model, description: Description, heard: Mapping[str, Signal],
             request: Request) -> Rounded:
    programs = lower({m: model.graph(m) for m in description.methods}, description)
    notes = list(request.material.notes)
    if request.dtype == "bf16w":
        kept = _bfloat16(programs, model, request)
    else:
        attributes = through_range(model.default_attributes(), description.attributes, programs)
        kept = _q16x8(programs, model, attributes, heard, request, notes)
    return Rounded(programs, kept, notes)


def _distance_lost(model: Model, path: Path, signal: Mapping[str, Signal], request: Request
                   ) -> float:
    """Share by which the spectral distance of the worst method grew on the calibration audio."""
    heard = {name: x for name, x in signal.items() if isinstance(x, Tensor)}
    exact, played = float_outputs(model, heard), played_outputs(load(path), heard)
    losses = compare(model, request.material.calibration, peaks(heard), exact, played, request.auto)
    return max((loss.distance_change or 0.0 for loss in losses.values()), default=0.0)


def _bfloat16(programs: Mapping[str, Program], model: Model, request: Request) -> tuple[str, ...]:
    """Convolutions get bfloat16 weights, but for the small ones next to audio; recurrent layers
    stay as they are."""
    if request.keep:
        raise ConfigError("--keep is for q16x8 and int8; bf16w keeps the layers next to audio")
    kept = audio_layers(programs, model, reading=True) | _exact(programs)
    for program in programs.values():
        for node in program.nodes:
            if node.kind in CONVS and node.name not in kept:
                node.dtype = "bfloat16"
    return tuple(sorted(kept))


def _q16x8(programs: Mapping[str, Program], model: Model, attributes: Mapping[str, Tensor],
           inputs: Mapping[str, Signal], request: Request, notes: list[str]) -> tuple[str, ...]:
    """Scales and integer weights; returns the layers that keep 16 bits."""
    audio = audio_layers(programs, model)
    plain = audio if "audio" in request.keep else set()
    wide = _named(programs, request.names)
    if not plain and request.keep != ("none",):
        wide |= audio
    cast(programs, plain | _exact(programs))
    request.tell(f"finding the ranges of all rows with {request.material.source}")
    choices = find_scales(programs, attributes, inputs)
    request.tell("rounding weights")
    find_weights(programs, attributes, inputs, choices, wide)
    if request.auto:
        request.tell("choosing layers to keep at int16 weights")
        aims = {name: aim_of(spec, draw_of(programs[name]) is not None).kept
                for name, spec in model.methods.items() if not resynthesised(model, name)}
        wide = keep_auto(programs, attributes, inputs, choices, aims, wide)
    notes += [f"{name}: {count} outputs take coarser steps, so that their sums fit into 32 bits"
              for name, count in sorted(choices.shrunk.items())]
    notes += [f"{name}: stays at int8, too many inputs for sums of 16-bit weights in 32 bits"
              for name in sorted(set(choices.refused))]
    kept = wide - set(choices.refused) - plain
    if plain:
        notes.append(f"float32, and so are the rows they read: {', '.join(sorted(plain))}")
    if kept:
        notes.append(_share(programs, kept))
    return tuple(sorted(kept | plain))


def _exact(programs: Mapping[str, Program]) -> set[str]:
    """Convolutions whose weights are constants, such as a piano roll: they stay float32."""
    return {node.name for program in programs.values() for node in program.nodes if node.exact}


def audio_layers(programs: Mapping[str, Program], model: Model, reading: bool = False) -> set[str]:
    """Convolutions that write audio, or what it is drawn from, nothing but activations and sums
    behind them: their errors spread over the whole spectrum and no later layer hides them.
    `reading`: also those that hear audio first. Mostly they are filter banks."""
    found: set[str] = set()
    for method, program in programs.items():
        spec = model.methods[method]
        if spec.out_ratio == 1:
            found |= _nearest(reversed(program.nodes), program.output.root, backwards=True)
        if reading and spec.in_ratio == 1:
            found |= _nearest(program.nodes, program.input.root, backwards=False)
    return found


def _nearest(nodes: Iterable[Node], root: Root, backwards: bool) -> set[str]:
    """The convolutions next to `root`, up or down the stream, past whatever is none."""
    found, reached = set(), {outermost(root)[0]}
    for node in nodes:
        writes, reads = [node.out], [view.root for view in node.reads()]
        here, there = (writes, reads) if backwards else (reads, writes)
        if not reached & {outermost(r)[0] for r in here}:
            continue
        if node.kind in CONVS:
            found.add(node.name)
        else:
            reached |= {outermost(r)[0] for r in there}
    return found


def _named(programs: Mapping[str, Program], keep: tuple[str, ...]) -> set[str]:
    """The layers of --keep, each known."""
    known = {node.name for p in programs.values() for node in p.nodes if node.kind in CONVS}
    for name in keep:
        if name not in known:
            raise ConfigError(f"--keep {name}: no layer has that name{nearest(name, known)}")
    return set(keep)


def _share(programs: Mapping[str, Program], kept: set[str]) -> str:
    """What keeping costs: each multiplication by a 16-bit weight is two by 8-bit ones."""
    parts = []
    for method, program in programs.items():
        convs = [node for node in program.nodes if node.kind in CONVS]
        extra = sum(macs(node, program) for node in convs if node.name in kept)
        parts.append(f"{method} {100 * extra / sum(macs(node, program) for node in convs):.0f} %")
    return f"layers kept at int16 weights add MACs: {', '.join(parts)}"


@torch.no_grad()
def _check_simulation(programs: Mapping[str, Program], attributes: Mapping[str, Tensor],
                      inputs: Mapping[str, Tensor], played: Mapping[str, Tensor]) -> None:
    """The figures per layer come from a simulation: it must be what the file plays. `inputs`: of
    methods that can be compared so."""
    for name, x in inputs.items():
        simulated = Simulator(programs[name], attributes, annotated=True).run(x)
        same = decibels(1.0, error_ratio(simulated, played[name]))
        if same < SAME_DB:
            raise TudorError(f"{name}: the file plays something else than its own arithmetic says "
                             f"(SNR {same:.1f} dB); please report this")
