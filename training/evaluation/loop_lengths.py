"""What the length of a code costs and gives: one for a window of latents, or 2, 4, ... of them
(document 003, section 4.2: a representation of any length down to a single point).

    held-out loops -> codes of each length -> plan -> likelihood      more codes tell more
                   made-up codes of each length -> sounds -> MMD      and are harder to make up
                   lines between two of them    -> MMD halfway, steps of loudness and centroid
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models.loops import LoopModel
from engine.models.loops_config import VARIATION
from engine.scores import loops as rows
from training.data.base import Shard
from training.data.loops import Loops as LoopData
from training.evaluation.judges.loops import LoopJudge, Loops
from training.evaluation.loop_paths import Path, path_figures
from training.objectives.loop_plan import PlanObjective

FloatArray = NDArray[np.float32]
PATHS, PATH_BARS, PATH_BPM = 6, 8, 125.0
BATCHES = 4


def by_length(model: LoopModel, objective: PlanObjective, data: LoopData, ruler: LoopJudge
              ) -> list[dict[str, Any]]:
    """Figures for each length of the code, a single point first. `data`: crops of held-out loops,
    `objective`: of `model`, for its likelihood, `ruler`: of held-out loops as they sound."""
    objective.eval()
    held = [data.batch(number, Shard()) for number in range(BATCHES)]
    real, found = ruler.real, []
    seconds = len(real.sounds[0]) / ruler.rate_hz
    for level in range(model.config.levels, -1, -1):
        torch.manual_seed(0)
        with torch.no_grad():
            terms = [objective.planned(batch, level)[0] for batch in held]
        made = Loops(_played(model, [
            conditions(model, level, seconds / rows.bar_seconds(bpm), bpm,
                       _codes(model, level, seed)) for seed, bpm in enumerate(real.bpm)], seconds),
            real.bpm)
        figures = ruler.figures(made, neighbours=False)
        found.append({
            "codes": 1 << (model.config.levels - level),
            **{key: float(np.mean([float(each[key]) for each in terms]))
               for key in ("nats_per_frame", "explained", "code_nats")},
            **{key: figures[key] for key in ("descriptor_mmd", "rhythm_mmd", "bar")},
            "path": path_figures(_paths(model, level), ruler.rate_hz, ruler.points)})
    return found


def conditions(model: LoopModel, level: int, bars: float, bpm: float, codes: FloatArray
               ) -> FloatArray:
    """Rows [conditions, chunks] in which each part of a bar has its own code, every bar the same.
    `codes` [codes, parts of a window] of length 2^level chunks each."""
    config = model.config
    x = rows.conditions(config.labels, config.row_samples, config.sample_rate_hz, bars, bpm,
                        codes[:, 0])
    frames = x[config.place(rows.PHASE)] * (
        rows.bar_seconds(bpm) * config.sample_rate_hz / config.compression)
    part = np.minimum(frames // (config.chunk << level), codes.shape[1] - 1).astype(int)
    at = config.place(rows.CODE)
    x[at : at + config.codes] = codes[:, part]
    if config.noise:
        x[config.place(VARIATION)] = 1.0
    return x


def _codes(model: LoopModel, level: int, seed: int) -> FloatArray:
    """Made up, one for each part of a window [codes, parts]."""
    parts = 1 << (model.config.levels - level)
    return np.stack([rows.made_up_code(model.config.codes, 1000 * seed + part)
                     for part in range(parts)], axis=1)


def _played(model: LoopModel, asked: list[FloatArray], seconds: float) -> list[FloatArray]:
    """Mono sounds of conditions."""
    longest = max(each.shape[1] for each in asked)
    x = np.stack([np.pad(each, ((0, 0), (0, longest - each.shape[1])), mode="edge")
                  for each in asked])
    torch.manual_seed(0)
    sound = model.sound_of(model.latents_of(torch.from_numpy(x))).mean(dim=1).numpy()
    return list(sound[:, : round(seconds * model.config.sample_rate_hz)])


def _paths(model: LoopModel, level: int) -> list[Path]:
    """From one row of made-up codes to another, bar by bar nearer to it."""
    said = []
    for pair in range(PATHS):
        a, b = (_codes(model, level, 9000 + 2 * pair + end) for end in (0, 1))
        way = [conditions(model, level, 1, PATH_BPM, a + (b - a) * np.float32(m))
               for m in np.linspace(0, 1, PATH_BARS)]
        x = conditions(model, level, PATH_BARS, PATH_BPM, a)
        at = model.config.place(rows.CODE)
        bar = np.minimum(np.cumsum(np.diff(x[0], prepend=x[0, 0]) < 0), PATH_BARS - 1)
        for index, each in enumerate(way):
            here = np.flatnonzero(bar == index)
            frames = np.minimum(np.arange(len(here)), each.shape[1] - 1)
            x[at : at + model.config.codes, here] = each[at : at + model.config.codes, frames]
        said.append(x)
    seconds = PATH_BARS * rows.bar_seconds(PATH_BPM)
    return [Path(sound, PATH_BPM, PATH_BARS) for sound in _played(model, said, seconds)]
