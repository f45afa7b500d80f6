"""Ten minutes of a shipped model of loops, which hears only itself: the end is as the beginning."""

from __future__ import annotations

import numpy as np
import pytest

from engine.players.base import load
from engine.presets import shipped_native
from engine.scores import loops
from training.evaluation.descriptors import descriptor_mmd, points
from training.evaluation.loop_measures import level_db, rhythm_of

BPM, SECONDS, PART = 125.0, 600, 60


@pytest.mark.slow
def test_ten_minutes_do_not_drift() -> None:
    path = shipped_native("loops-tiny")
    assert path is not None
    player = load(path)
    rate, spec = player.sample_rate_hz, player.description.main
    minutes: list[tuple[float, float, np.ndarray]] = []
    for seed in (1, 2, 3):
        code = loops.made_up_code(len(loops.code_places(spec.input_labels)), seed)
        x = loops.conditions(spec.input_labels, spec.in_ratio, rate,
                             SECONDS / loops.bar_seconds(BPM), BPM, code)
        x[spec.input_labels.index("variation")] = 1.0
        player.reset()
        sound = player.process(spec.name, x)[0]
        assert len(sound) >= SECONDS * rate
        for start in (0, SECONDS - PART):
            part = sound[start * rate : (start + PART) * rate]
            rhythm = rhythm_of(part, rate, BPM, start / loops.bar_seconds(BPM))
            minutes.append((level_db(part), rhythm.lock16, points(part[None], rate)))
            assert abs(rhythm.tempo / BPM - 1) < 0.02
    first, last = minutes[::2], minutes[1::2]
    levels, locks = (np.array([[one[i] for one in each] for each in (first, last)])
                     for i in (0, 1))
    heard = [np.concatenate([one[2] for one in each]) for each in (first, last)]
    drift = descriptor_mmd(*heard)
    print(f"level {np.diff(levels, axis=0).round(2)} dB, lock16 {np.diff(locks, axis=0).round(3)}, "
          f"MMD {drift:.4f}")
    assert locks.min() > 0.3
    assert np.abs(levels[1] - levels[0]).max() < 0.5
    assert np.abs(locks[1] - locks[0]).max() < 0.05
    assert drift < 0.02
