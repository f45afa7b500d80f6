"""Which layers a quantised model loses its accuracy in, and which few should keep int16 weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf, log10

import numpy as np
import torch
from torch import Tensor

from export.native.forced import Signal
from export.native.nodes import CONVS, Node, Program
from export.native.simulate import Simulator
from export.quantise.scales import Choices, Programs, Signals, find_weights

MARGIN_DB = 2.0  # above the aims: by so much does SNR differ from one stretch of music to another
MOST_ROUNDS = 8
SAME_DB = 40.0  # a file and its simulation differ in the last bit of an activation, not in more


@dataclass(frozen=True)
class Aim:
    """SNR in dB that a method's output should have; where it is drawn, what it is drawn from."""

    plain: float
    kept: float  # with --keep auto


LATENTS, AUDIO, DRAWN = Aim(28.0, 35.0), Aim(24.0, 30.0), Aim(24.0, 34.0)


@dataclass(frozen=True)
class Alone:
    """What rounding one layer's weights does to a method's output when all others stay float."""

    name: str
    noise: float  # power of the error over power of the output
    macs: float  # per row of the method's input

    @property
    def snr_db(self) -> float:
        return decibels(1.0, self.noise)


def decibels(signal: float, noise: float) -> float:
    """10 log10 of a ratio of powers; `inf` without noise."""
    return inf if noise <= 0 else -inf if signal <= 0 else 10 * log10(signal / noise)


def macs(node: Node, program: Program) -> float:
    """Multiply-accumulates of a convolution per row of the method's input."""
    rows = node.out.rows if node.phases == 1 else node.out.rows // node.phases
    return sum(w.size for w, _ in node.runs) * rows / program.input.root.rows


def alone(program: Program, attributes: Mapping[str, Tensor], signal: Signal,
          float_output: Tensor) -> list[Alone]:
    """Every convolution with rounded weights by itself, on `signal`; `float_output`: what the float
    model gives for it."""
    power = float(float_output.double().square().mean()) or 1.0
    with _only(program, ()):
        rest = Simulator(program, attributes, annotated=True).run(signal)
    found = []
    for node in program.nodes:
        if is_rounded(node):
            with _only(program, (node,)):
                y = Simulator(program, attributes, annotated=True).run(signal)
            noise = float((y.double() - rest.double()).square().mean())
            found.append(Alone(node.name, noise / power, macs(node, program)))
    return found


def is_rounded(node: Node) -> bool:
    """Whether the file holds its weights in fewer bits than float32."""
    return node.kind in CONVS and node.dtype != "float32"


@contextmanager
def _only(program: Program, nodes: Iterable[Node]) -> Iterator[None]:
    """All convolutions but these play their float weights."""
    held = [(node, node.integers, node.dtype) for node in program.nodes if node not in nodes]
    for node, _, _ in held:
        node.integers, node.dtype = [], "float32"
    try:
        yield
    finally:
        for node, integers, dtype in held:
            node.integers, node.dtype = integers, dtype


def keep_auto(programs: Programs, attributes: Mapping[str, Tensor], signals: Signals,
              choices: Choices, aims: Mapping[str, float], wide: set[str]) -> set[str]:
    """Layers to keep at int16 weights so that every method is above its aim on `signals`, those
    first that remove the most noise per MAC; `wide` are kept already. Weights are found when this
    returns.

    When all that can be widened is and an aim is still missed, that is the answer."""
    whole = {m: Simulator(p, attributes, dtype=torch.float32).run(signals[m])
             for m, p in programs.items() if m in aims}
    ranked: dict[str, list[Alone]] = {}
    for _ in range(MOST_ROUNDS):
        short = {m: noise_ratio(programs[m], attributes, signals[m], whole[m]) for m in whole}
        short = {m: noise for m, noise in short.items()
                 if decibels(1.0, noise) < aims[m] + MARGIN_DB}
        before = len(wide)
        for method, noise in short.items():
            if method not in ranked:
                ranked[method] = alone(programs[method], attributes, signals[method], whole[method])
            wide |= _enough(ranked[method], noise, 10 ** (-(aims[method] + MARGIN_DB) / 10),
                            wide | set(choices.refused))
        if len(wide) == before:
            break
        find_weights(programs, attributes, signals, choices, wide)
        wide -= set(choices.refused)
    return wide


def _enough(layers: list[Alone], noise: float, allowed: float, taken: set[str]) -> set[str]:
    """The layers with the most noise per MAC that bring `noise` down to `allowed`, and of these
    none that the others do not need."""
    chosen: list[Alone] = []
    for layer in sorted(layers, key=lambda item: -item.noise / item.macs):
        if noise <= allowed:
            break
        if layer.name not in taken and layer.noise > 0:
            chosen.append(layer)
            noise -= layer.noise
    for layer in sorted(chosen, key=lambda item: item.noise):
        if noise + layer.noise <= allowed:
            chosen.remove(layer)
            noise += layer.noise
    return {layer.name for layer in chosen}


def noise_ratio(program: Program, attributes: Mapping[str, Tensor], signal: Signal,
                exact: Tensor) -> float:
    """Power of the error of the quantised method over the power of `exact`, the float output."""
    played = Simulator(program, attributes, annotated=True).run(signal)
    return error_ratio(exact, played)


def error_ratio(exact: Tensor, played: Tensor) -> float:
    """Power of the difference over power of `exact`."""
    power = float(exact.double().square().mean())
    noise = float((played.double() - exact.double()).square().mean())
    return noise / power if power > 0 else (inf if noise > 0 else 0.0)


def layer_snr_db(program: Program, attributes: Mapping[str, Tensor], signal: Signal
                 ) -> dict[str, float]:
    """SNR of what each node writes in the quantised method: all errors up to there together."""
    seen: list[list[Tensor]] = [[], []]
    watchers = [lambda node, y, held=held: held.append(y) for held in seen]
    exact = Simulator(program, attributes, dtype=torch.float32, watch=watchers[0])
    played = Simulator(program, attributes, annotated=True, watch=watchers[1])
    exact.start(signal)
    played.start(signal)
    found: dict[str, float] = {}
    for at, node in enumerate(program.nodes):
        exact.step(at)
        played.step(at)
        found[node.name] = float(np.round(decibels(1.0, error_ratio(seen[0].pop(),
                                                                   seen[1].pop())), 2))
    return found
