"""What is saved of a flow of loops says louder what it was told than what was learnt does.

    plans        further apart: mean + contrast (plan - mean), but for controls (pitch, clarity)
    chunks       hear a little less of those before: what is to repeat then does
    latents      as much spread as those learnt from have
    knobs        what is heard is in the mean what `brightness` and `loudness` ask for

A plan is the mean of all loops that what it is told may mean: what code, place and knobs change in
it is small beside what is drawn, and every loop sounds like every other. So it is moved away from
what all plans have in common, as guidance does (Ho and Salimans 2022), here once for all in the
weights. Few long steps fall short of the spread of latents, which is heard as a lower level.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import ConfigError
from engine.layers import Conv1d
from engine.models.latent_flow import LatentFlow
from engine.models.loops_config import VARIATION
from engine.models.store import load_model
from engine.scores.loops import CODE, KNOBS, PHASE, USUAL_BPM, bar_seconds
from training.evaluation.loop_measures import measured_knobs
from training.objectives.loop_knobs import knobs_of

Array = NDArray[np.float64]
MOST_CONTRAST = 4.0
LOOPS, CHUNKS = 32, 48  # in which all is measured
HEARD_CHUNKS, TURNED_LOOPS = 24, 8  # of these as sound, and with a knob turned: it takes longer
GAINS = (1.0, 1.5)  # by which latents are made to vary more: never less, for that blurs plans
CONTROL_GAINS = (0.7, 1.5)  # of controls, whose plans stay as they are
BEFORE = 0.93  # of the chunk before is heard: a flow that hears all of it may wander off by itself
MATCHED = ("brightness", "loudness")  # knobs; density is too coarse a count to go by
MOST_OFFSET = 1.5  # standard deviations of a knob
LEAST_SLOPE = 0.1  # standard deviations for one: a knob that does less is not obeyed


def finished_flow(model: LatentFlow, knobs: Tensor, contrast: float) -> LatentFlow:
    """A copy, fit to be saved. `knobs`: what each stands at in the mean of what was learnt from."""
    copy = deepcopy(model).eval()
    rows = rows_of_all(copy, knobs)
    set_apart(copy, rows, contrast)
    hear_less_of_before(copy)
    match_spread(copy, rows)
    match_knobs(copy, rows)
    return copy


def begin_as_learnt(model: LatentFlow, source: str) -> None:
    """Plans of weights of `source`, a run or preset, about as far apart as they were learnt: what
    goes on with weights that were saved sets them apart once, not twice."""
    contrast = load_model(source).settings["training"].get("plan_contrast", 1.0)
    if not isinstance(contrast, (int, float)) or not 1 <= contrast <= MOST_CONTRAST:
        raise ConfigError(f"{source}: training.plan_contrast is a number of 1 to "
                          f"{MOST_CONTRAST:g}, got {contrast!r}")
    set_apart(model, rows_of_all(model, torch.zeros(len(KNOBS))), 1 / contrast)


def rows_of_all(model: LatentFlow, knobs: Tensor) -> Tensor:
    """Conditions [loops, conditions, chunks] of loops with codes of the whole box; noise is new in
    every bar. `knobs`: what each stands at in the mean; their squares are 1 in the mean."""
    config = model.config
    rng = torch.Generator().manual_seed(0)
    rows = torch.zeros(LOOPS, len(config.labels), CHUNKS)
    turn = config.row_samples / config.sample_rate_hz / bar_seconds(USUAL_BPM)
    start = torch.rand(LOOPS, 1, generator=rng)
    rows[:, config.place(PHASE)] = (start + turn * torch.arange(CHUNKS)) % 1
    rows[:, config.place(VARIATION)] = 1
    at = config.place(KNOBS[0])
    rows[:, at : at + len(KNOBS)] = (knobs.cpu() + (1 - knobs.cpu().square()).sqrt() * torch.randn(
        LOOPS, len(KNOBS), generator=rng))[..., None]
    at = config.place(CODE)
    rows[:, at : at + config.codes] = 2 * torch.rand(LOOPS, config.codes, 1, generator=rng) - 1
    return rows.to(next(model.parameters()).device)


@torch.no_grad()
def set_apart(model: LatentFlow, rows: Tensor, contrast: float) -> None:
    """Each mean that plans of `rows` give to latents: `contrast` times as far from the mean of all;
    what they say of controls, which are facts, and of the latents' spread stays."""
    said = model.planned(rows)[2]
    spelt = next(part for part in model.spelt_out.modules() if isinstance(part, Conv1d))
    assert spelt.bias is not None
    more = torch.where(is_control(model), 1.0, contrast).repeat(model.config.chunk)
    means = slice(0, len(more))
    spelt.weight[means] *= more[:, None, None]
    spelt.bias[means] += (more - 1) * (spelt.bias[means] - said.mean(dim=(0, 2)))


@torch.no_grad()
def hear_less_of_before(model: LatentFlow) -> None:
    """`BEFORE` of the chunk before, so that differences in what was drawn die away: of one code in
    twelve bars that were to be the same went on to differ by a third of the variance."""
    size = model.config.chunk * model.config.latents
    front = model.history_front
    front.weight[:, -size:] *= BEFORE


@torch.no_grad()
def match_spread(model: LatentFlow, rows: Tensor) -> None:
    """Latents of `rows`: mean 0 and variance 1 of each, before they are the coder's again, as
    those learnt from have; as far as `GAINS` go."""
    made = model.made
    z = made.taken_back(model.latents_of(rows))
    mean, std = z.mean(dim=(0, 2)), z.std(dim=(0, 2)).clamp_min(1e-3)
    gain = torch.where(is_control(model), std.reciprocal().clamp(*CONTROL_GAINS),
                       std.reciprocal().clamp(*GAINS))
    scale, bias = made.weight[:, 0, 0], made.bias
    assert bias is not None
    made.set(scale * gain, bias + scale * mean * (1 - gain))


@torch.no_grad()
def match_knobs(model: LatentFlow, rows: Tensor) -> None:
    """What is heard of loops of `rows` is in the mean what the knobs of `MATCHED` ask for: on their
    way into the plan each gets an offset, `MOST_OFFSET` at most.

        heard = a + J asked          J by the same loops with one knob a standard deviation higher
    """
    if model.codec is None:
        return
    reads = next(iter(model.plan))
    assert isinstance(reads, Conv1d)
    assert reads.bias is not None
    rows = rows[..., :HEARD_CHUNKS]
    some = rows[:TURNED_LOOPS]
    told, before = model.features(some, ())[0], heard_knobs(model, some)
    ways, slopes = [], []
    for knob in MATCHED:
        more = some.clone()
        more[:, model.config.place(knob)] += 1
        ways.append((model.features(more, ())[0] - told)[0, :, 0])
        slopes.append(heard_knobs(model, more) - before)
    slope = np.stack(slopes, axis=1)  # [heard, asked]
    if (slope.diagonal() < LEAST_SLOPE).any() or np.linalg.cond(slope) > 1 / LEAST_SLOPE:
        return  # knobs that are not obeyed yet
    offset = np.linalg.solve(slope, asked_knobs(model, rows) - heard_knobs(model, rows))
    for way, part in zip(ways, offset.clip(-MOST_OFFSET, MOST_OFFSET), strict=True):
        reads.bias.add_(float(part) * reads.weight[:, :, 0] @ way)


def is_control(model: LatentFlow) -> Tensor:
    """Of each number of a frame of latents: whether it is a control (`Coded.controls`)."""
    every = torch.arange(model.config.latents, device=model.knob_units.device)
    return every >= (len(every) if model.codec is None else model.codec.latent_count)


def heard_knobs(model: LatentFlow, rows: Tensor) -> Array:
    """Of loops of `rows`: what is heard of each knob of `MATCHED`, in its standard deviations, mean
    over the loops."""
    sounds = model.sound_of(model.latents_of(rows)).mean(dim=1).cpu().numpy()
    heard = measured_knobs(list(sounds), model.sample_rate_hz)
    middle, unit = model.knob_units.cpu().double().numpy()
    return np.array([np.nanmean(heard[knob] - middle[KNOBS.index(knob)]) / unit[KNOBS.index(knob)]
                     for knob in MATCHED])


def asked_knobs(model: LatentFlow, rows: Tensor) -> Array:
    """What is asked for in its place."""
    asked = knobs_of(rows, model.config).mean(dim=0).cpu().double().numpy()
    return asked[[KNOBS.index(knob) for knob in MATCHED]]
