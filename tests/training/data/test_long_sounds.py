"""Long files take no more memory than short ones, and are played piece by piece."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio_folder import filled

from tests.training.data.small_runs import tiny
from tests.training.training_helpers import RATE, loop
from training.data import cache as cache_module
from training.data.audio_folder import scan
from training.data.cache import Cache
from training.evaluation.evaluate import pieces, play
from training.evaluation.subjects import Playing


def test_filling_takes_the_same_memory_however_long_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    minutes, noise = 2, np.random.default_rng(0).uniform(-0.4, 0.4, (2 * RATE, 2))
    with soundfile.SoundFile(folder / "long.wav", "w", 2 * RATE, 2) as file:
        for second in range(60 * minutes):
            file.write(noise * (1 + second / 300))
    kept, _ = filled(folder)
    monkeypatch.setattr(cache_module, "HELD_SAMPLES", 1 << 16)
    twice = Cache(tmp_path / "twice", RATE, 1)
    twice.folder.mkdir()
    tracemalloc.start()
    twice.fill(scan(folder).sources)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6 < 60 * minutes * RATE * 11
    assert kept.entries == twice.entries
    assert np.array_equal(kept.read("long.wav", 0, 10**9), twice.read("long.wav", 0, 10**9))


def test_playing_piece_by_piece_gives_the_same_samples(tmp_path: Path) -> None:
    from engine.players.pytorch import PyTorchPlayer

    player = PyTorchPlayer(tiny(tmp_path).eval())
    assert player.description.method("forward").lookahead_samples > 0
    audio = loop(4, 7.3)[None]
    whole = play(player, audio)
    playing = Playing(player)
    playing.begin()
    sizes = (1, 100, 30000, 7, 20000)
    edges = [0, *np.cumsum(sizes), audio.shape[1]]
    parts = [playing.hear(audio[:, a:b]) for a, b in pairwise(edges)]
    parts.append(playing.end())
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert whole.shape == audio.shape


def test_pieces_hold_everything_and_none_is_under_a_second() -> None:
    for seconds in (0.2, 20.0, 20.9, 21.0, 45.5):
        audio = np.arange(round(seconds * RATE), dtype=np.float32)[:, None]
        found = list(pieces(iter(np.array_split(audio, 13)), RATE))
        assert np.array_equal(np.concatenate(found, axis=1)[0], audio[:, 0])
        assert all(part.shape[1] >= min(RATE, len(audio)) for part in found)
        assert all(part.shape[1] < 21 * RATE for part in found)
