"""Notes by fluidsynth: the score bends along the label; what is missing is said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.hearing.yin import fundamental_hz
from engine.scores.timed import Note
from tests.core.core_build import need
from training.corpus import melody, notes, soundfont

RATE = 16000
FONTS = [*Path("/usr/share/sounds/sf2").glob("*.sf2"), *Path("/usr/share/sounds/sf3").glob("*.sf3")]


def pitches(score: bytes) -> list[tuple[float, float]]:
    """(time in s, pitch in semitones) after each event of a score that sounds."""
    division = int.from_bytes(score[12:14], "big")
    at, tick, key, bend, found = 22, 0, -1, 8192, []
    while at < len(score):
        step = 0
        while True:
            step, at = step << 7 | score[at] & 0x7F, at + 1
            if score[at - 1] < 0x80:
                break
        tick += step
        status = score[at]
        if status == 0xFF:
            at += 3 + score[at + 2]
            continue
        if status >> 4 == 0x9:
            key = score[at + 1]
        elif status >> 4 == 0xE:
            bend = score[at + 1] | score[at + 2] << 7
        elif status >> 4 == 0x8:
            key = -1
        at += 2 if status >> 4 == 0xC else 3
        if key >= 0:
            found.append((tick * 0.5 / division, key + (bend - 8192) / 8192 * soundfont.BEND))
    return found


def test_the_score_bends_along_the_label() -> None:
    tune = melody.Melody((40.25, 44.0, 75.5), (0.0, 0.5, 1.0), 1.5, 0.2, 5.0, 60.0, 0.1, 0.0)
    curve = melody.semitones(tune, round(1.6 * RATE), RATE, np.random.default_rng(0))
    found = pitches(soundfont.midi(tune, curve, RATE, 40))
    assert len(found) > 150
    for time_s, pitch in found:
        assert pitch == pytest.approx(curve[round(time_s * RATE)], abs=0.01)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"fluidsynth .*not installed"):
        soundfont.check(tmp_path / "a.sf2")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(ValueError, match="no such soundfont"):
        soundfont.check(tmp_path / "a.sf2")
    (tmp_path / "a.sf2").write_bytes(b"RIFF0000WAVEfmt ")
    with pytest.raises(ValueError, match="is no soundfont"):
        soundfont.check(tmp_path / "a.sf2")


@pytest.mark.slow  # the set-up installs neither
def test_fluidsynth_plays_the_label() -> None:
    need(soundfont.PROGRAM)
    assert FONTS, "install a soundfont, such as timgm6mb-soundfont"
    cents = []
    for index in range(8):
        audio, row = notes.render_note(3, index, RATE, soundfont=FONTS[0])
        wanted = np.array(row["f0_hz"].split(), float)
        heard = fundamental_hz(audio[0], RATE, 45.0, 2200.0, 1024, 160)[: len(wanted)]
        loud = np.array([np.abs(audio[0, max(0, k * 160 - 400) : k * 160 + 400]).max()
                         for k in range(len(heard))])
        off = 1200 * np.log2(heard / wanted[: len(heard)])
        cents.append(np.median(np.abs(off[loud > 0.1 * loud.max()])))
    assert np.median(cents) < 20


@pytest.mark.slow  # the set-up installs neither
def test_fluidsynth_plays_chosen_notes() -> None:
    need(soundfont.PROGRAM)
    assert FONTS, "install a soundfont, such as timgm6mb-soundfont"
    # Two notes an octave apart, with silence between: onsets and pitches are those asked for.
    score = [Note(0.25, 0.5, 69, 0.8), Note(1.25, 0.5, 81, 0.8)]
    sound = soundfont.played_notes(min(FONTS, key=lambda font: font.stat().st_size),
                                   soundfont.VIOLIN, score, 2 * RATE, RATE).astype(np.float32)
    assert sound.shape == (2 * RATE,)
    assert np.abs(sound[: round(0.24 * RATE)]).max() < 1e-3 * np.abs(sound).max()
    hertz = fundamental_hz(sound, RATE, 200, 1500, 512, 80)
    for note, asked in zip(score, (440, 880), strict=True):
        frames = slice(round((note.onset_s + 0.2) * 200), round(note.end_s * 200))
        assert np.median(hertz[frames]) == pytest.approx(asked, rel=0.012)
