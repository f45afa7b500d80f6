"""q16x8: scales for rows, whole-numbered weights, corrected biases, for all methods of a model.

    cast     every method's nodes get their quantise and dequantise operations
    ranges   the float model plays the calibration signals; each root keeps a sample of its numbers
    weights  float and quantised model play side by side; each convolution's weights are rounded
             with the inputs that it will really get, and its mean error goes into its bias

What two methods share (encode within forward) is decided once, so that a file holds it once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine.errors import ConfigError
from export.native.casts import Key, insert_casts, root_keys
from export.native.forced import Signal
from export.native.integers import Rounded, to_integers, with_bias
from export.native.nodes import CONVS, Integers, Node, Program, Root, outermost
from export.native.simulate import Simulator
from export.native.sums import run_patches

HEADROOM = 2.0  # what plays may be 6 dB louder than what was heard: 16 bits have the room
PERCENTILES = (100.0, 99.9999, 99.999, 99.99, 99.9)
INT16_LARGEST = 32767.0
LEAST_SCALE = 2.0**-40  # what the file format allows
KEPT_SAMPLES = 200_000  # of each root, per method
KEPT_FRAMES = 8192  # at which the products of inputs are averaged
Signals = Mapping[str, Signal]  # per method, [in_channels, time], and what its loop drew
Programs = Mapping[str, Program]


@dataclass
class Choices:
    """What was decided, by name, and what is worth telling."""

    scales: dict[Key, float] = field(default_factory=dict)
    weights: dict[tuple[object, ...], list[Integers]] = field(default_factory=dict)
    shrunk: dict[str, int] = field(default_factory=dict)  # outputs of a layer with coarser steps
    refused: list[str] = field(default_factory=list)  # layers whose 16-bit sums do not fit


def cast(programs: Programs, plain: Collection[str] = ()) -> None:
    """Put the casts into every method, in place. `plain`: convolutions that stay float32."""
    for program in programs.values():
        insert_casts(program, plain)


def find_scales(programs: Programs, attributes: Mapping[str, Tensor], signals: Signals) -> Choices:
    """Play the calibration signals and give every int16 root its scale. Only channels that are
    read have a say in it: a count that stands beside, and that a table reads from rows of float32,
    would leave its steps to all the others."""
    seen: dict[Key, list[Tensor]] = {}
    for method, program in programs.items():
        keys, read = root_keys(program), read_channels(program)

        def watch(node: Node, y: Tensor, keys: dict[Root, Key] = keys,
                  read: dict[Root, Tensor] = read) -> None:
            top, first = outermost(node.out)
            if top.scale:
                heard = y[read[top][first : first + node.out.channels]]
                if not len(heard):
                    return
                flat = heard.abs().reshape(-1)
                stride = max(1, flat.numel() // KEPT_SAMPLES)
                largest = flat.max().reshape(1)
                seen.setdefault(keys[top], []).append(torch.cat([flat[::stride], largest]))

        Simulator(program, attributes, dtype=torch.float32, watch=watch).run(signals[method])
    choices = Choices({key: best_scale(torch.cat(parts)) for key, parts in seen.items()})
    for program in programs.values():
        for root, key in root_keys(program).items():
            if root.scale:
                root.scale = choices.scales[key]
    return choices


def read_channels(program: Program) -> dict[Root, Tensor]:
    """Of each outermost root that an operation writes, which channels anything reads [channels]:
    all of them, if nothing does."""
    tops = {outermost(node.out)[0] for node in program.nodes}
    found = {top: torch.zeros(top.channels, dtype=torch.bool) for top in tops}
    views = [view for node in program.nodes for view in node.reads()]
    for view in [*views, program.output, *program.fed]:
        top, first = outermost(view.root)
        if top in found:
            found[top][first + view.first : first + view.first + view.channels] = True
    return {top: marks if marks.any() else torch.ones_like(marks) for top, marks in found.items()}


def best_scale(magnitudes: Tensor) -> float:
    """int16 scale with the least squared error (rounding and clipping) over the percentiles of
    what was heard, played a little louder."""
    louder = magnitudes.double() * HEADROOM
    best, least = 1.0 / INT16_LARGEST, float("inf")
    if not louder.any():
        return best
    for limit in np.percentile(louder.numpy(), PERCENTILES):
        step = max(float(limit) / INT16_LARGEST, LEAST_SCALE)
        error = float((louder - step * INT16_LARGEST).clamp_min(0).square().mean()) + step**2 / 12
        if error < least:
            best, least = step, error
    return float(np.float32(best))


def find_weights(programs: Programs, attributes: Mapping[str, Tensor], signals: Signals,
                 choices: Choices, wide: Iterable[str] = (),
                 narrow: Callable[[Node], bool] = lambda _: True) -> None:
    """Integer weights for every convolution, layer by layer. `wide`: names of those that keep
    int16 weights. Convolutions for which `narrow` is false keep float weights: no file plays that,
    it tells what one layer does alone."""
    choices.weights.clear()
    for method, program in programs.items():
        sums: list[Tensor] = [torch.empty(0)]

        def before(_: Node, y: Tensor, sums: list[Tensor] = sums) -> None:
            sums[0] = y

        exact = Simulator(program, attributes, dtype=torch.float32, before=before)
        played = Simulator(program, attributes, annotated=True)
        for numbers in (exact, played):
            numbers.start(signals[method])
        for at, node in enumerate(program.nodes):
            exact.step(at)
            integer = all(played.scale_of(view.root) for view in node.inputs)
            if node.kind in CONVS and integer and narrow(node):
                key = (node.name, *(played.scale_of(view.root) for view in node.inputs))
                if key not in choices.weights:
                    _round(node, played, choices, node.name in set(wide))
                    _correct(node, sums[0], played.sums(node))
                    choices.weights[key] = node.integers
                node.integers = choices.weights[key]
                node.dtype = "int8" if len(node.integers[0].planes) == 1 else "int16"
            played.step(at)


def _round(node: Node, played: Simulator, choices: Choices, wide: bool) -> None:
    """Weights of one convolution from the inputs it gets in the quantised model."""
    inputs = [played.window(view).double() for view in node.inputs]
    counts = [len(weight) for weight, _ in node.runs]
    side = 0 if len(inputs) == 1 else len(inputs[1])
    scales = np.concatenate([
        np.full(counts[0] - side, played.scale_of(node.inputs[0].root)),
        np.full(side, played.scale_of(node.inputs[-1].root)),
    ])

    def all_runs(wide: bool) -> list[Rounded]:
        return [to_integers(weight, bias, scales, _moments(node, index, inputs), wide)
                for index, (weight, bias) in enumerate(node.runs)]

    done = all_runs(wide)
    if wide and not all(run.fits for run in done):
        choices.refused.append(node.name)
        done = all_runs(False)
    if not all(run.fits for run in done):
        raise ConfigError(f"{node.name}: its sums do not fit into 32 bits, whatever the scale of "
                          "its weights; export with --dtype bf16w or float32")
    if any(run.shrunk for run in done):
        choices.shrunk[node.name] = sum(run.shrunk for run in done)
    node.integers = [run.integers for run in done]


def _moments(node: Node, index: int, inputs: list[Tensor]) -> Tensor:
    """Mean products of the inputs of a run's weights, [inputs, inputs]."""
    frames = inputs[0].shape[1] // node.params["stride"]
    at = torch.arange(0, frames, max(1, frames // KEPT_FRAMES))
    patches = run_patches(node, index, inputs, at)
    if patches.ndim == 3:  # depthwise: one filter per channel, one average for all
        return (patches @ patches.transpose(1, 2)).mean(dim=0) / len(at)
    return patches @ patches.T / len(at)


def _correct(node: Node, exact: Tensor, played: Tensor) -> None:
    """Add the mean error of each output [channels, time] to the biases."""
    mean = (exact.double() - played.double()).mean(dim=1).numpy()
    size = len(mean) // node.params["groups"]
    for index, run in enumerate(node.integers):
        if node.kind == "depthwise":
            change = mean
        elif node.params["groups"] == 1:
            change = np.tile(mean, node.phases)
        else:
            group = index // node.phases
            change = mean[group * size : (group + 1) * size]
        node.integers[index] = with_bias(run, change)
