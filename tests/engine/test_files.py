"""Files are written whole or not at all; sound files in and out; stored models."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.audio import match_channels, read_audio, resample, write_audio
from engine.description import Description
from engine.errors import AudioError, ConfigError, ModelFileError, TudorError
from engine.files import atomic_write
from engine.models.registry import build
from engine.models.store import Stored, load_model, save_weights
from export.targets import check, export_model

CONFIG = '[model]\nfamily = "raw_vae"\nlatents = 2\nbands = 4\ncompression = 16\nwidths = [8, 6]\n'


def test_a_failed_write_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_error():
    with pytest.raises(TudorError, match="cannot write"), atomic_write(Path("/dev/full/x")):
        pass


@contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """As on a full disk: the system refuses what goes beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _sound(path: Path) -> None:
    rng = np.random.default_rng(0)
    write_audio(path, rng.uniform(-0.5, 0.5, (2, 100_000)).astype(np.float32), 16000)


def _array(path: Path) -> None:
    with atomic_write(path) as temporary:
        np.save(temporary, np.zeros(100_000))


def _weights(path: Path) -> None:
    save_weights(build("raw_vae", {"widths": (32, 32, 32)}), path)


def _model(path: Path) -> None:
    to = {".ts": "nn", ".onnx": "onnx", ".tudor": "native"}[path.suffix]
    model = build("raw_vae", {"widths": (32, 32, 32)}).eval()
    export_model(Stored("m", model, {}, True, path), check(to, path), path)


SMALL = [("o.wav", _sound), ("o.flac", _sound), ("o.aif", _sound), ("o.npy", _array),
         ("o.safetensors", _weights)]
MODELS = [("o.ts", _model), ("o.onnx", _model), ("o.tudor", _model)]


@pytest.mark.parametrize(("room_bytes", "name", "write"), [
    *((room_bytes, *what) for room_bytes in (0, 1000, 50_000) for what in SMALL),
    *((1000, *what) for what in MODELS)])
def test_where_there_is_no_room_it_says_so_and_leaves_nothing(room_bytes, name, write, tmp_path):
    """Libraries say "System error", "120 requested and 15 written", or end the process."""
    path = tmp_path / name
    with no_file_beyond(room_bytes), pytest.raises(TudorError) as error:
        write(path)
    said = str(error.value)
    assert said.startswith(f"cannot write {path.with_suffix('')}.")
    assert "File too large" in said
    assert "\n" not in said
    assert ".export-" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path):
    def broken() -> None:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("out of cheese")

    with pytest.raises(RuntimeError, match="out of cheese"):
        broken()
    assert list(tmp_path.iterdir()) == []


def test_audio_round_trip_is_exact(tmp_path: Path):
    audio = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)
    write_audio(tmp_path / "a.wav", audio, 16000)
    again, rate = read_audio(tmp_path / "a.wav")
    assert rate == 16000
    assert np.array_equal(audio, again)


def test_audio_errors_name_the_file(tmp_path: Path):
    with pytest.raises(AudioError, match=r"gone\.wav does not exist"):
        read_audio(tmp_path / "gone.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(AudioError, match=r"text\.wav is not a readable"):
        read_audio(tmp_path / "text.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"empty\.wav"):
        read_audio(tmp_path / "empty.wav")
    with pytest.raises(AudioError, match=r"\.xyz"):
        write_audio(tmp_path / "a.xyz", np.zeros((1, 4), np.float32), 16000)


def test_channels_have_one_rule():
    """One to any by copying, any to one by averaging, nothing else; along any axis."""
    for axis in (0, 1):
        def shaped(rows: list[list[float]], axis: int = axis) -> np.ndarray:
            return np.array(rows, np.float32).T if axis else np.array(rows, np.float32)

        three = shaped([[1, 2], [3, 4], [5, 12]])
        assert np.array_equal(match_channels(three, 1, axis), shaped([[3, 6]]))
        assert np.array_equal(match_channels(shaped([[1, 2]]), 2, axis), shaped([[1, 2], [1, 2]]))
        assert match_channels(three, 3, axis) is three
        with pytest.raises(AudioError, match=r"has 3 channels, the model takes 2: choose 2 of them "
                                             r"\(sox IN.wav OUT.wav remix 1 2\) or mix them to"):
            match_channels(three, 2, axis)


def test_resampling_keeps_a_tone():
    time = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)[None]
    there = resample(tone, 44100, 16000)
    assert there.shape == (1, 16000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(there[0, 1000:-1000] - wanted[1000:-1000]).max() < 1e-3


def make_run(path: Path) -> torch.nn.Module:
    path.mkdir()
    (path / "config.toml").write_text(CONFIG)
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (8, 6)})
    save_weights(model, path / "model.safetensors")
    return model


def test_stored_models_come_back(tmp_path: Path):
    model = make_run(tmp_path / "run")
    stored = load_model(tmp_path / "run")
    x = torch.randn(1, 1, 160)
    assert stored.trained
    assert stored.name == "run"
    assert torch.equal(stored.model.offline("forward", x), model.eval().offline("forward", x))


def test_preset_without_weights_is_the_same_every_time():
    a, b = load_model("techno-tiny"), load_model("techno-tiny")
    for one, two in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_damaged_runs_are_named(tmp_path: Path):
    run = tmp_path / "run"
    make_run(run)
    good = (run / "model.safetensors").read_bytes()
    for bad in (b"", good[:50], good[:-5], b"\x80\x04pickle", b"\xff" * 200):
        (run / "model.safetensors").write_bytes(bad)
        with pytest.raises(ModelFileError, match=r"model\.safetensors"):
            load_model(run)
    (run / "model.safetensors").write_bytes(good)
    (run / "config.toml").write_text(CONFIG.replace("latents = 2", "latents = 3"))
    with pytest.raises(ModelFileError, match="does not fit its configuration"):
        load_model(run)
    (run / "config.toml").write_text("[model\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_model(run)
    (run / "config.toml").write_text("a = 1\n")
    with pytest.raises(ConfigError, match="family"):
        load_model(run)
    (run / "model.safetensors").unlink()
    (run / "config.toml").write_text(CONFIG)
    with pytest.raises(ModelFileError, match="does not exist yet"):
        load_model(run)


def test_description_survives_json_and_rejects_damage():
    model = build("raw_vae", {})
    description = model.describe("x", {"steps": 3})
    assert Description.from_json(description.to_json(), "f") == description
    text = description.to_json()
    for bad in ("", "[]", "{}", text[:-1], text.replace('"in_ratio": 1', '"in_ratio": "a"', 1)
                .replace('"methods"', '"method"')):
        with pytest.raises(ModelFileError, match="damaged"):
            Description.from_json(bad, "f")
    newer = text.replace('"version": 1', '"version": 99')
    with pytest.raises(ModelFileError, match="newer tudor"):
        Description.from_json(newer, "f")
