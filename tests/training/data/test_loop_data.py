"""Data "loops": loops that go round, with their bars, tempi, knobs and styles."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import ConfigError
from engine.models.registry import build
from engine.models.store import load_model
from tests.training.training_helpers import QUIET
from training.data import cache
from training.data.band_levels import BANDS, band_levels
from training.data.base import Shard
from training.data.loop_cache import LoopCache
from training.data.loop_facts import bars_by_length, read_table, styles_of
from training.data.loops import Loops, LoopSettings

RATE, RATIO = 16000, 128
CODER = "techno-tiny"
SHAPE = {"width": 8, "window_width": 8, "layers": 1, "chunk": 8, "levels": 5}


def clicks(bpm, bars, seed=0):
    """A click on every beat, louder on the first of a bar."""
    beat = 60 / bpm
    t = np.arange(round(4 * bars * beat * RATE)) / RATE
    rng = np.random.default_rng(seed)
    loud = np.where(t // beat % 4 == 0, 0.8, 0.3)
    return (loud * np.exp(-60 * (t % beat)) * rng.standard_normal(len(t))).astype(np.float32)


def folder(path, table=True, sounds=((125, 1), (128, 2), (140, 4), (120, 1))):
    path.mkdir(parents=True, exist_ok=True)
    lines = ["file,bpm,bars,style"]
    for i, (bpm, bars) in enumerate(sounds):
        soundfile.write(path / f"{i}.wav", clicks(bpm, bars, i), RATE)
        lines.append(f"{i}.wav,{bpm},{bars},{'even' if i % 2 == 0 else 'odd'}")
    if table:
        (path / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return path


def prepared(tmp_path, sounds, **changes):
    model = {"family": "latent_vae"}
    settings = dict(SHAPE)
    LoopSettings.complete(settings, {"coder": CODER}, sounds)
    config = SimpleNamespace(**{**LoopSettings(coder=CODER, crop_seconds=2.0,
                                               validation_fraction=0.3).model_dump(),
                                "seed": 3, "batch_size": 3, **changes})
    made = build(model["family"], settings)
    data = Loops(sounds, config, tmp_path / "cache")
    data.look()
    data.prepare(made, QUIET)
    return data, made


def test_a_model_takes_the_shape_of_its_coder_and_the_styles_of_the_folder(tmp_path):
    data, model = prepared(tmp_path, folder(tmp_path / "a"))
    assert model.config.styles == ("even", "odd")
    assert (model.config.latents, model.config.compression) == (16, RATIO)
    assert model.codec.latents
    assert abs(float(model.heard.weight[0, 0, 0] * model.made.weight[0, 0, 0]) - 1) < 1e-6
    assert "120 to 140 BPM" in data.found()


def test_a_crop_says_where_in_the_bar_it_is(tmp_path):
    data, model = prepared(tmp_path, folder(tmp_path / "a"))
    config = model.config
    crop = data._crop("0.wav", 0)
    bar = 240 / 125 * RATE / RATIO  # frames
    phase = crop["rows"][config.place("phase")]
    assert np.allclose(phase, np.arange(data.chunks) * 8 / bar % 1, atol=1e-4)
    assert np.allclose(crop["rows"][config.place("tempo")], np.log2(125 / 128), atol=1e-3)
    assert (crop["bar"] == np.arange(data.chunks) * 8 // bar).all()
    assert crop["since"][0] == 0


def test_a_loop_goes_round(tmp_path):
    """Latents behind its end are those of its beginning: what is at the seam was heard."""
    data, _ = prepared(tmp_path, folder(tmp_path / "a", sounds=[(125, 1), (120, 1), (125, 2)]))
    frames = data.cache.periods["0.wav"] // RATIO
    assert frames * RATIO == data.cache.periods["0.wav"]
    both = data.cache.read("0.wav", 0, 2 * frames)
    assert np.abs(both[:16, frames : frames + 100] - both[:16, :100]).max() < 1e-4
    # The first frame has heard the end of the loop; without, it would be another.
    coder = load_model(CODER).model
    sound = torch.from_numpy(clicks(125, 1, 0))[None, None]
    alone = coder.distribution(sound[..., : 8 * RATIO])[0][0, :, 0].detach().numpy()
    assert np.abs(alone - both[:16, 0]).max() > 1e-3


def test_windows_begin_at_bar_lines(tmp_path):
    data, model = prepared(tmp_path, folder(tmp_path / "a"))
    crop = data._crop("1.wav", 300)
    bar = data.cache.periods["1.wav"] / RATIO / 2
    first = int(300 // bar)
    for i in range(int(crop["bar"].max()) + 1):
        begin = round((first + i) * bar)
        wanted = data.cache.read("1.wav", begin, model.config.window_frames)[:16]
        assert np.array_equal(crop["windows"][i], wanted)


def test_a_filling_that_was_stopped_goes_on(tmp_path, monkeypatch):
    sounds, encoded, original = folder(tmp_path / "loops"), [], LoopCache._round

    def noted(self, loop):
        encoded.append(loop.shape[1])
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return original(self, loop)

    monkeypatch.setattr(cache, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(LoopCache, "_round", noted)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, sounds)
    resumed, _ = prepared(tmp_path, sounds)
    assert len(encoded) == 5  # two that were kept, the one that was not, and what is left
    whole, _ = prepared(tmp_path / "other", sounds)
    assert resumed.cache.facts == whole.cache.facts
    assert torch.equal(resumed.batch(0, Shard())["mean"], whole.batch(0, Shard())["mean"])


def test_batches_are_functions_of_seed_and_number(tmp_path):
    data, _ = prepared(tmp_path, folder(tmp_path / "a"))
    one, again, other = data.batch(4, Shard()), data.batch(4, Shard()), data.batch(5, Shard())
    for name in one.tensors:
        assert torch.equal(one[name], again[name])
    assert not torch.equal(one["mean"], other["mean"])
    assert set(data.example(2).tensors) == set(one.tensors)
    for name, value in data.example(3).tensors.items():
        assert value.shape == one[name].shape, name


def test_without_a_table_a_loop_is_a_whole_number_of_bars(tmp_path):
    assert [bars_by_length(seconds) for seconds in (1.92, 2.0, 3.9, 8.0, 2.66)] == [1, 1, 2, 4, 1]
    data, _ = prepared(tmp_path, folder(tmp_path / "a", table=False))
    assert {name: facts.bars for name, facts in data.cache.facts.items()} == {
        "0.wav": 1, "1.wav": 2, "2.wav": 4, "3.wav": 1}
    assert "a whole number of bars each" in data.found()


def test_knobs_follow_the_sound(tmp_path):
    path = folder(tmp_path / "a", sounds=[(125, 1), (125, 1)])
    soundfile.write(path / "1.wav", 0.1 * clicks(125, 1, 0), RATE)
    data, _ = prepared(tmp_path, path)
    loud, soft = (data.cache.facts[f"{i}.wav"].knobs for i in (0, 1))
    gains = [data.cache.gains_db[f"{i}.wav"] for i in (0, 1)]
    assert abs((loud[2] - gains[0]) - (soft[2] - gains[1]) - 20) < 0.5
    assert abs(loud[1] - soft[1]) < 0.05
    assert abs(loud[0] - 4 / (240 / 125)) < 0.6


def test_loops_are_learnt_at_levels_of_their_own(tmp_path):
    path = folder(tmp_path / "a", sounds=[(125, 1)] * 8)
    data, _ = prepared(tmp_path, path)
    gains = [data.cache.gains_db[f"{i}.wav"] for i in range(8)]
    assert -6 <= min(gains) < max(gains) <= 2
    assert max(gains) - min(gains) > 3
    levels = [data.cache.facts[f"{i}.wav"].knobs[2] - gain for i, gain in enumerate(gains)]
    assert max(levels) - min(levels) < 0.8
    assert abs(data.knob_mean[2] - np.mean(levels)) < 0.1  # 0: as loud as the folder
    plain, _ = prepared(tmp_path / "plain", path, level_spread_db=0.0)
    assert set(plain.cache.gains_db.values()) == {0.0}


def test_levels_of_bands_go_with_the_sound(tmp_path):
    hop, seconds = 128, 1.0
    time = np.arange(round(seconds * RATE)) / RATE
    tone = (np.sin(2 * np.pi * 1000 * time) * (time >= 0.5)).astype(np.float32)
    levels = band_levels(tone, RATE, hop)
    assert levels.shape == (BANDS, len(tone) // hop)
    loudest = int(levels[:, -20:].mean(axis=1).argmax())
    edges = np.geomspace(50, RATE / 2, BANDS + 1)
    assert edges[loudest] < 1000 < edges[loudest + 1]
    begun = int(np.flatnonzero(levels[loudest] > levels[loudest].max() - 6)[0])
    assert abs(begun - 0.5 * RATE / hop) <= 1
    half = band_levels(tone * np.float32(0.5), RATE, hop)
    assert abs(float((levels - half)[loudest, -20:].mean()) - 6.02) < 0.01
    assert np.array_equal(levels[:, : int(0.4 * RATE / hop)].round(3),
                          np.full((BANDS, int(0.4 * RATE / hop)), -80, np.float32))


@pytest.mark.parametrize(("line", "said"), [
    ("0.wav,125,zero,a", "line 2: bars must be"), ("0.wav,125,1000,a", "line 2: bars must be"),
])
def test_a_table_that_cannot_be_meant(tmp_path, line, said):
    path = folder(tmp_path / "a")
    (path / "metadata.csv").write_text("file,bpm,bars,style\n" + line + "\n", "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_table(path)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_what_is_no_loop_is_left_out(tmp_path):
    path = folder(tmp_path / "a")
    soundfile.write(path / "long.wav", np.tile(clicks(125, 1), 40), RATE)
    soundfile.write(path / "short.wav", clicks(125, 1)[:4000], RATE)
    soundfile.write(path / "silent.wav", np.zeros(2 * RATE, np.float32), RATE)
    data, _ = prepared(tmp_path, path)
    reasons = {each.name: each.reason for each in data.skipped}
    assert "at most 64" in reasons["long.wav"]
    assert "no loop" in reasons["short.wav"]
    assert "silent" in reasons["silent.wav"]


@pytest.mark.parametrize(("seconds", "bars"), [(0.6, None), (2.0, 5), (20.0, 1)])
def test_a_tempo_that_no_loop_has_is_no_loop(tmp_path, seconds, bars):
    """Else training would end at the crop that asks for it."""
    path = folder(tmp_path / "a", table=bars is not None)
    soundfile.write(path / "x.wav", np.tile(clicks(125, 8), 2)[: round(seconds * RATE)], RATE)
    if bars is not None:
        with (path / "metadata.csv").open("a", encoding="utf-8") as table:
            table.write(f"x.wav,,{bars},odd\n")
    data, _ = prepared(tmp_path, path)
    reasons = {each.name: each.reason for each in data.skipped}
    assert set(reasons) == {"x.wav"}
    assert "40 to 240 BPM" in reasons["x.wav"]


def test_styles_are_folders_where_no_table_says_them():
    assert styles_of(["a/x.wav", "b/y.wav", "z.wav"], {}) == ("a", "b")
    assert styles_of(["a/x.wav"], {}) == ()


@pytest.mark.parametrize(("coder", "said"), [
    ("", "training.coder is not set"), ("bach-pi", "has no"),
])
def test_coders_that_are_none(tmp_path, coder, said):
    config = SimpleNamespace(**{**LoopSettings(coder=coder).model_dump(), "seed": 0,
                                "batch_size": 2})
    data = Loops(folder(tmp_path / "a"), config, tmp_path / "cache")
    with pytest.raises(ConfigError, match=said):
        data.look()
