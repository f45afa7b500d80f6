"""An autoencoder of spectra by the commands alone: from a folder of sound to files that play."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.audio import read_audio
from engine.models.store import load_model
from tests.families.driver import rows, train_preset, tudor

STEPS, INTERRUPTED, RATE = 10, 6, 8000
PRESET = """
[model]
family = "spectrogram_vae"
sample_rate_hz = 8000
fft = 128
hop = 32
frames = 4
latents = 3
width = 8
dilations = [1]
scale = "mel"
bands = 20
[training]
batch_size = 2
crop_seconds = 0.4
log_steps = 1
learning_rate = 2e-3
warmup_steps = 2
schedule = "constant"
reconstruction = "laplace"
scales = ["stft", "log"]
loss_bands = 16
[training.regulariser]
kind = "wae-mmd"
kernel = "rbf"
prior = "mixture"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preset, sound, and a run."""
    torch.set_num_threads(1)
    here = tmp_path_factory.mktemp("spectra")
    (here / "data").mkdir()
    noise, t = np.random.default_rng(0), np.arange(2 * RATE) / RATE
    for i in range(4):
        sound = 0.3 * np.sin(2 * np.pi * 200 * (i + 1) * t) + 0.1 * noise.normal(size=len(t))
        soundfile.write(here / "data" / f"{i}.wav", sound * np.exp(-2 * (t % 0.5)), RATE)
    (here / "spectra.toml").write_text(PRESET)
    train_preset(here, "spectra.toml", "whole", STEPS)
    return here



def test_a_run_resumes_to_the_bit_widths_included(folder: Path) -> None:
    logged = rows(folder / "whole", "train")
    assert len(logged) == STEPS
    assert {"log_distance", "noise_share", "mmd"} <= set(logged[-1])
    assert {"spectral_distance", "energy_score"} <= set(rows(folder / "whole", "validation")[-1])
    train_preset(folder, "spectra.toml", "parts", INTERRUPTED)
    before = load_model(folder / "parts").model.state_dict()
    train_preset(folder, "spectra.toml", "parts", STEPS)
    after, whole = (load_model(folder / run).model.state_dict() for run in ("parts", "whole"))
    name = "decoder.layers.0.weight"
    assert not torch.equal(before[name], after[name])
    for name, value in whole.items():
        assert torch.equal(value, after[name]), name


def test_it_is_told_fitted_and_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tudor("info", folder / "whole", "--json")
    forward = json.loads(capsys.readouterr().out)["methods"]["forward"]
    assert forward["latency_samples"] == 128 + 4 * 32 - 1
    tudor("fit", folder / "whole", "--target", "daisy", "--json")
    assert json.loads(capsys.readouterr().out)
    tudor("evaluate", folder / "whole", "--data", folder / "data", "--json", "--limit", 1)
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == "reconstruction"
    assert found["results"]["model"]["spectral_distance"] > 0
    assert found["standing"]["held_at_frame_rate"] is not None


def test_its_file_plays_and_is_verified(folder: Path) -> None:
    file = folder / "spectra.tudor"
    tudor("export", folder / "whole", "--to", "native", "--out", file)
    tudor("verify", file, "--against", folder / "whole")
    sound, coded, again, out = (folder / name for name in
                                ("data/0.wav", "z.npy", "again.wav", "out.wav"))
    tudor("run", file, sound, out)
    tudor("run", file, sound, coded, "--method", "encode")
    tudor("run", file, coded, again, "--method", "decode")
    assert np.load(coded).shape[0] == 3
    heard, decoded = read_audio(out)[0], read_audio(again)[0]
    assert heard.shape[1] == 2 * RATE
    assert np.abs(heard).max() > 1e-4
    assert np.abs(decoded).max() > 1e-4
