"""Strokes of a soundfont's kits: which key is heard, what a kit lacks, and whole corpora."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.core.core_build import need
from tests.training.corpus.test_soundfont import FONTS
from training.corpus import font_kit, hits
from training.corpus.genres import GENRES

RATE = 8000


@pytest.fixture
def kits(monkeypatch: pytest.MonkeyPatch):
    """Kits whose keys each ring at a frequency of their own; programs below 24 have no clap."""
    def rendered(file: Path, score: bytes, samples: int, rate: int) -> np.ndarray:
        program = score[score.index(bytes([0xC9])) + 1]
        every = round(font_kit.EVERY_S * rate)
        t = np.arange(every) / rate
        keys = [0.5 * np.exp(-20 * t) * np.sin(2 * np.pi * 20 * key * t)
                * (key != 39 or program >= 24) for key in font_kit.PLAYED]
        assert samples == every * len(keys)
        return np.concatenate(keys)

    font_kit.kit_strokes.cache_clear()
    monkeypatch.setattr(font_kit, "rendered", rendered)
    yield
    font_kit.kit_strokes.cache_clear()


def test_every_class_has_keys_and_every_genre_kits() -> None:
    assert set(font_kit.KEYS) == set(hits.CLASSES)
    assert set(font_kit.KITS) == {"", *GENRES}
    assert len(font_kit.PLAYED) == len(set(font_kit.PLAYED))


def test_the_key_that_is_struck_is_of_the_class(kits: None) -> None:
    for of_class, keys in font_kit.KEYS.items():
        name, sound = font_kit.kit_stroke(Path("a.sf2"), of_class, "electro", 0.9, RATE,
                                          np.random.default_rng(0))
        peak = int(np.argmax(np.abs(np.fft.rfft(sound, 4 * RATE)))) / 4
        assert round(peak / 20) in keys
        assert f"key {round(peak / 20)}" in name
        assert np.abs(sound).max() == pytest.approx(1, abs=1e-6)


def test_what_a_kit_lacks_is_taken_from_another(kits: None) -> None:
    name, _ = font_kit.kit_stroke(Path("a.sf2"), "clap", "rock", 0.5, RATE,
                                  np.random.default_rng(0))
    assert name in {f"kit {program} key 39" for program in (24, 25, 32, 40, 48)}


def test_a_font_without_a_drum_is_one_line(kits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_kit, "KITS", {"": (0,), "rock": (8,)})
    with pytest.raises(ValueError, match=r"b.sf2 has no clap among General MIDI's drums"):
        font_kit.kit_stroke(Path("b.sf2"), "clap", "rock", 0.5, RATE, np.random.default_rng(0))


def test_strokes_of_a_corpus_say_what_they_are(kits: None) -> None:
    for index in range(len(hits.ORDER)):
        audio, row = hits.render_hit(3, index, RATE, 1, ("electro",), Path("a.sf2"))
        assert row["kind"] == hits.ORDER[index]
        assert row["way"].startswith("kit ")
        assert np.isfinite(audio).all()
        assert "a.sf2" in row["voices"] if isinstance(row["voices"], str) else True
    again = hits.render_hit(3, 4, RATE, 1, ("electro",), Path("a.sf2"))[0]
    assert np.array_equal(again, hits.render_hit(3, 4, RATE, 1, ("electro",), Path("a.sf2"))[0])


@pytest.mark.slow
def test_a_real_font_strikes_every_class() -> None:
    need("fluidsynth")
    if not FONTS:
        pytest.skip("no soundfont is installed")
    for of_class in font_kit.KEYS:
        _, sound = font_kit.kit_stroke(FONTS[0], of_class, "", 0.8, 16000, np.random.default_rng(1))
        assert len(sound) > 100
