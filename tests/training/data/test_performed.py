"""Data "performed": sound and what was played in it, row by row."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from engine.description import Method
from engine.errors import AudioError, ConfigError
from engine.hearing.heard import loudness_bels, pitch_rows
from engine.scores import timed
from engine.scores.conditions import conditions
from engine.scores.timed import Note
from training.data.base import Shard
from training.data.performed import Performed, PerformedSettings

RATE, RATIO = 8000, 16
SECONDS = 6.0


def labels(voices: int, classes: bool = False) -> tuple[str, ...]:
    numbers = ["", *(f" {voice}" for voice in range(2, voices + 1))]
    pairs = [f"{name}{number}" for number in numbers for name in ("pitch_oct", "gate")]
    return (*pairs, "loudness", "free", *(["class"] * classes))


def model(names: tuple[str, ...] = labels(2), ratio: int = RATIO) -> Any:
    spec = Method("generate", len(names), ratio, 1, 1, names, ("audio",), role="generate")
    return SimpleNamespace(main=spec, sample_rate_hz=RATE, ratio=ratio, family="toy")


def notes_of(seed: int) -> list[Note]:
    """Single notes, some of them repeated, then two held together."""
    rng = np.random.default_rng(seed)
    pitches = rng.choice([60, 62, 67, 69, 74, 74, 74], 9)
    return [*(Note(0.1 + 0.5 * k, 0.45, float(p), 0.6) for k, p in enumerate(pitches)),
            Note(4.8, 0.9, 62, 0.6), Note(4.8, 0.8, 71, 0.6)]


def sines(notes: list[Note]) -> np.ndarray:
    x = np.zeros(round(SECONDS * RATE))
    for note in notes:
        start, length = round(note.onset_s * RATE), round(note.duration_s * RATE)
        t = np.arange(length) / RATE
        tone = np.sin(2 * np.pi * 440 * 2 ** ((note.pitch - 69) / 12) * t)
        fade = np.clip(np.minimum(t, t[::-1]) / 0.005, 0, 1)
        x[start : start + length] += 0.2 * tone * fade
    return x


def fill(folder: Path, count: int = 4, scores: bool = True) -> None:
    for index in range(count):
        path = folder / f"piece{index % 2}" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sines(notes_of(index)), RATE, subtype="FLOAT")
        if scores:
            path.with_suffix(".notes").write_text(timed.written(notes_of(index)))


def ready(folder: Path, cache: Path, of: Any = None, **settings: Any) -> Performed:
    config = SimpleNamespace(**PerformedSettings(**{"crop_seconds": 1.0, "gain_db": 0.0,
                                                    **settings}).model_dump(),
                             batch_size=5, seed=3)
    data = Performed(folder, config, cache)
    data.look()
    data.prepare(of or model(), Console(file=StringIO()))
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "data")
    return tmp_path / "data"


def test_rows_belong_to_their_samples(folder: Path, tmp_path: Path) -> None:
    """Every crop is found in its file, and its rows are those of the file there."""
    data = ready(folder, tmp_path / "cache")
    files = [(sines(notes_of(index)), conditions(notes_of(index), RATIO, RATE, 2, SECONDS))
             for index in range(4)]
    starts = set()
    for number in range(6):
        batch = data.batch(number, Shard())
        audio, said = batch["audio"].numpy(), batch["conditions"].numpy()
        assert audio.shape == (5, 1, RATE)
        assert said.shape == (5, 6, RATE // RATIO)
        assert audio.dtype == said.dtype == np.float32
        for crop, rows in zip(audio[:, 0], said, strict=True):
            index, start = found_in([whole for whole, _ in files], crop)
            first = start // RATIO
            wanted = files[index][1][:4, first : first + len(rows[0])]
            assert np.array_equal(rows[:4], wanted)
            assert not rows[5].any()
            starts.add((index, start))
    assert len(starts) > 20
    assert len({index for index, _ in starts}) == 3  # the fourth file is held out


def found_in(files: list[np.ndarray], crop: np.ndarray) -> tuple[int, int]:
    """Which file a crop is of, and where it begins."""
    for index, whole in enumerate(files):
        starts = np.arange(0, len(whole) - RATE + 1, RATIO)
        probes = range(0, RATE, 97)
        off = np.max([np.abs(whole[starts + probe] - crop[probe]) for probe in probes], axis=0)
        at = int(starts[off.argmin()])
        if np.abs(whole[at : at + RATE] - crop).max() < 1e-3:
            return index, at
    raise AssertionError("a crop that begins at no row of any file")


def test_loudness_is_that_of_the_sound(folder: Path, tmp_path: Path) -> None:
    t = np.arange(2 * RATE) / RATE
    sine = np.sin(2 * np.pi * 1000 * t).astype(np.float32)
    sine[RATE:] *= 0.01
    level = loudness_bels(sine, RATE, RATIO)
    assert len(level) == 2 * RATE // RATIO
    assert level[100:400] == pytest.approx(np.zeros(300), abs=0.01)
    assert level[700:900] == pytest.approx(np.full(200, -4.0), abs=0.01)
    low = loudness_bels(np.sin(2 * np.pi * 100 * t).astype(np.float32), RATE, RATIO)
    assert low[500] == pytest.approx(-1.91, abs=0.05)  # A-weighting at 100 Hz: -19.1 dB
    assert (loudness_bels(np.zeros(RATE, np.float32), RATE, RATIO) == -8).all()
    # Power is smoothed over 50 ms, 25 rows: a step is half way down where it lies.
    assert level[499:501] == pytest.approx([np.log10(0.5)] * 2, abs=0.05)
    assert level[485] == pytest.approx(0, abs=0.01)
    assert level[494] == pytest.approx(np.log10(0.85), abs=0.05)
    assert level[515] == pytest.approx(-4, abs=0.01)
    data = ready(folder, tmp_path / "cache")
    plain = data.batch(1, Shard())
    loud = ready(folder, tmp_path / "cache", gain_db=9.0).batch(1, Shard())
    ratio = (loud["audio"].abs().amax(dim=(1, 2)) / plain["audio"].abs().amax(dim=(1, 2))).log10()
    assert ratio.abs().max() > 0.2
    moved = (loud["conditions"] - plain["conditions"])[:, 4]
    above = plain["conditions"][:, 4] > -6
    for index in range(5):
        wanted = pytest.approx(2 * float(ratio[index]), abs=0.01)
        assert moved[index][above[index]].numpy() == wanted


def test_long_sounds_are_measured_in_parts_without_seams() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(11 * RATE).astype(np.float32)
    whole, part = loudness_bels(noise, RATE, RATIO), loudness_bels(noise[: 3 * RATE], RATE, RATIO)
    assert np.abs(whole[: 2 * RATE // RATIO] - part[: 2 * RATE // RATIO]).max() < 1e-3
    assert np.abs(np.diff(whole)).max() < 0.1


def test_batches_hang_on_seed_and_number_alone(folder: Path, tmp_path: Path) -> None:
    one, two = (ready(folder, tmp_path / "cache") for _ in range(2))
    for name in ("audio", "conditions"):
        assert np.array_equal(one.batch(7, Shard())[name], two.batch(7, Shard())[name])
        assert not np.array_equal(one.batch(7, Shard())[name], one.batch(8, Shard())[name])
    held = one.validation()
    assert held
    assert all(np.array_equal(a["audio"], b["audio"])
               for a, b in zip(held, two.validation(), strict=True))
    assert one.example(3)["conditions"].shape == (3, 6, RATE // RATIO)
    assert one.example(3)["audio"].shape == (3, 1, RATE)
    names = [place.name for place in one.parts.held_files]
    assert len(names) == 1
    said = one.found()
    assert "performed: 4 files (1 for validation)" in said
    assert "44 notes, 2 at a time" in said


def test_classes_are_folders(folder: Path, tmp_path: Path) -> None:
    data = ready(folder, tmp_path / "cache", model(labels(1, True)))
    classes = np.concatenate([data.batch(number, Shard())["conditions"][:, 4].numpy()
                              for number in range(4)])
    assert set(classes.reshape(-1)) == {0.0, 1.0}
    assert (classes == classes[:, :1]).all()


def test_a_model_without_conditions_gets_none(folder: Path, tmp_path: Path) -> None:
    data = ready(folder, tmp_path / "cache", model(("time",)))
    assert "conditions" not in data.batch(0, Shard())
    assert "without conditions" in data.found()
    assert "conditions" not in data.example(2)


def test_other_layouts_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'toy' reads pitch, level"):
        ready(folder, tmp_path / "cache", model(("pitch", "level")))


def test_pitches_are_estimated_where_there_are_no_notes(tmp_path: Path) -> None:
    fill(tmp_path / "data", 2, scores=False)
    data = ready(tmp_path / "data", tmp_path / "cache")
    assert "pitches estimated from the sound" in data.found()
    assert any("the other 1 stay silent" in note for note in data.notes())
    notes = notes_of(0)[:-2]
    audio = sines(notes).astype(np.float32)
    loud = loudness_bels(audio, RATE, RATIO)
    pitch, gate = pitch_rows(audio, RATE, RATIO, loud, 100, 1500)
    wanted = conditions(notes, RATIO, RATE, 1, SECONDS)
    assert np.mean(gate == wanted[1]) > 0.93
    both = (gate > 0) & (wanted[1] > 0)
    # Not where one note goes over into the next: a window hears both.
    assert np.mean(np.abs(pitch - wanted[0])[both] < 0.02) > 0.9
    assert not gate[round(5 * RATE / RATIO) :].any()
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    silent = pitch_rows(noise, RATE, RATIO, loudness_bels(noise, RATE, RATIO), 100, 1500)
    assert silent[1].mean() < 0.1
    assert np.isfinite(silent).all()


def test_a_sound_without_its_notes_is_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    (folder / "piece0" / "0.notes").unlink()
    data = ready(folder, tmp_path / "cache")
    assert [str(skipped) for skipped in data.skipped] == [
        "piece0/0.wav: has no 0.notes beside it"]
    estimated = ready(folder, tmp_path / "cache", scores="estimated")
    assert not estimated.skipped


def write(folder: Path, text: str) -> None:
    (folder / "piece0" / "0.notes").write_text(text)


@pytest.mark.parametrize(("text", "message"), [
    (timed.HEADER + "\n", "0.notes holds no notes"),
    (timed.HEADER + "\n0,1,60\n", "0.notes, line 2"),
    (timed.HEADER + "\n7.5,1,60,0.5\n", "a note begins at 7.50 s, but piece0/0.wav ends at 6.00"),
    (timed.HEADER + "\n0,1,110,0.5\n", "pitch 110 lies above half of the model's sample rate"),
])
def test_notes_that_cannot_be(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    write(folder, text)
    with pytest.raises((ConfigError, AudioError), match=message) as error:
        ready(folder, tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_notes_are_asked_for(tmp_path: Path) -> None:
    fill(tmp_path / "data", 2, scores=False)
    with pytest.raises(AudioError, match=r"holds no notes: .notes files beside the sounds"):
        ready(tmp_path / "data", tmp_path / "cache", scores="files")


def test_too_many_voices_are_said(folder: Path, tmp_path: Path) -> None:
    data = ready(folder, tmp_path / "cache", model(labels(1)))
    assert any("4 notes begin while 1 others sound" in note for note in data.notes())
