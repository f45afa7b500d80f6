"""What users' folders hold: each file is used or named with its reason, by training and evaluation
alike; short sounds and long ones; nothing but sound in a crop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio_folder import filled

from engine.errors import AudioError
from tests.training.data.odd_sounds import UNUSABLE, without_length, write_unusable
from tests.training.data.small_runs import tiny, trained
from tests.training.training_helpers import RATE, fill, loop
from training.data.audio_folder import scan
from training.data.cache import Cache, bytes_needed
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.data.decode import decoded, read_range
from training.evaluation.evaluate import evaluate_folder
from training.run.config import training_config


def hits(folder: Path, count: int, seconds: float = 0.3) -> Path:
    """One-shots of noise that does not decay: [-0.5, 0.5] from the first sample to the last."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        noise = np.random.default_rng(index).uniform(-0.5, 0.5, round(seconds * RATE))
        soundfile.write(folder / f"hit{index}.wav", noise, RATE)
    return folder


def batches(folder: Path, **settings: object) -> CropBatches:
    cache, _ = filled(folder)
    config = training_config({"batch_size": 8, "gain_db": 0.0, **settings})
    return CropBatches(cache, cache.sounds(), config, crop_samples(config, RATE, 32))


def longest_silence(audio: np.ndarray) -> int:
    """Most samples in a row that are nearly 0."""
    loud = np.flatnonzero(np.abs(audio) > 1e-3)
    return int(np.diff(np.concatenate(([-1], loud, [len(audio)]))).max()) - 1


# --- files that cannot be used ----------------------------------------------------------------


def test_training_skips_and_names_what_is_unfit(tmp_path: Path) -> None:
    write_unusable(fill(tmp_path / "data", 4))
    trained(tmp_path, tmp_path / "data")
    lines = (tmp_path / "run" / "skipped.txt").read_text().splitlines()
    named = dict(line.split(": ", 1) for line in lines)
    assert set(named) == set(UNUSABLE)
    for name, reason in UNUSABLE.items():
        assert reason in named[name], name


def test_evaluation_skips_and_names_what_is_unfit(tmp_path: Path) -> None:
    write_unusable(fill(tmp_path / "data", 1))
    result = evaluate_folder(tiny(tmp_path), tmp_path / "data", baselines=False)
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert result["files"] == 1
    named = {item["name"]: item["reason"] for item in result["skipped"]}
    assert set(named) == set(UNUSABLE)
    for name, reason in UNUSABLE.items():
        assert reason in named[name], name


def test_a_folder_of_nothing_usable_is_one_line(tmp_path: Path) -> None:
    write_unusable(tmp_path / "data")
    for work in (lambda: trained(tmp_path, tmp_path / "data"),
                 lambda: evaluate_folder(tiny(tmp_path), tmp_path / "data")):
        with pytest.raises(AudioError, match="holds no usable audio") as caught:
            work()
        assert "\n" not in str(caught.value)


def test_figures_that_are_no_numbers_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a model that plays no numbers, say."""
    from training.evaluation import evaluate
    from training.evaluation.judges.reconstruction import findings

    monkeypatch.setattr(evaluate, "_mean", lambda found: {
        **dict.fromkeys(evaluate.UNITS, float("inf"))})
    result = evaluate_folder(tiny(tmp_path), fill(tmp_path / "data", 1), baselines=False)
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert result["results"]["model"]["spectral_distance"] is None
    assert len(findings(result).grids[0].rows) == 1


def test_six_channels_are_mixed_to_one_but_not_cut_to_two(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 2)
    six = np.stack([loop(i) for i in range(6)], 1)
    soundfile.write(folder / "six.wav", six, RATE)
    mono, skipped = filled(folder)
    assert not skipped
    assert np.allclose(mono.read("six.wav", 0, RATE)[0], six.mean(axis=1), atol=1e-3)
    stereo = Cache(tmp_path / "stereo", RATE, 2)
    stereo.folder.mkdir()
    (left_out,) = stereo.fill(scan(folder).sources)
    assert left_out.name == "six.wav"
    assert "6 channels" in left_out.reason
    assert "remix 1 2" in left_out.reason
    text = trained(tmp_path, folder, "model.channels=2")
    assert "skipped six.wav: has 6 channels" in text


# --- lengths in headers ----------------------------------------------------------------------


def test_flac_from_a_pipe_is_read_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 44100)
    soundfile.write(folder / "plain.flac", audio, 44100)
    soundfile.write(folder / "streamed.flac", audio, 44100)
    without_length(folder / "streamed.flac")
    sources = scan(folder).sources
    assert bytes_needed(sources, RATE, 1) == 2 * 2 * 3 * RATE
    assert Cache.plan(tmp_path / "planned", sources, RATE, 1, limit_gb=1).store
    for store in (True, False):
        cache, skipped = filled(folder, store)
        assert not skipped
        assert cache.usable() == dict.fromkeys(("plain.flac", "streamed.flac"), 3 * RATE)
        for start in (0, 9000, 3 * RATE - 500):
            plain, streamed = (cache.read(name, start, 500) for name in sorted(cache.usable()))
            assert plain.shape == (1, 500)
            assert np.array_equal(plain, streamed)


def test_a_limit_counts_what_files_hold_and_not_what_they_claim(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 3)
    cache = Cache(tmp_path / "cache", RATE, 1, limit_bytes=2.5 * 2 * RATE)
    cache.folder.mkdir()
    assert not cache.fill(scan(folder).sources)
    assert [entry.stored for entry in cache.entries.values()] == [True, True, False]
    assert cache.stored_bytes == 2 * 2 * RATE
    assert np.allclose(cache.read("loop2.wav", 100, 50)[0], loop(2)[100:150], atol=1e-3)


def test_an_index_of_an_earlier_version_is_replaced_silently(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    cache, _ = filled(folder)
    index = cache.folder / "index.json"
    data = json.loads(index.read_text())
    del data["version"]
    for entry in data["entries"]:
        for key in ("sounds", "channels", "notes"):
            del entry[key]
    index.write_text(json.dumps(data))
    again, skipped = filled(folder)
    assert not skipped
    assert again.entries == cache.entries


# --- short sounds and silence -----------------------------------------------------------------


def test_crops_of_short_sounds_are_sound_from_end_to_end(tmp_path: Path) -> None:
    made = batches(hits(tmp_path / "data", 3), crop_seconds=1.0)
    again = batches(tmp_path / "data", crop_seconds=1.0)
    for index in range(3):
        batch = made[index].numpy()
        assert batch.shape == (8, 1, 8000)
        assert (batch == again[index].numpy()).all()
        for crop in batch[:, 0]:
            assert longest_silence(crop) < 0.003 * RATE
            parts = np.sqrt(np.square(crop).reshape(10, -1).mean(axis=1))
            assert parts.min() > 0.25  # the noise's RMS is 0.29


def test_validation_crops_of_short_sounds_are_sound(tmp_path: Path) -> None:
    cache, _ = filled(hits(tmp_path / "data", 12))
    crops = validation_crops(cache, cache.sounds(), 2 * RATE, 32, 32)
    assert crops is not None
    assert crops.shape == (2, 1, 2 * RATE)
    for crop in crops[:, 0].numpy():
        assert longest_silence(crop) < 0.003 * RATE
    one = validation_crops(cache, cache.sounds(["hit0.wav"]), 2 * RATE, 32, 32)
    assert one is not None
    assert one.shape == (1, 1, 2400)  # as long as the sound
    assert np.allclose(one[0, 0], cache.read("hit0.wav", 0, 2400)[0])
    least = validation_crops(cache, cache.sounds(["hit0.wav"]), 2 * RATE, 32, 32, 3000)
    assert least is not None
    assert least.shape == (1, 1, 3008)
    assert longest_silence(least[0, 0].numpy()) < 0.003 * RATE


def test_joints_do_not_click(tmp_path: Path) -> None:
    """Steady tones that break off: a jump would be as large as their sum."""
    folder = tmp_path / "data"
    folder.mkdir()
    for index in range(3):
        tone = np.sin(2 * np.pi * 50 * np.arange(1000) / RATE) * 0.5  # ends at its peak
        soundfile.write(folder / f"{index}.wav", tone, RATE)
    batch = batches(folder, crop_seconds=0.8, polarity=False)[0].numpy()
    assert np.abs(np.diff(batch, axis=2)).max() < 0.05
    assert np.abs(batch).max() > 0.45


def test_silence_within_files_is_not_learnt_nor_measured(tmp_path: Path) -> None:
    """Six seconds of noise in a minute of nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    audio = np.zeros(60 * RATE)
    for second in (10, 30, 50):
        audio[second * RATE : (second + 2) * RATE] = np.random.default_rng(second).uniform(
            -0.5, 0.5, 2 * RATE)
    soundfile.write(folder / "sparse.wav", audio, RATE)
    made = batches(folder, crop_seconds=1.0)
    assert [(s.start, s.end) for s in made.sounds] == [
        (second * RATE, (second + 2) * RATE + RATE // 4) for second in (10, 30, 50)]
    for crop in made[0][:, 0].numpy():
        assert longest_silence(crop) <= 0.3 * RATE
    crops = validation_crops(made.cache, made.sounds, 2 * RATE, 32)
    assert crops is not None
    for crop in crops[:, 0].numpy():
        assert longest_silence(crop) <= 0.3 * RATE
    assert "0:53 of silence left out" in trained(tmp_path, folder)


# --- channels ----------------------------------------------------------------------------------


def test_mixing_to_one_channel_is_said_and_losses_are_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 4)
    a, b = loop(7), loop(8)
    soundfile.write(folder / "wide.wav", np.stack([a, b], 1), RATE)
    soundfile.write(folder / "nearly.wav", np.stack([a, 0.1 * b - 0.8 * a], 1), RATE)
    soundfile.write(folder / "opposite.wav", np.stack([a, -a], 1), RATE)
    text = trained(tmp_path, folder)
    assert "2 of 6 files have more channels than the model's one: mixed to one" in text
    assert "--set model.channels=2" in text
    assert "note: nearly.wav: mixing its 2 channels to one loses" in text
    assert "wide.wav:" not in text
    assert "skipped opposite.wav: its 2 channels cancel out" in text
    assert "heard on both sides" not in text
    both = trained_in(tmp_path, folder, "stereo", "model.channels=2")
    assert "mixed to one" not in both
    assert "4 of 7 files have one channel: it is heard on both sides" in both


def trained_in(folder: Path, data: Path, name: str, *settings: str) -> str:
    (folder / name).mkdir()
    return trained(folder / name, data, *settings)


def test_reading_a_range_follows_the_one_rule(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    soundfile.write(folder / "mono.wav", loop(1), RATE)
    (source,) = scan(folder).sources
    assert read_range(source, 0, 100, RATE, 2).shape == (2, 100)
    assert np.concatenate(list(decoded(source, RATE, 2))).shape == (RATE, 2)
