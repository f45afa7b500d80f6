"""A voice of notes by the commands alone: a corpus, files that play in tune, and a judgement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.audio import read_audio
from engine.models.store import load_model
from engine.players.base import load
from engine.scores.timed import HEADER
from tests.families.driver import train_preset, tudor
from training.evaluation.note_pitch import cents_off
from training.evaluation.stroke_measures import classifier

STEPS, RATE, HOP, FFT = 30, 8000, 64, 256
PRESET = """
[model]
family = "spectrogram_gan"
sample_rate_hz = 8000
fft = 256
hop = 64
width = 8
conditions = 8
z = 2
frames = 60
harmonics = 10
release = 12
[training]
batch_size = 4
crop_seconds = 0.5
reconstruction = 10.0
learning_rate = 1e-2
betas = [0.0, 0.99]
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.2
[training.adversarial]
start = 0.8
width = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preset, notes of eight families of timbres, and a run."""
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("notes")
    tudor("corpus", "instruments", here / "data", "--minutes", 1.2, "--rate", 8000)
    (here / "notes.toml").write_text(PRESET)
    train_preset(here, "notes.toml", "run", STEPS)
    return here


def test_instruments_are_the_folders(folder: Path) -> None:
    config = load_model(folder / "run").model.config
    assert config.classes == ("bell", "blown", "bowed", "brass", "organ", "plucked", "reed",
                              "voice")
    assert config.pitched
    assert config.subclasses == ()


@pytest.mark.parametrize(("to", "dtype", "suffix"), [
    ("native", "float32", "tudor"), ("native", "q16x8", "tudor"), ("onnx", "float32", "onnx"),
    ("nn", "float32", "ts")])
def test_every_export_plays_in_tune(to: str, dtype: str, suffix: str, folder: Path) -> None:
    file = folder / f"{to}-{dtype}" / f"notes.{suffix}"
    more = [] if dtype == "float32" else ["--dtype", dtype]
    tudor("export", folder / "run", "--to", to, "--out", file, *more)
    tudor("verify", file, "--against", folder / "run")
    score = file.with_suffix(".notes")
    score.write_text(f"{HEADER}\n0.0,1.0,64,0.9\n1.2,1.0,71,0.6\n")
    tudor("generate", file, file.with_suffix(".wav"), "--score", score, "--seconds", 2.6,
          "--set", "organ=1")
    audio, _ = read_audio(file.with_suffix(".wav"))
    for start_s, pitch in ((0.0, 64), (1.2, 71)):
        note = audio[0, FFT + round(start_s * RATE) :][:RATE]
        assert abs(cents_off(note, (pitch - 60) / 12, RATE)) < 30, (to, dtype, pitch)
    assert load(file).description.config["harmonics"] == 10


def test_a_midi_range_sounds_and_silence_is_silence(folder: Path, tmp_path: Path) -> None:
    score = tmp_path / "a.notes"
    score.write_text(f"{HEADER}\n0.5,0.5,60,0.8\n")
    tudor("generate", folder / "run", tmp_path / "a.wav", "--score", score, "--seconds", 2.0,
          "--set", "organ=1")
    audio = read_audio(tmp_path / "a.wav")[0][0]
    assert np.abs(audio[: round(0.5 * RATE)]).max() == 0
    assert np.abs(audio[round(0.6 * RATE) : RATE]).max() > 1e-3
    assert np.abs(audio[round(1.5 * RATE) :]).max() == 0


def test_a_module_holds_a_note_as_long_as_its_gate(folder: Path, tmp_path: Path) -> None:
    file, script, out = (tmp_path / name for name in ("n.tudor", "s.csv", "o.wav"))
    tudor("export", folder / "run", "--to", "native", "--out", file)
    script.write_text("seconds,input,value\n0,knob1,1\n0,knob2,1\n0,cv1,0.5\n"
                      "0.5,gate1,1\n2.0,gate1,0\n")
    tudor("module", "simulate", file, "--script", script, "--seconds", 4, "--out", out)
    audio, rate = soundfile.read(out)
    mono = (audio if audio.ndim == 1 else audio[:, 0]).astype(np.float32)
    level = [float(np.sqrt(np.square(mono[int(at * rate) : int((at + 0.2) * rate)]).mean()))
             for at in (0.2, 0.8, 1.7, 3.0)]
    assert level[0] == level[3] == 0
    assert level[2] > 0.3 * level[1] > 1e-4
    off = cents_off(mono[int(0.6 * rate) :][:rate], 0.5, rate) / 1200
    assert abs(off - round(off)) < 30 / 1200  # a bell may be heard an octave lower


def test_it_is_judged_by_its_pitch_too(folder: Path, capsys: pytest.CaptureFixture[str],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.judges.strokes.LEAST_LEARNT", 1)
    monkeypatch.setattr("training.evaluation.judges.strokes.classifier",
                        lambda *given: classifier(*given, steps=60))
    tudor("evaluate", folder / "run", "--data", folder / "data", "--json", "--seeds", 3)
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == "strokes"
    assert found["results"]["recordings"]["in_tune"] > 0.8
    assert found["results"]["model"]["in_tune"] > 0.5
    assert "gap" not in found["played"]
    assert {"tune", "click"} <= set(found["targets"])
    assert "gap" not in found["targets"]
