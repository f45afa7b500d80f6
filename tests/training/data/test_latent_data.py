"""Data "latents": recordings go through a coder once, whole, and crops are of what came out."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.layers import Conv1d, Delay, Guard, Sequence
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.store import load_model, save_weights
from engine.players.base import load
from engine.players.pytorch import PyTorchPlayer
from engine.presets import preset_path
from tests.training.training_helpers import QUIET, fill, loop
from training.data import latents
from training.data.audio_folder import scan
from training.data.base import Shard
from training.data.latent_cache import LatentCache
from training.data.latents import Latents, LatentSettings, check_model, coder_named

RATE, RATIO, COUNT = 16000, 128, 16
PRIOR = SimpleNamespace(  # the shape of a model that makes latents of techno-tiny
    sample_rate_hz=RATE, ratio=RATIO, main=SimpleNamespace(
        role="generate", out_channels=COUNT, out_ratio=RATIO, lookahead_samples=0))


def settings(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(**{**LatentSettings(coder="techno-tiny", crop_seconds=0.4,
                                               validation_fraction=0.3).model_dump(),
                              "seed": 3, "batch_size": 4, **changes})


def prepared(tmp_path: Path, folder: Path, **changes: object) -> Latents:
    data = Latents(folder, settings(**changes), tmp_path / "cache")
    data.look()
    data.prepare(PRIOR, QUIET)  # type: ignore[arg-type]
    return data


def sounds(folder: Path, count: int = 4, seconds: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        soundfile.write(folder / f"loop{index}.wav", loop(index, seconds, RATE), RATE)
    return folder


def test_a_recording_is_one_stream_of_latents(tmp_path: Path) -> None:
    """As the coder gives them over the whole file, its delay left out; at another rate and in
    stereo too."""
    folder = sounds(tmp_path / "data", 2, 1.37)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "stereo.wav", 0.2 * rng.standard_normal((9000, 2)), 8000)
    data = prepared(tmp_path, folder)
    coder = load("techno-tiny")
    spec = coder.description.coder[0]  # type: ignore[index]
    for name in ("loop0.wav", "loop1.wav"):
        audio = soundfile.read(folder / name, dtype="float32")[0]
        frames = -(-len(audio) // RATIO)
        assert data.cache.usable()[name] == frames
        coder.reset()
        wanted = coder.process(spec.name, np.pad(audio, (0, -len(audio) % RATIO))[None])
        got = data.cache.read(name, 0, frames)
        assert got.shape == (COUNT, frames)
        assert np.array_equal(got, wanted)
        assert np.array_equal(data.cache.read(name, 5, 7), wanted[:, 5:12])
    assert data.cache.usable()["stereo.wav"] == -(-18000 // RATIO)
    assert data.notes() == ("1 of 3 files have more channels than the coder's one: mixed to one",)


class LateCoder(Model):
    """Encodes five frames late."""

    family = "late"

    def __init__(self, late: int) -> None:
        super().__init__()
        self.config = ModelConfig(sample_rate_hz=RATE)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.layers = Sequence(Guard(1), Delay(1, late), Conv1d(1, 3, 96, stride=64))

    def chains(self) -> dict[str, Chain]:
        return {"encode": Chain.of(self.layers, inputs=("audio",), outputs=("a", "b", "c"),
                                   role="encode")}


def test_a_coders_delay_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of the sound is encoded, too."""
    folder = sounds(tmp_path / "data", 1, 0.2)
    (source,) = scan(folder).sources
    coder, prompt = PyTorchPlayer(LateCoder(320)), PyTorchPlayer(LateCoder(0))
    assert coder.methods["encode"].lookahead_samples == 320
    cache = LatentCache(tmp_path / "cache", coder, coder.methods["encode"], 1.0)
    assert cache.fill([source]) == []
    audio = soundfile.read(source.path, dtype="float32")[0]
    wanted = prompt.process("encode", audio[None])
    assert wanted.shape == (3, 50)
    got = cache.read(source.name, 0, 100)
    assert got.shape == (3, 50)
    assert np.allclose(got, wanted, rtol=0, atol=1e-6)


def test_batches_are_of_the_recordings_learnt_from(tmp_path: Path) -> None:
    data = prepared(tmp_path, sounds(tmp_path / "data"))
    held = {place.name for place in data.parts.held_files}
    learnt = {sound.name for sound in data.parts.learn}
    assert held
    assert learnt
    assert not held & learnt  # by recording
    rows = {name: data.cache.read(name, 0, 10**6) for name in learnt | held}

    def origin(crop: np.ndarray) -> set[str]:
        return {name for name, row in rows.items()
                for at in range(row.shape[1] - crop.shape[1] + 1)
                if np.array_equal(row[:, at : at + crop.shape[1]], crop)}

    whole = data.batch(7, Shard())
    assert whole["latents"].shape == (4, COUNT, 50)
    assert whole.seconds == pytest.approx(4 * 0.4)
    data.config.batch_size = 2
    both = [data.batch(7, Shard(rank, 2))["latents"] for rank in range(2)]
    assert torch.equal(torch.cat(both), whole["latents"])
    for crop in whole["latents"].numpy():
        assert origin(crop) & learnt
    checked = [crop for batch in data.validation() for crop in batch["latents"].numpy()]
    assert len(checked) > 1
    assert not any(origin(crop) & learnt for crop in checked)


def test_only_what_changed_is_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                            ) -> None:
    folder, encoded = sounds(tmp_path / "data"), []
    original = LatentCache._encoded

    def noted(self: LatentCache, source: object, *rest: object) -> object:
        encoded.append(source.name)  # type: ignore[attr-defined]
        return original(self, source, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LatentCache, "_encoded", noted)
    prepared(tmp_path, folder)
    assert len(encoded) == 4
    first = prepared(tmp_path, folder).batch(0, Shard())["latents"]
    assert len(encoded) == 4
    soundfile.write(folder / "loop1.wav", loop(9, 1.5, RATE), RATE)
    (folder / "loop2.wav").unlink()
    again = prepared(tmp_path, folder)
    assert encoded[4:] == ["loop1.wav"]
    assert len(list((tmp_path / "cache").glob("*.f32"))) == 3
    assert not torch.equal(again.batch(0, Shard())["latents"], first)


KILLED = """
import sys
from pathlib import Path
from tests.training.data import test_latent_data as t
from training.data import cache, latent_cache
import os, signal
cache.SAVE_SECONDS = 0.0
original, calls = latent_cache.LatentCache._encoded, []
def stop(self, source, *rest):
    calls.append(source.name)
    if len(calls) == 3:
        print("here", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, source, *rest)
latent_cache.LatentCache._encoded = stop
t.prepared(Path(sys.argv[1]), Path(sys.argv[1]) / "data")
"""


def test_a_filling_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                           ) -> None:
    folder = sounds(tmp_path / "data")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True,
                          text=True, timeout=120, cwd=Path(__file__).parents[3],
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr
    entries = json.loads((tmp_path / "cache/index.json").read_text())["entries"]
    assert len(entries) == 2
    encoded: list[str] = []
    original = LatentCache._encoded
    monkeypatch.setattr(LatentCache, "_encoded", lambda self, source, *rest: (
        encoded.append(source.name), original(self, source, *rest))[1])
    resumed = prepared(tmp_path, folder)
    assert encoded == ["loop2.wav", "loop3.wav"]
    whole = prepared(tmp_path / "other", folder)
    for name, frames in whole.cache.usable().items():
        assert np.array_equal(resumed.cache.read(name, 0, frames),
                              whole.cache.read(name, 0, frames))


def test_another_coder_is_not_mixed_in(tmp_path: Path) -> None:
    """One weight is enough, under the same name."""
    run, model = tmp_path / "coder", load_model("techno-tiny").model
    run.mkdir()
    shutil.copy(preset_path("techno-tiny"), run / "config.toml")
    save_weights(model, run / "model.safetensors")
    folder, coder = sounds(tmp_path / "data", 2), str(run)
    assert np.allclose(prepared(tmp_path, folder, coder=coder).batch(0, Shard())["latents"],
                       prepared(tmp_path / "preset", folder).batch(0, Shard())["latents"],
                       atol=1e-4)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    save_weights(model, run / "model.safetensors")
    with pytest.raises(ConfigError, match="is not the model that made the latents") as error:
        prepared(tmp_path, folder, coder=coder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("coder", "said"), [
    ("", r"training\.coder is not set: .* --set coder=techno-tiny"),
    ("techno-tinny", r"training\.coder: techno-tinny is no .*did you mean 'techno-tiny'"),
    ("nowhere.tudor", r"training\.coder: nowhere\.tudor does not exist"),
    ("broken.tudor", r"training\.coder: broken\.tudor"),
])
def test_coders_that_are_none_are_named_in_one_line(
    tmp_path: Path, coder: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.tudor").write_bytes(b"no model")
    with pytest.raises(ConfigError, match=said) as error:
        Latents(fill(tmp_path / "data"), settings(coder=coder), tmp_path / "cache").look()
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_a_model_without_latents_is_no_coder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "load", lambda name, threads: SimpleNamespace(
        methods={"forward": SimpleNamespace(role="effect")}))
    with pytest.raises(ConfigError, match="plain has no method that encodes sound; it has forward"):
        coder_named("plain")


def test_a_model_of_another_shape_is_refused() -> None:
    coder, spec = coder_named("techno-tiny")
    check_model(PRIOR, coder, spec)  # type: ignore[arg-type]
    for change in ({"out_channels": 8}, {"out_ratio": 64}):
        other = SimpleNamespace(**{**PRIOR.__dict__, "main": SimpleNamespace(
            **{**PRIOR.main.__dict__, **change})})
        with pytest.raises(ConfigError, match="gives 16 channels, a frame for 128 samples at "
                           "16000 Hz; the model makes"):
            check_model(other, coder, spec)  # type: ignore[arg-type]


def test_files_that_cannot_be_read_are_skipped_with_their_reason(tmp_path: Path) -> None:
    folder = sounds(tmp_path / "data", 2)
    (folder / "torn.wav").write_bytes((folder / "loop0.wav").read_bytes()[:40])
    soundfile.write(folder / "silent.wav", np.zeros(8000), RATE)
    data = prepared(tmp_path, folder)
    assert {item.name for item in data.skipped} == {"torn.wav", "silent.wav"}
    assert "2 skipped" in data.found()
    assert data.found().startswith("16 latents of techno-tiny, a frame for 128 samples: 2 files")
    with pytest.raises(ConfigError, match=r"the latents would take .* training\.cache_gb is 1e-06"):
        prepared(tmp_path, folder, cache_gb=1e-6)
    shutil.rmtree(folder)
    folder.mkdir()
    soundfile.write(folder / "silent.wav", np.zeros(8000), RATE)
    with pytest.raises(AudioError, match="holds no usable audio"):
        prepared(tmp_path, folder)


def test_the_preflight_says_what_is_read(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    data = Latents(sounds(tmp_path / "data"), settings(), tmp_path / "cache")
    data.look()
    data.prepare(PRIOR, console)  # type: ignore[arg-type]
    assert data.stored_bytes == sum(p.stat().st_size for p in (tmp_path / "cache").glob("*.f32"))
