"""Single notes by instrument: pitch, level, names; of a soundfont those that are next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.core.core_build import need
from tests.training.corpus.test_soundfont import FONTS
from training.corpus import font_notes, single_notes
from training.corpus.kinds import KINDS, write_corpus
from training.corpus.voices import FAMILIES
from training.data.hit_facts import read_strokes
from training.evaluation.note_pitch import cents_off

RATE = 16000


def test_families_take_turns_and_have_the_pitch_they_say() -> None:
    off = []
    for index in range(len(FAMILIES)):
        audio, row = single_notes.render_single(3, index, RATE)
        assert row["kind"] == FAMILIES[index]
        assert row["file"].startswith(f"{FAMILIES[index]}/")
        assert 24 <= row["pitch"] <= 84
        assert 0.25 <= row["velocity"] <= 1
        assert np.abs(audio).max() == pytest.approx(0.8, abs=1e-5)
        assert audio.shape == (1, round(2.1 * RATE))
        off.append(cents_off(audio[0], (row["pitch"] - 60) / 12, RATE))
    assert np.median(np.abs(off)) < 5


def test_a_note_depends_on_seed_and_number_alone() -> None:
    once, again, other = (single_notes.render_single(seed, 4, RATE)[0] for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_what_is_written_is_read_as_notes(tmp_path: Path) -> None:
    write_corpus("instruments", tmp_path / "notes", 0.3, seed=1, sample_rate_hz=RATE)
    found = read_strokes(tmp_path / "notes")
    assert {stroke.of_class for stroke in found.values()} <= set(FAMILIES)
    assert all(stroke.octaves is not None and -3 <= stroke.octaves <= 2
               for stroke in found.values())


@pytest.fixture
def font(monkeypatch: pytest.MonkeyPatch):
    """Plays a sine of each key that is not a multiple of 5, louder with velocity."""
    def rendered(file: Path, score: bytes, samples: int, rate: int) -> np.ndarray:
        every = round(font_notes.EVERY_S * rate)
        notes = [score[i + 1 : i + 3] for i in range(len(score) - 2) if score[i] == 0x90]
        t = np.arange(every) / rate
        assert samples == every * len(notes)
        return np.concatenate([
            hard / 127 * np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * t) * (key % 5 > 0)
            for key, hard in notes])

    font_notes.font_notes.cache_clear()
    monkeypatch.setattr(font_notes, "rendered", rendered)
    yield
    font_notes.font_notes.cache_clear()


def test_the_next_note_that_a_font_has_is_played(font: None) -> None:
    for asked, pitch in ((62, 62), (60, 59), (65, 64)):
        found, velocity, sound = font_notes.font_note(Path("a.sf2"), 40, 55, 84, asked, 0.5, RATE)
        assert found == pitch
        assert velocity == pytest.approx(72 / 127)
        assert np.abs(sound).max() == pytest.approx(72 / 127, abs=1e-3)
        assert cents_off(sound.astype(np.float32), (pitch - 60) / 12, RATE) == pytest.approx(
            0, abs=5)


def test_a_font_without_an_instrument_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_notes, "font_notes", lambda *_: {})
    with pytest.raises(ValueError, match=r"b\.sf2 has no notes of program 7"):
        font_notes.font_note(Path("b.sf2"), 7, 55, 84, 60, 0.5, RATE)


def test_of_a_soundfont_its_instruments_take_turns(font: None) -> None:
    names = [single_notes.render_single(0, index, RATE, soundfont=Path("a.sf2"))[1]["kind"]
             for index in range(3)]
    assert names == ["accordion", "bass", "cello"]
    assert KINDS["instruments"].soundfont


@pytest.mark.slow  # the set-up installs neither
def test_a_real_soundfont_is_in_tune() -> None:
    need("fluidsynth")
    assert FONTS, "install a soundfont, such as timgm6mb-soundfont"
    font = min(FONTS, key=lambda each: each.stat().st_size)
    audio, row = single_notes.render_single(0, 14, RATE, soundfont=font)
    assert row["kind"] == "trumpet"
    assert abs(cents_off(audio[0], (row["pitch"] - 60) / 12, RATE)) < 30
