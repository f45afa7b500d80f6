"""Audio for calibration: what is taken, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioError, ConfigError
from export.quantise.calibration import (
    CALIBRATION_SECONDS,
    HELD_OUT_SECONDS,
    from_folder,
    material,
    synthesised,
)

RATE = 16000


def sound(seconds: float, rate: int = RATE, level: float = 0.1, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (level * noise).astype(np.float32)


def write(folder: Path, name: str, audio: np.ndarray, rate: int = RATE) -> None:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, audio, rate, subtype="FLOAT")


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
     r"is silence \(at -1\d\d dBFS\)"),
    (lambda f: write(f, "zero.wav", 0 * sound(20, 48000), 48000), "digital silence"),
    (lambda f: write(f, "loud.wav", np.clip(30 * sound(20, 48000), -1, 1), 48000),
     r"is clipped: \d\d"),
    (lambda f: write(f, "telephone.wav", sound(20, 8000), 8000),
     r"telephone.wav is at 8000 Hz and the model plays at 48000 Hz: above 4000 Hz"),
    (lambda f: write(f, "short.wav", sound(2, 48000), 48000), r"gives 1\.\d s of audio"),
], ids=["absent", "a file", "empty", "unreadable", "quiet", "zero", "clipped", "slow", "short"])
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
