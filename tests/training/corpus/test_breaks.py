"""The corpus of breaks: is it played, and is it played when the metadata says?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from training.corpus import breaks, playing
from training.corpus.draw import stream
from training.corpus.patterns import Clock, Hit

RATE = 16000
COUNT = 14
HOP = 32
Made = list[tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture(scope="module")
def made() -> Made:
    return [(audio[0].astype(np.float64), row) for audio, row in
            (breaks.render_break(21, index, RATE) for index in range(COUNT))]


def flux(audio: np.ndarray) -> np.ndarray:
    """Rise of the log spectrum around the loop, per hop of 2 ms."""
    size = 192
    places = (np.arange(len(audio) // HOP)[:, None] * HOP + np.arange(size)) % len(audio)
    log = np.log10(np.abs(np.fft.rfft(audio[places] * np.hanning(size))) ** 2 + 1e-4)
    return np.asarray(np.maximum(0.0, log - np.roll(log, 4, axis=0)).mean(axis=1))


def strokes(row: dict[str, Any], name: str) -> np.ndarray:
    """(time, strength) of each stroke of one piece of the kit."""
    return np.array(json.loads(row["voices"]).get(name, {}).get("strokes", [])).reshape(-1, 2)


def test_strokes_are_when_the_metadata_says(made: Made) -> None:
    near, chance = [], []
    rng = np.random.default_rng(0)
    for audio, row in made:
        rise = flux(audio)
        loud = np.concatenate([strokes(row, "kick"), strokes(row, "snare")])
        for time_s in loud[loud[:, 1] > 0.5, 0]:
            for kind, at_s in ((near, time_s), (chance, rng.random() * row["duration_s"])):
                centre = round((at_s - 0.007) * RATE / HOP)
                window = rise[(centre + np.arange(-25, 26)) % len(rise)]
                kind.append(abs(int(np.argmax(window)) - 25) * HOP / RATE <= 0.008)
    assert len(near) > 80
    assert np.mean(near) > 0.78
    assert np.mean(chance) < 0.4  # the ruler


def test_tempo(made: Made) -> None:
    right = []
    for audio, row in made:
        assert 79 < row["bpm"] < 181
        assert row["duration_s"] == pytest.approx(row["bars"] * 240 / row["bpm"], rel=1e-5)
        rise = flux(audio)
        rise -= rise.mean()
        alike = np.fft.irfft(np.abs(np.fft.rfft(rise)) ** 2, len(rise))
        half_beat = 30 / row["bpm"] * RATE / HOP
        on = max(alike[round(half_beat * share) + np.arange(-4, 5)].max() for share in (1, 2))
        off = max(alike[round(half_beat * share) + np.arange(-4, 5)].max()
                  for share in (0.83, 1.19, 1.72))
        right.append(on > off)
    assert np.mean(right) > 0.85


def test_hands_are_no_grid(made: Made) -> None:
    errors_ms, velocities, ghosts = [], 0, 0
    for _, row in made:
        clock = Clock(row["bpm"], row["bars"], row["swing"], RATE)
        grid = np.array([clock.at(step) for step in range(clock.steps)]) / RATE
        own = []
        for name in row["instruments"].split():
            times = strokes(row, name)[:, 0]
            away = times[:, None] - grid
            away = (away + row["duration_s"] / 2) % row["duration_s"] - row["duration_s"] / 2
            own += list(away[np.arange(len(times)), np.abs(away).argmin(axis=1)] * 1000)
        errors_ms.append(np.std(own))
        snare = strokes(row, "snare")[:, 1]
        velocities += len(set(snare)) > 0.7 * len(snare)
        ghosts += bool((snare < 0.42).any())
    assert min(errors_ms) > 1.5
    assert max(errors_ms) < 22
    assert velocities >= COUNT - 2
    assert ghosts > COUNT / 4


def test_errors_hang_together() -> None:
    rng = np.random.default_rng(0)
    hits = [Hit(step, 0.8) for step in range(0, 2000, 2)]
    played = playing.by_hand(rng, {"ride": hits}, 0.1, 5.0, 0.0)["ride"]
    late = np.array([one.step - hit.step for one, hit in zip(played, hits, strict=True)])
    assert 3 < np.std(late) * 100 < 8
    assert np.corrcoef(late[1:], late[:-1])[0, 1] > 0.3


def test_all_styles_and_tempos_come() -> None:
    bpm, styles = [], set()
    for index in range(150):
        rng = stream(0, index, "break")
        name, feel = breaks._draw_feel(rng)
        styles.add(name)
        bpm.append(rng.uniform(*feel.bpm))
        part = playing.beat(rng, feel, 2)
        assert {"kick", "snare"} <= set(part)
        assert all(0 <= hit.step < 32 for hits in part.values() for hit in hits)
    assert styles == set(playing.FEELS)
    assert min(bpm) < 86
    assert max(bpm) > 172


def test_the_foot_ends_an_open_hat() -> None:
    clock = Clock(100.0, 1, 0.0, RATE)
    hits = [Hit(0, 1.0)]
    spec = breaks.kit.draw_hat(np.random.default_rng(3))

    def late(closed: list[Hit]) -> float:
        sound = breaks._strikes("hat_open", hits, clock, np.random.default_rng(0),
                                np.random.default_rng(1), {"hat_closed": closed}, clock.step_s,
                                spec)
        start = clock.at(3)
        return float(np.abs(sound[start : start + 1000]).max())

    assert late([]) > 0.001
    assert late([Hit(2, 1.0)]) < 1e-6
