"""Scanning, splitting, caching and cropping a folder of audio."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio import read_audio
from engine.errors import AudioError
from tests.training.training_helpers import RATE, fill, loop
from training.data.audio_folder import scan, split
from training.data.cache import Cache
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.run.config import training_config
from training.run.run_folder import RunFolder


def filled(folder: Path, store: bool = True, channels: int = 1) -> tuple[Cache, list]:
    place = folder.parent / ("cache" if store else "no_cache")
    cache = Cache(place, RATE, channels, store)
    cache.folder.mkdir(exist_ok=True)
    return cache, cache.fill(scan(folder).sources)


def test_formats_rates_and_nesting(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for index, suffix in enumerate(("wav", "flac", "ogg", "mp3", "aiff")):
        place = folder / suffix
        place.mkdir(parents=True)
        rate = 44100 if index % 2 else 16000
        tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * 0.5
        soundfile.write(place / f"tone.{suffix}", np.stack([tone, tone], 1), rate)
    found = scan(folder)
    assert [s.name.split("/")[0] for s in found.sources] == ["aiff", "flac", "mp3", "ogg", "wav"]
    cache, skipped = filled(folder)
    assert not skipped
    for name, frames in cache.usable().items():
        assert frames == pytest.approx(RATE, rel=0.15), name  # mp3 and ogg add padding
        audio = cache.read(name, 2000, 4000)
        assert audio.shape == (1, 4000)
        spectrum = np.abs(np.fft.rfft(audio[0] * np.hanning(4000)))
        assert np.argmax(spectrum) == pytest.approx(220, abs=1), name
        assert np.abs(audio).max() == pytest.approx(0.5, abs=0.03), name


def test_names_that_are_not_utf_8_are_read_and_can_be_written_down(tmp_path: Path) -> None:
    """As on disks that were written in Latin-1."""
    folder = fill(tmp_path / "data", 1)
    audio = (folder / "loop0.wav").read_bytes()
    for name, data in ((b"K\xe4se.wav", audio), (b"schl\xe4cht.wav", b"RIFF")):
        (folder / os.fsdecode(name)).write_bytes(data)
    found = scan(folder)
    assert [str(item) for item in found.skipped] == [r"schl\xe4cht.wav: not readable as audio"]
    assert read_audio(folder / os.fsdecode(b"K\xe4se.wav"))[0].shape == (1, RATE)
    for store in (True, False):
        cache, skipped = filled(folder, store)
        assert not skipped
        first, second = (cache.read(name, 0, 800) for name in sorted(cache.usable()))
        assert first.shape == (1, 800)
        assert np.array_equal(first, second)
    run = RunFolder(tmp_path)
    run.write_skipped(list(found.skipped))
    assert run.skipped.read_text("utf-8") == "schl\\xe4cht.wav: not readable as audio\n"


def test_bad_files_are_named_with_their_reason(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 2)
    (folder / "empty.wav").touch()
    (folder / "text.flac").write_text("not audio")
    soundfile.write(folder / "nothing.wav", np.zeros(0), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(800), RATE)
    soundfile.write(folder / "nan.wav", np.full(800, np.nan), RATE, subtype="FLOAT")
    (folder / "notes.txt").write_text("ignored without a word")
    (folder / ".hidden.wav").write_text("ignored without a word")
    found = scan(folder)
    _, skipped = filled(folder)
    reasons = {item.name: item.reason for item in [*found.skipped, *skipped]}
    assert reasons == {
        "empty.wav": "empty file", "text.flac": "not readable as audio",
        "nothing.wav": "holds no samples", "silent.wav": "silent",
        "nan.wav": "holds 800 samples that are no numbers",
    }


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        scan(tmp_path / "absent")
    with pytest.raises(AudioError, match=r"\.wav, \.flac, \.ogg, \.opus, \.mp3, \.aiff"):
        scan(tmp_path)
    (tmp_path / "bad.wav").touch()
    with pytest.raises(AudioError, match=r"bad\.wav: empty file"):
        scan(tmp_path)
    with pytest.raises(AudioError, match="is not a folder"):
        scan(tmp_path / "bad.wav")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    (folder / "below").mkdir()
    (folder / "below" / "up").symlink_to(folder)
    (folder / "dangling.wav").symlink_to(tmp_path / "gone.wav")
    found = scan(folder)
    assert [s.name for s in found.sources] == ["loop0.wav"]
    assert [s.name for s in found.skipped] == ["dangling.wav"]


def test_split_is_stable_when_files_are_added() -> None:
    names = [f"loop{i}.wav" for i in range(200)]
    train, held = split(names, 0.1)
    assert sorted(train + held) == sorted(names)
    assert 8 <= len(held) <= 35
    more_train, more_held = split([*names, *(f"new{i}.wav" for i in range(100))], 0.1)
    assert set(train) <= set(more_train)
    assert set(held) <= set(more_held)


def test_split_leaves_no_side_empty() -> None:
    assert split(["a"], 0.5) == (["a"], [])
    for fraction in (0.001, 0.5):
        train, held = split(["a", "b"], fraction)
        assert len(train) == len(held) == 1


def test_cache_decodes_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "data", 3)
    filled(folder)
    decoded: list[str] = []
    real = Cache._decode
    monkeypatch.setattr(Cache, "_decode", lambda self, source: (
        decoded.append(source.name), real(self, source))[1])
    filled(folder)
    assert decoded == []
    soundfile.write(folder / "loop1.wav", loop(9, 0.5), RATE)
    os.utime(folder / "loop1.wav", ns=(1, 1))
    (folder / "loop2.wav").unlink()
    cache, _ = filled(folder)
    assert decoded == ["loop1.wav"]
    assert len(list(cache.folder.glob("*.i16"))) == 2
    assert cache.usable() == {"loop0.wav": RATE, "loop1.wav": RATE // 2}
    next(cache.folder.glob("*.i16")).write_bytes(b"short")
    filled(folder)
    assert len(decoded) == 2


def test_reading_without_a_cache_gives_the_same_sound(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    soundfile.write(folder / "a.wav", loop(1, 2.0, 16000), 16000)
    stored, _ = filled(folder)
    direct, _ = filled(folder, store=False)
    assert stored.usable() == direct.usable()
    assert not list(direct.folder.glob("*.i16"))
    a, b = stored.read("a.wav", 3000, 2000), direct.read("a.wav", 3000, 2000)
    assert a.shape == b.shape == (1, 2000)
    assert np.abs(a).max() > 0.05
    assert np.abs(a - b).max() < 2e-3


def test_formats_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    (folder / "song.M4A").write_bytes(b"x" * 100)
    (folder / "notes.txt").write_text("not sound, and not named")
    skipped = scan(folder).skipped
    assert [str(item) for item in skipped] == [
        "song.M4A: .m4a cannot be read; convert it to wav or flac"]


def test_cache_respects_its_limit(tmp_path: Path) -> None:
    sources = scan(fill(tmp_path / "data", 2)).sources
    assert Cache.plan(tmp_path / "cache", sources, RATE, 1, limit_gb=1).store
    assert not Cache.plan(tmp_path / "cache", sources, RATE, 1, limit_gb=1e-6).store


def crops_of(folder: Path, **settings: object) -> CropBatches:
    cache, _ = filled(folder)
    config = training_config(
        {"batch_size": 4, "crop_seconds": 0.25, **settings})
    return CropBatches(cache, cache.sounds(), config, crop_samples(config, RATE, 32))


def test_batches_follow_from_seed_and_number_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data")
    a, b = crops_of(folder), crops_of(folder)
    assert a[7].shape == (4, 1, 1984)
    assert (a[7] == b[7]).all()
    assert (a[7] != a[8]).any()
    assert (a[7] != crops_of(folder, seed=1)[7]).any()


def test_augmentation_changes_gain_and_polarity_only(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 2)
    plain = crops_of(folder, gain_db=0.0, polarity=False)
    varied = crops_of(folder, gain_db=6.0)
    factors = []
    for one, other in zip(plain[0][:1], varied[0][:1], strict=True):
        factors.append(float((one * other).sum() / one.square().sum()))
        assert np.allclose(one * factors[-1], other, atol=1e-6)
    assert 0.5 <= abs(factors[0]) <= 2.0


def test_filtered_crops_lose_bass_or_treble(tmp_path: Path) -> None:
    """Noise in, so every band has something to lose; nothing is filtered unless asked for."""
    folder = tmp_path / "noise"
    folder.mkdir()
    noise = 0.2 * np.random.default_rng(0).standard_normal(4 * RATE)
    soundfile.write(folder / "noise.wav", noise, RATE)
    settings = {"gain_db": 0.0, "polarity": False, "batch_size": 64}

    def thirds(filtered: float) -> np.ndarray:  # level in dB of bass and treble, [crops, 2]
        crops = crops_of(folder, filtered=filtered, **settings)[0][:, 0].numpy()
        power = np.abs(np.fft.rfft(crops)) ** 2
        hertz = np.fft.rfftfreq(crops.shape[1], 1 / RATE)
        bands = (hertz < 30), (hertz > 0.46 * RATE)
        return np.stack([10 * np.log10(power[:, band].mean(axis=1)) for band in bands], axis=1)

    plain, all_of_them, some = thirds(0.0), thirds(1.0), thirds(0.5)
    lost = plain.min(axis=0) - all_of_them > 3
    assert lost.any(axis=1).all()
    assert set(map(tuple, lost)) == {(True, False), (False, True), (True, True)}
    assert 0.3 < (plain.min(axis=0) - some > 3).any(axis=1).mean() < 0.7


def test_validation_crops_are_fixed(tmp_path: Path) -> None:
    cache, _ = filled(fill(tmp_path / "data", 3))
    crops = validation_crops(cache, cache.sounds(), 2000, 5)
    assert crops is not None
    assert crops.shape == (5, 1, 2000)
    assert (crops == validation_crops(cache, cache.sounds(), 2000, 5)).all()
    assert validation_crops(cache, [], 2000, 5) is None
