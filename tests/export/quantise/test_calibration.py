"""Audio for calibration: what is taken, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioError, ConfigError
from export.quantise.calibration import material, synthesised
from export.quantise.recordings import CALIBRATION_SECONDS, HELD_OUT_SECONDS, from_folder

RATE = 16000


def sound(seconds: float, rate: int = RATE, level: float = 0.1, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (level * noise).astype(np.float32)


def write(folder: Path, name: str, audio: np.ndarray, rate: int = RATE) -> None:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, audio, rate, subtype="FLOAT")


def with_sample(audio: np.ndarray, value: float) -> np.ndarray:
    audio[100_000] = value
    return audio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audio"


def test_files_are_divided_and_bounded(folder):
    for i in range(5):
        write(folder, f"{i}.wav", sound(30, level=0.01 * (i + 1), seed=i))
    found = from_folder(folder, RATE, 1)
    assert found.calibration.shape == (1, round(CALIBRATION_SECONDS * RATE))
    assert found.held_out.shape == (1, round(HELD_OUT_SECONDS * RATE))

    def levels(audio):
        parts = audio.reshape(-1, RATE * 2)
        return {round(float(part.std()), 2) for part in parts}

    assert not levels(found.calibration) & levels(found.held_out)  # no file on both sides
    assert len(levels(found.calibration) | levels(found.held_out)) == 5  # every file is heard
    again = from_folder(folder, RATE, 1)
    np.testing.assert_array_equal(found.calibration, again.calibration)


def test_one_file_gives_its_end_for_the_comparison(folder):
    audio = np.concatenate([sound(20, level=0.1), sound(10, level=0.01)])
    write(folder, "only.wav", audio)
    found = from_folder(folder, RATE, 2)
    assert found.calibration.shape[0] == 2
    assert found.calibration.std() > 0.09
    assert found.held_out.std() < 0.011
    assert found.held_out.shape[1] > 9 * RATE


def test_other_rates_are_resampled_and_said(folder):
    write(folder, "a.wav", sound(10, 22050), 22050)
    write(folder, "b.wav", sound(10, 44100), 44100)
    found = from_folder(folder, RATE, 1)
    assert "resampled from 22050 Hz, 44100 Hz to 16000 Hz" in found.notes


@pytest.mark.parametrize(("make", "words"), [
    (lambda f: None, "does not exist; --calibrate wants a folder"),
    (lambda f: f.write_text("x"), "is not a folder"),
    (lambda f: f.mkdir(), "holds no audio"),
    (lambda f: (f.mkdir(), (f / "bad.wav").write_bytes(b"RIFFxxxx")),
     r"no usable audio \(bad.wav: not readable"),
    (lambda f: write(f, "quiet.wav", 1e-5 * sound(20, 48000), 48000),
     r"no usable audio \(quiet.wav: silent \(nothing above -80 dBFS\)\)"),
    (lambda f: write(f, "soft.wav", 1e-3 * sound(20, 48000), 48000),
     r"is silence \(at -80 dBFS\): .*at the level at which the model will hear it"),
    (lambda f: write(f, "zero.wav", 0 * sound(20, 48000), 48000),
     r"no usable audio \(zero.wav: silent\)"),
    (lambda f: write(f, "loud.wav", np.clip(30 * sound(20, 48000), -1, 1), 48000),
     r"is clipped: \d\d"),
    (lambda f: write(f, "telephone.wav", sound(20, 8000), 8000),
     r"telephone.wav is at 8000 Hz and the model plays at 48000 Hz: above 4000 Hz"),
    (lambda f: write(f, "short.wav", sound(2, 48000), 48000), r"gives 1\.\d s of audio"),
    (lambda f: write(f, "one.wav", sound(1 / 48000, 48000), 48000), "one.wav: holds a single samp"),
    (lambda f: write(f, "int.wav", 32768 * sound(20, 48000), 48000),
     r"\(int.wav: is at integer scale"),
    (lambda f: write(f, "big.wav", with_sample(sound(20, 48000), 1e30), 48000),
     r"\(big.wav: holds 1 sample far beyond full scale"),
    (lambda f: write(f, "nan.wav", with_sample(sound(20, 48000), np.nan), 48000),
     r"\(nan.wav: holds 1 sample that is no number\)"),
    (lambda f: write(f, "anti.wav", np.outer(sound(20, 48000), (1, -1)), 48000),
     r"\(anti.wav: its 2 channels cancel out"),
], ids=["absent", "a file", "empty", "unreadable", "quiet", "zero", "soft", "clipped", "slow",
        "short", "one", "integers", "huge", "nan", "opposite"])
def test_unfit_audio_is_refused(folder, make, words):
    make(folder)
    with pytest.raises(AudioError, match=words):
        from_folder(folder, 48000, 1)


def test_what_is_left_out_is_named(folder):
    for i in range(4):
        write(folder, f"good{i}.wav", sound(10, 48000), 48000)
    write(folder, "slow.wav", sound(10, 8000), 8000)
    (folder / "bad.flac").write_bytes(b"nothing")
    notes = "\n".join(from_folder(folder, 48000, 1).notes)
    assert "left out slow.wav: at 8000 Hz" in notes
    assert "left out bad.flac: not readable" in notes


def test_unfit_files_are_left_out_by_name_and_the_others_serve(folder):
    for i in range(3):
        write(folder, f"good{i}.wav", sound(10, seed=i))
    write(folder, "big.wav", with_sample(sound(20), 1e30))
    write(folder, "zero.wav", 0 * sound(10))
    write(folder, "one.wav", sound(1 / RATE))
    write(folder, "wide.wav", np.outer(sound(10), [1, 1, 1]))
    found = from_folder(folder, RATE, 2)
    notes = "\n".join(found.notes)
    for said in ("left out big.wav: holds 1 sample far beyond full scale",
                 "left out zero.wav: silent", "left out one.wav: holds a single sample",
                 "left out wide.wav: has 3 channels, the model takes 2"):
        assert said in notes
    for audio in (found.calibration, found.held_out):
        assert audio.shape[1] >= 3 * RATE
        assert 0.05 < audio.std() < 0.2
        assert np.abs(audio).max() < 1
    assert "good" not in notes


def test_mixing_is_said_and_what_it_loses(folder):
    left, right = sound(10), sound(10, seed=1)
    write(folder, "wide.wav", np.stack((left, right), axis=1))
    write(folder, "phase.wav", np.stack((left, 0.1 * right - left), axis=1))
    notes = "\n".join(from_folder(folder, RATE, 1).notes)
    assert "2 files mixed to one channel" in notes
    assert "phase.wav: mixing its 2 channels to one loses 26 dB" in notes
    assert "wide.wav" not in notes


@pytest.mark.parametrize(("lengths", "wanted"), [
    ([7], (4, 3)), ([9], (6, 3)), ([30], (20, 10)), ([1] * 7, None), ([4, 4], (4, 4)),
])
def test_few_and_short_files_give_both_sides_enough(lengths, wanted, folder):
    for i, seconds in enumerate(lengths):
        write(folder, f"{i}.wav", sound(seconds, seed=i))
    found = from_folder(folder, RATE, 1)
    sides = (found.calibration.shape[1] / RATE, found.held_out.shape[1] / RATE)
    assert min(sides) >= 3
    assert sum(sides) == pytest.approx(sum(lengths), abs=0.01)
    if wanted:
        assert sides == pytest.approx(wanted, abs=0.01)


def test_too_little_altogether_is_said_with_what_was_left_out(folder):
    for i in range(5):
        write(folder, f"{i}.wav", sound(1, seed=i))
    write(folder, "zero.wav", 0 * sound(10))
    with pytest.raises(AudioError, match=r"each wants 3 s, better a minute \(zero.wav: silent\)"):
        from_folder(folder, RATE, 1)


def test_flac_from_a_pipe_serves(folder):
    """A header that says 2^63 frames."""
    folder.mkdir()
    soundfile.write(folder / "piped.flac", sound(30, 44100), 44100)
    data = bytearray((folder / "piped.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (folder / "piped.flac").write_bytes(data)
    found = from_folder(folder, RATE, 1)
    assert found.calibration.shape == (1, 20 * RATE)
    assert found.held_out.shape == (1, 10 * RATE)
    assert not any("left out" in note for note in found.notes)


def test_pieces_of_another_rate_join_without_a_seam(folder):
    """Resampled with what lies around them, pieces of a sine are that sine."""
    rate = 44100
    tone = 0.3 * np.sin(2 * np.pi * 441 * np.arange(20 * rate) / rate)
    write(folder, "tone.wav", tone.astype(np.float32), rate)
    found = from_folder(folder, RATE, 1)
    wanted = 0.3 * np.sin(2 * np.pi * 441 * np.arange(found.calibration.shape[1]) / RATE)
    inside = slice(RATE // 10, -RATE // 10)
    assert np.abs(found.calibration[0] - wanted)[inside].max() < 2e-3


def test_where_audio_comes_from_without_a_folder(folder):
    preset = material("techno-tiny", {}, None, RATE, 1)
    assert "synthesised" in preset.source
    assert not np.array_equal(preset.calibration[:, : RATE], preset.held_out[:, : RATE])
    for i in range(4):
        write(folder, f"{i}.wav", sound(10))
    run = {"data": {"folder": str(folder)}, "training": {"validation_fraction": 0.25}}
    assert material("my-run", run, None, RATE, 1).source == str(folder)
    gone = {"data": {"folder": str(folder / "gone")}}
    with pytest.raises(ConfigError, match="not there any more: name a folder"):
        material("my-run", gone, None, RATE, 1)
    with pytest.raises(ConfigError, match="--calibrate DIR"):
        material("my-run", {}, None, RATE, 1)


def test_synthesised_loops_follow_rate_and_channels():
    found = synthesised(8000, 2)
    assert found.calibration.shape == (2, round(CALIBRATION_SECONDS * 8000))
    assert 0.01 < found.held_out.std() < 1
