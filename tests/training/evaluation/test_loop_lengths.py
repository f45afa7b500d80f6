"""Codes of every length: each part of a bar has its own, and figures are of what is played."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engine.scores import loops as rows
from tests.export.small_models import small_model
from tests.training.objectives.test_loop_objectives import batch, config
from training.evaluation.judges.loops import LoopJudge, Loops
from training.evaluation.loop_lengths import by_length, conditions
from training.objectives.loop_plan import PlanObjective, PlanSettings


@pytest.fixture(scope="module")
def model():
    return small_model("latent_vae", "loops").eval()


def test_parts_of_a_bar_have_their_codes(model):
    shape = model.config
    window = shape.chunk << shape.levels  # frames
    bpm = 240 * shape.sample_rate_hz / (window * shape.compression)  # a bar is a window
    if bpm > rows.MOST_BPM:
        bpm /= 2 ** int(np.ceil(np.log2(bpm / rows.MOST_BPM)))
    for level in range(shape.levels + 1):
        parts = 1 << (shape.levels - level)
        codes = np.linspace(-0.9, 0.9, parts, dtype=np.float32)[None].repeat(shape.codes, 0)
        x = conditions(model, level, 2, bpm, codes)
        at = shape.place(rows.CODE)
        bar = round(rows.bar_seconds(bpm) * shape.sample_rate_hz / shape.row_samples)
        each = 1 << level
        for row in range(min(bar, parts * each)):
            assert x[at, row] == codes[0, row // each]
        assert np.array_equal(x[at, :bar], x[at, bar : 2 * bar])


def test_every_length_has_its_figures(model):
    rate = model.config.sample_rate_hz
    rng = np.random.default_rng(0)
    sounds = [(0.1 * rng.standard_normal(2 * rate)).astype(np.float32) for _ in range(3)]
    ruler = LoopJudge(Loops(sounds, [120.0, 125.0, 130.0]), rate)
    data = SimpleNamespace(batch=lambda number, shard: batch(model, seed=number))
    found = by_length(model, PlanObjective(model, config(PlanSettings)), data, ruler)
    assert [row["codes"] for row in found] == [1, 2, 4]
    for row in found:
        assert np.isfinite([row["nats_per_frame"], row["descriptor_mmd"], row["code_nats"]]).all()
        assert {"middle_mmd", "level_db"} <= set(row["path"])
    # Twice as many codes hold about twice as much.
    assert found[2]["code_nats"] > 0
