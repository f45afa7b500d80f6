"""The corpus "bach": its notes are what sounds, its sound is near that of violins."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.linalg import solve_toeplitz

from engine.hearing.yin import fundamental_hz
from engine.scores import score, timed
from nn_tudor.cli import main
from training.corpus import bach, bowed, kinds, writing
from training.corpus.oscillators import note_hz

RATE = 16000
COUNT = 8
# Levels of the octaves from 250 Hz on, dB of the whole, of two recorded violinists playing this
# music, and what a linear prediction of order 32 gains: 8 to 9 and 12 dB.
RECORDED = np.array([(-13, -3, -6, -7, -14), (-5, -3, -10, -11, -22)])
NEAR_DB = 4.0
GAIN_DB = (8.0, 13.0)


def tudor(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def made() -> list[tuple[np.ndarray, dict, list[timed.Note]]]:
    found = []
    for index in range(COUNT):
        audio, row = bach.render_passage(5, index)
        notes, _ = bach.performed(5, index, bach.passage_of(5, index, False))
        found.append((audio[0].astype(np.float64), row, notes))
    return found


def octaves_db(x: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(x)) ** 2
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    return np.array([10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].sum() / power.sum())
                     for low in (250, 500, 1000, 2000, 4000)])


def prediction_gain_db(x: np.ndarray, order: int = 32) -> float:
    """How far the residual of the best fixed predictor lies below the sound."""
    size = 1 << (2 * len(x)).bit_length()
    r = np.fft.irfft(np.abs(np.fft.rfft(x, size)) ** 2)[: order + 1]
    r[0] *= 1 + 1e-6
    return float(10 * np.log10(r[0] / (r[0] - solve_toeplitz(r[:order], r[1:]) @ r[1:])))


def test_it_is_as_bright_and_as_noisy_as_recordings(made) -> None:
    levels = np.median([octaves_db(audio) for audio, _, _ in made], axis=0)
    assert (levels < RECORDED.max(axis=0) + NEAR_DB).all(), levels
    assert (levels > RECORDED.min(axis=0) - NEAR_DB).all(), levels
    assert (np.abs(levels - RECORDED.mean(axis=0)) < NEAR_DB).all(), levels
    gains = [prediction_gain_db(audio) for audio, _, _ in made]
    assert GAIN_DB[0] < np.median(gains) < GAIN_DB[1], gains


def alone(note: timed.Note, notes: list[timed.Note], margin_s: float) -> bool:
    """Whether nothing else sounds, nor has just sounded."""
    return all(other is note or other.onset_s > note.end_s - margin_s
               or other.end_s + margin_s < note.onset_s for other in notes)


def test_labels_are_what_sounds(made) -> None:
    cents, loud, silent = [], [], []
    for audio, _, notes in made:
        hertz = fundamental_hz(audio.astype(np.float32), RATE, 150, 1700, 512, 80, clear=True)
        for note in notes:
            if alone(note, notes, 0.02) and note.duration_s > 0.12:
                frames = np.arange(round((note.onset_s + 0.05) * 200),
                                   round((note.end_s - 0.04) * 200))
                cents += list(1200 * np.log2(hertz[frames] / note_hz(note.pitch)))
        level = np.sqrt(np.mean(audio**2))
        for note in notes:
            start, end = round((note.onset_s + 0.06) * RATE), round(note.end_s * RATE)
            if end > start + 160:
                loud.append(np.sqrt(np.mean(audio[start:end] ** 2)) / level)
        first = round(min(note.onset_s for note in notes) * RATE)
        silent.append(np.sqrt(np.mean(audio[: first - 8] ** 2)) / level)
    off = np.array(cents)
    assert len(off) > 2000
    assert np.isfinite(off).mean() > 0.9
    off = np.abs(off[np.isfinite(off)])
    assert np.median(off) < 5
    assert (off < 35).mean() > 0.9
    assert np.quantile(loud, 0.01) > 0.05
    assert max(silent) < 0.02


def test_a_note_begins_at_once_and_ends_soon() -> None:
    violin = bowed.draw_violin(np.random.default_rng(1))
    note = timed.Note(0.2, 0.5, 76, 0.6)
    sound = bowed.bowed([note], violin, RATE, RATE, np.random.default_rng(2))
    level = np.sqrt(np.mean(sound[round(0.3 * RATE) : round(0.65 * RATE)] ** 2))

    def rms(start_s: float, end_s: float) -> float:
        return float(np.sqrt(np.mean(sound[round(start_s * RATE) : round(end_s * RATE)] ** 2)))

    assert rms(0, 0.1999) < 1e-6 * level
    assert rms(0.2, 0.21) > 0.1 * level
    assert rms(0.76, 0.8) < 0.05 * level
    assert rms(0.9, 1.0) < 1e-3 * level


def test_no_two_notes_are_the_same() -> None:
    violin = bowed.draw_violin(np.random.default_rng(1))
    notes = [timed.Note(0.5 * number, 0.4, 69, 0.6) for number in range(4)]
    sound = bowed.bowed(notes, violin, 2 * RATE, RATE, np.random.default_rng(2))
    parts = sound.reshape(4, -1)
    size = np.abs(np.fft.rfft(parts))
    for a in range(4):
        for b in range(a):
            alike = size[a] @ size[b] / np.linalg.norm(size[a]) / np.linalg.norm(size[b])
            assert 0.5 < alike < 0.97
    # Within a note periods differ too: a held note is no loop.
    held = bowed.bowed([timed.Note(0, 1.0, 69, 0.6)], violin, RATE, RATE, np.random.default_rng(3))
    middle = held[RATE // 4 : 3 * RATE // 4]
    assert prediction_gain_db(middle) < 30


def test_the_bow_is_heard() -> None:
    """Its noise lies 15 to 30 dB below the tone, and mostly above it in pitch."""
    for seed in range(3):
        violin = bowed.draw_violin(np.random.default_rng(seed))
        note, seconds = timed.Note(0, 1.0, 69, 0.6), RATE
        noisy, quiet = (bowed.bowed([note], replace(violin, hiss=hiss), seconds, RATE,
                                    np.random.default_rng(3)) for hiss in (violin.hiss, 0.0))
        noise, tone = (np.abs(np.fft.rfft(x)) ** 2 for x in (noisy - quiet, quiet))
        assert -30 < 10 * np.log10(noise.sum() / tone.sum()) < -12
        hertz = np.fft.rfftfreq(seconds, 1 / RATE)
        assert (noise @ hertz) / noise.sum() > 1.5 * (tone @ hertz) / tone.sum()


def test_a_round_plays_every_passage_once() -> None:
    for held in (False, True):
        known = bach.passages(held)
        first = [bach.passage_of(9, index, held) for index in range(len(known))]
        second = [bach.passage_of(9, len(known) + index, held) for index in range(len(known))]
        assert sorted(first) == sorted(second) == sorted(known)
        assert first != second
        bars = Counter(name for name, begin, end in known for _ in range(begin, end))
        assert bars == {name: len(score.movement(name).bars) for name in bars}
    names = [{name for name, _, _ in bach.passages(held)} for held in (False, True)]
    assert names[1] == set(score.HELD_OUT)
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 32


def test_the_same_music_at_every_rate() -> None:
    one, two = (bach.render_passage(3, 1, sample_rate_hz=rate) for rate in (8000, 16000))
    assert one[1][writing.BESIDE] == two[1][writing.BESIDE]
    assert one[1]["voices"] == two[1]["voices"]
    assert 2 * one[0].shape[1] == pytest.approx(two[0].shape[1], abs=2)
    again = bach.render_passage(3, 1, sample_rate_hz=16000)
    assert again[0].tobytes() == two[0].tobytes()
    stereo, _ = bach.render_passage(3, 1, sample_rate_hz=16000, channels=2)
    assert stereo.shape == (2, two[0].shape[1])
    assert not np.array_equal(stereo[0], stereo[1])


def test_the_folder_has_notes_beside_each_sound(tmp_path: Path) -> None:
    out = tmp_path / "bach"
    assert tudor("corpus", "bach", out, "--minutes", 0.6, "--seed", 4, "--rate", 8000) == 0
    with (out / writing.METADATA).open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) >= 2
    for row in rows:
        assert row["split"] == "training"
        assert row["kind"] not in score.HELD_OUT
        assert "beside" not in row
        notes = timed.read_notes((out / row["file"]).with_suffix(".notes"))
        assert len(notes) == int(row["notes"])
        info = soundfile.info(out / row["file"])
        assert info.samplerate == 8000
        assert timed.length_s(notes) < info.duration
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    names = {row["file"] for row in rows}
    assert files == {writing.METADATA, *names, *(name[:-4] + ".notes" for name in names)}
    # Another request replaces all of it, notes included; another kind is refused.
    assert tudor("corpus", "bach", out, "--minutes", 0.1, "--seed", 5, "--rate", 8000) == 0
    left = sorted(path.suffix for path in out.rglob("*") if path.is_file())
    assert left == [".csv", ".notes", ".wav"]
    assert tudor("corpus", "techno", out, "--minutes", 0.1) == 1
    assert tudor("corpus", "bach", out, "--minutes", 0.1, "--held-out") == 1


def test_what_was_rendered_before_a_kill_is_kept(tmp_path: Path) -> None:
    made = []

    def render(index: int, stop: int = 99) -> tuple[np.ndarray, dict]:
        if index == stop:
            raise KeyboardInterrupt
        made.append(index)
        return bach.render_passage(6, index, sample_rate_hz=8000)

    out, request = tmp_path / "bach", ("bach", 6, 8000, 1)
    staging_kept = {}
    original = writing.shutil.rmtree
    writing.shutil.rmtree = lambda *a, **k: staging_kept.update(a=a)  # as if it had been killed
    try:
        with pytest.raises(KeyboardInterrupt):
            writing.write_corpus(out, 5, lambda index: render(index, 2), bach.NAMES[False],
                                 request)
    finally:
        writing.shutil.rmtree = original
    assert staging_kept
    assert made == [0, 1]
    writing.write_corpus(out, 0.9, render, bach.NAMES[False], request)
    assert made[:3] == [0, 1, 2]
    assert made.count(0) == 1
    whole = tmp_path / "whole"
    writing.write_corpus(whole, 0.9, render, bach.NAMES[False], request)
    for path in whole.rglob("*.*"):
        assert path.read_bytes() == (out / path.relative_to(whole)).read_bytes()


def test_held_out_is_for_bach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tudor("corpus", "techno", tmp_path / "x", "--held-out") == 1
    assert "--held-out is for bach" in capsys.readouterr().err
    assert kinds.KINDS["bach"].held_out is not None


def test_a_soundfont_without_the_program_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tudor("corpus", "bach", tmp_path / "x", "--soundfont", tmp_path / "a.sf2") == 1
    error = capsys.readouterr().err.strip()
    assert "--soundfont needs the program fluidsynth" in error
    assert "Traceback" not in error
