"""A drum voice by the commands alone: from folders of strokes to files that play, and a judgement.
"""

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
from tests.families.driver import rows, train_preset, tudor
from tests.training.evaluation.judges.test_judge_strokes import CLASSES, RATE, stroke
from training.evaluation.stroke_measures import classifier

STEPS, INTERRUPTED = 12, 7
PRESET = """
[model]
family = "spectrogram_gan"
sample_rate_hz = 8000
fft = 128
hop = 32
width = 8
conditions = 8
noise = 2
z = 2
frames = 60
fade = 10
[training]
batch_size = 4
crop_seconds = 0.3
log_steps = 1
learning_rate = 2e-3
betas = [0.0, 0.99]
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.2
[training.adversarial]
width = 4
r1_weight = 1.0
"""
EXPORTS = [("native", "float32", "tudor"), ("native", "q16x8", "tudor"),
           ("onnx", "float32", "onnx"), ("nn", "float32", "ts")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preset, strokes of two genres, and a run."""
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("drums")
    for genre in ("dry", "wet"):
        for kind, name in enumerate(CLASSES):
            (here / "data" / genre / name).mkdir(parents=True)
            for i in range(12):
                soundfile.write(here / "data" / genre / name / f"{genre}{i}.wav",
                                stroke(kind, i + 100 * (genre == "wet")), RATE)
    (here / "drums.toml").write_text(PRESET)
    train_preset(here, "drums.toml", "whole", STEPS)
    return here



def test_a_run_takes_the_names_of_the_folders_and_resumes_to_the_bit(folder: Path) -> None:
    model = load_model(folder / "whole").model
    assert model.config.classes == CLASSES
    assert model.config.subclasses == ("dry", "wet")
    logged = rows(folder / "whole", "train")
    assert len(logged) == STEPS
    assert {"mode_seeking", "discriminator_loss", "adversarial_loss"} <= set(logged[-1])
    held = rows(folder / "whole", "validation")
    assert held[-1]["spectra"] > 0
    train_preset(folder, "drums.toml", "parts", INTERRUPTED)
    before = load_model(folder / "parts").model.state_dict()
    train_preset(folder, "drums.toml", "parts", STEPS)
    after, whole = (load_model(folder / run).model.state_dict() for run in ("parts", "whole"))
    assert not torch.equal(before["net.branches.0.branches.0.layers.2.weight"],
                           after["net.branches.0.branches.0.layers.2.weight"])
    for name, value in whole.items():
        assert torch.equal(value, after[name]), name


@pytest.mark.parametrize(("to", "dtype", "suffix"), EXPORTS)
def test_it_is_exported_verified_and_played(to: str, dtype: str, suffix: str, folder: Path) -> None:
    file = folder / f"{to}-{dtype}" / f"drums.{suffix}"
    more = [] if dtype == "float32" else ["--dtype", dtype]
    tudor("export", folder / "whole", "--to", to, "--out", file, *more)
    tudor("verify", file, "--against", folder / "whole")
    out = file.with_suffix(".wav")
    tudor("generate", file, out, "--seconds", 1.2)
    audio, _ = read_audio(out)
    hop, fft = 32, 128
    every = round(0.5 * RATE / hop) * hop  # a stroke of each class in turn
    power = np.square(audio[0])
    assert power[:hop].sum() == power[2 * hop : fft].sum() == 0  # between: what closes
    for start in range(0, 2 * every, every):
        assert power[start + fft : start + fft + 2000].sum() > 1e-9
    assert abs(load(file).description.main.lookahead_samples) == fft // 2


def test_several_voices_go_into_one_file(folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "kit.tudor", tmp_path / "kit.wav"
    tudor("export", folder / "whole", "--to", "native", "--out", file, "--voices", "hat,drum,hat")
    tudor("verify", file, "--against", folder / "whole")
    assert load(file).description.config["voices"] == ["hat", "drum", "hat"]
    tudor("generate", file, out, "--seconds", 1.2)
    assert np.abs(read_audio(out)[0]).max() > 1e-6


def test_it_obeys_what_is_set(folder: Path, tmp_path: Path) -> None:
    for name, words in {"a": ("--set", "drum=1"), "b": ("--set", "hat=1"),
                        "c": ("--set", "drum=1", "--seed", "4")}.items():
        tudor("generate", folder / "whole", tmp_path / f"{name}.wav", "--seconds", 0.5, *words)
    a, b, c = (read_audio(tmp_path / f"{name}.wav")[0] for name in "abc")
    assert np.abs(a - b).max() > 1e-6
    assert np.abs(a - c).max() > 1e-6


def test_it_is_judged_on_what_it_held_out(folder: Path, capsys: pytest.CaptureFixture[str],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.judges.strokes.LEAST_LEARNT", 1)
    monkeypatch.setattr("training.evaluation.judges.strokes.classifier",
                        lambda *given: classifier(*given, steps=60))
    tudor("evaluate", folder / "whole", "--data", folder / "data", "--json", "--seeds", 3)
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == "strokes"
    assert found["classes"] == list(CLASSES)
    assert found["learnt"] + found["files"] == 72
    assert 0 <= found["results"]["model"]["class_accuracy"] <= 1
