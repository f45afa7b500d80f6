"""What users' folders hold: each file is used or named with its reason, by training and evaluation
alike; short sounds and long ones; nothing but sound in a crop."""

from __future__ import annotations

import json
import tracemalloc
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from test_audio_folder import filled

from engine.errors import AudioError
from engine.models.base import Model
from engine.models.store import build_from, read_settings
from nn_tudor.demo import _copy_sound, gather_held_out
from tests.training.data.odd_sounds import UNUSABLE, without_length, write_unusable
from tests.training.training_helpers import RATE, fill, loop, preset
from training.data import cache as cache_module
from training.data.audio_folder import scan
from training.data.cache import Cache, bytes_needed
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.data.decode import decoded, read_range
from training.data.held_out import read_held_out
from training.data.sounds import Sound, sides
from training.evaluation.evaluate import evaluate_folder, pieces, play
from training.evaluation.subjects import Playing
from training.run.config import resolve, training_config
from training.run.loop import Machine, train


def tiny(folder: Path) -> Model:
    return build_from(read_settings(Path(preset(folder))))


def trained(folder: Path, data: Path, *settings: str) -> str:
    """Trains for two steps in `folder`/run; what was said."""
    console = Console(file=StringIO(), width=200)
    run = resolve(preset(folder), data, ["training.steps=2", *settings])
    train(run, folder / "run", Machine("cpu"), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


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

    monkeypatch.setattr(evaluate, "_mean", lambda found: {
        **dict.fromkeys(evaluate.UNITS, float("inf"))})
    result = evaluate_folder(tiny(tmp_path), fill(tmp_path / "data", 1), baselines=False)
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert result["results"]["model"]["spectral_distance"] is None
    assert evaluate.table(result).row_count == 1


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


# --- long files -------------------------------------------------------------------------------


def test_filling_takes_the_same_memory_however_long_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    minutes, noise = 2, np.random.default_rng(0).uniform(-0.4, 0.4, (2 * RATE, 2))
    with soundfile.SoundFile(folder / "long.wav", "w", 2 * RATE, 2) as file:
        for second in range(60 * minutes):
            file.write(noise * (1 + second / 300))
    kept, _ = filled(folder)
    monkeypatch.setattr(cache_module, "HELD_SAMPLES", 1 << 16)
    twice = Cache(tmp_path / "twice", RATE, 1)
    twice.folder.mkdir()
    tracemalloc.start()
    twice.fill(scan(folder).sources)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6 < 60 * minutes * RATE * 11
    assert kept.entries == twice.entries
    assert np.array_equal(kept.read("long.wav", 0, 10**9), twice.read("long.wav", 0, 10**9))


def test_playing_piece_by_piece_gives_the_same_samples(tmp_path: Path) -> None:
    from engine.players.pytorch import PyTorchPlayer

    player = PyTorchPlayer(tiny(tmp_path).eval())
    assert player.description.method("forward").lookahead_samples > 0
    audio = loop(4, 7.3)[None]
    whole = play(player, audio)
    playing = Playing(player)
    playing.begin()
    sizes = (1, 100, 30000, 7, 20000)
    edges = [0, *np.cumsum(sizes), audio.shape[1]]
    parts = [playing.hear(audio[:, a:b]) for a, b in pairwise(edges)]
    parts.append(playing.end())
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert whole.shape == audio.shape


def test_pieces_hold_everything_and_none_is_under_a_second() -> None:
    for seconds in (0.2, 20.0, 20.9, 21.0, 45.5):
        audio = np.arange(round(seconds * RATE), dtype=np.float32)[:, None]
        found = list(pieces(iter(np.array_split(audio, 13)), RATE))
        assert np.array_equal(np.concatenate(found, axis=1)[0], audio[:, 0])
        assert all(part.shape[1] >= min(RATE, len(audio)) for part in found)
        assert all(part.shape[1] < 21 * RATE for part in found)


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


# --- few files ---------------------------------------------------------------------------------


def test_of_one_recording_the_end_is_held_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1, 10.0)
    text = trained(tmp_path, folder, "training.validation_fraction=0.05")
    assert "1 files (1 for validation, 0:02 in all: the end of loop0.wav)" in text
    (place,) = read_held_out(tmp_path / "run")
    assert place.name == "loop0.wav"
    assert place.start_seconds == pytest.approx(8.0)
    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert any(row["kind"] == "validation" for row in rows)
    gather_held_out(folder, tmp_path / "run", tmp_path / "held")
    (copy,) = (tmp_path / "held").iterdir()
    sound, _ = soundfile.read(copy)
    assert np.allclose(sound, loop(0, 10.0)[8 * RATE :], atol=1e-3)
    _copy_sound(tmp_path / "held", tmp_path / "listen.wav")
    assert len(soundfile.read(tmp_path / "listen.wav")[0]) > RATE


def test_sides_of_small_folders() -> None:
    def of(*seconds: float, fraction: float = 0.05):
        return sides([Sound(f"{i}.wav", 0, round(s * RATE)) for i, s in enumerate(seconds)],
                     fraction, RATE)

    for lengths in ((60,), (1.5,), (1, 1, 1, 1, 1), (0.3,) * 40, (3600, 0.2), (0.2, 3600),
                    (4, 4)):
        found = of(*lengths)
        learn, held = (sum(len(s) for s in part) / RATE for part in (found.learn, found.held))
        assert learn + held == pytest.approx(sum(lengths))
        assert held >= min(2.0, 0.1 * sum(lengths)) - 1e-3, lengths
        assert learn >= 0.5 * sum(lengths), lengths
        taken = {(s.name, place) for s in found.learn for place in range(s.start, s.end, 100)}
        assert not any((s.name, s.start) in taken for s in found.held)
    assert of(60, fraction=0.0).held == ()


def test_sides_of_a_large_folder_stay_when_files_are_added() -> None:
    def of(count: int) -> tuple[set[str], set[str]]:
        found = sides([Sound(f"loop{i}.wav", 0, RATE) for i in range(count)], 0.1, RATE)
        return {s.name for s in found.learn}, {s.name for s in found.held}

    (learn, held), (more_learn, more_held) = of(200), of(300)
    assert 8 <= len(held) <= 35
    assert learn <= more_learn
    assert held <= more_held


def test_a_silent_file_that_names_would_hold_out_is_passed_over(tmp_path: Path) -> None:
    from training.data.audio_folder import split

    folder = fill(tmp_path / "data", 4)
    _, (first, *_) = split([f"loop{i}.wav" for i in range(4)], 0.01)
    soundfile.write(folder / first, np.zeros(RATE), RATE)
    trained(tmp_path, folder)
    places = read_held_out(tmp_path / "run")
    assert places
    assert first not in {place.name for place in places}
    gather_held_out(folder, tmp_path / "run", tmp_path / "held")
    assert evaluate_folder(tiny(tmp_path), tmp_path / "held", baselines=False)["files"]


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
    assert "mixed to one" not in trained_in(tmp_path, folder, "stereo", "model.channels=2")


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

