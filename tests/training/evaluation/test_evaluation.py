"""Measures on signals whose answer is known, and a folder scored from end to end."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from engine.errors import AudioError
from engine.models.base import Model
from engine.models.registry import FAMILIES, Family
from engine.models.store import build_from, load_model, read_settings, save_weights
from engine.players.pytorch import PyTorchPlayer
from nn_tudor.cli import main
from tests.families.paired import Shaper, ShaperConfig
from tests.training.training_helpers import RATE, fill, loop, preset
from training.evaluation.evaluate import evaluate_folder, play
from training.evaluation.judges.reconstruction import findings
from training.evaluation.measures import (
    Target,
    level_db,
    matches,
    octave_split,
    onset_f,
    onsets,
    shaped_noise,
)


def clicks(times: list[float], seconds: float = 2.0) -> np.ndarray:
    """Short noise bursts at `times`: [1, samples]."""
    audio = np.zeros((1, round(seconds * RATE)), np.float32)
    for time in times:
        at = round(time * RATE)
        audio[0, at : at + 80] = np.random.default_rng(at).uniform(-0.8, 0.8, 80)
    return audio


def tiny(tmp_path: Path) -> Model:
    return build_from(read_settings(Path(preset(tmp_path))))


def test_a_short_delay_is_near_and_silence_is_far() -> None:
    audio = loop(1, 3.0)[None]
    target = Target(audio, RATE)
    itself, silent = target.compare(audio), target.compare(np.zeros_like(audio))
    late = target.compare(np.pad(audio, ((0, 0), (8, 0)))[:, : audio.shape[1]])
    assert (itself.spectral_distance, itself.log_mel_db, itself.level_error_db) == (0, 0, 0)
    assert itself.onset_f == late.onset_f == 1
    assert late.spectral_distance < 0.5
    assert late.log_mel_db < 1
    assert silent.spectral_distance > 4
    assert silent.onset_f == 0
    assert silent.level_error_db > 50


def test_level_error_is_the_gain() -> None:
    audio = loop(2, 1.0)[None]
    assert Target(audio, RATE).compare(audio / 2).level_error_db == pytest.approx(6.02, abs=0.01)
    assert level_db(np.ones((2, 10), np.float32)) == pytest.approx(0)


def test_onsets_of_a_click_track() -> None:
    times = [0.3, 0.7, 1.1, 1.5]
    found = onsets(clicks(times), RATE)
    assert len(found) == 4
    assert np.abs(found - times).max() < 0.05
    half = onsets(clicks(times[:2]), RATE)
    assert onset_f(half, found) == pytest.approx(2 * 2 / 6)
    moved = onsets(clicks([time + 0.15 for time in times]), RATE)
    assert onset_f(moved, found) == 0


def test_onset_matching_uses_each_once() -> None:
    wanted = np.array([1.0, 2.0])
    assert matches(np.array([0.96, 1.0, 1.04]), wanted, 0.05) == 1
    assert matches(np.array([1.05, 1.95]), wanted, 0.05) == 2
    assert matches(np.array([1.06, 1.94]), wanted, 0.05) == 0
    assert onset_f(np.zeros(0), np.zeros(0)) == 1
    assert onset_f(np.zeros(0), wanted) == 0


def test_octaves_add_up_and_hold_their_own() -> None:
    audio = np.random.default_rng(1).standard_normal((1, 4096)).astype(np.float32)
    bands = octave_split(audio)
    assert bands.shape == (8, 1, 4096)
    assert np.abs(bands.sum(axis=0) - audio).max() < 1e-5
    spectrum = np.abs(np.fft.rfft(bands[0, 0]))  # the highest octave: Nyquist / 2 and up
    assert spectrum[:1024].max() < 1e-6 * spectrum[1100:].max()


def test_shaped_noise_keeps_levels_and_finer_frames_come_closer() -> None:
    audio = loop(3, 3.0)[None]
    target = Target(audio, RATE)
    scores = [target.compare(shaped_noise(audio, frame)) for frame in (2048, 512, 128)]
    assert scores[0].spectral_distance > scores[1].spectral_distance > scores[2].spectral_distance
    assert all(score.level_error_db < 2 for score in scores)
    assert np.array_equal(shaped_noise(audio, 512), shaped_noise(audio, 512))


def test_playing_takes_the_delay_out(tmp_path: Path) -> None:
    """Against the model offline, shifted by its lookahead, for a length that fits no block."""
    model = tiny(tmp_path).eval()
    audio = loop(4, 5.0)[None, :-7]
    late = model.methods["forward"].lookahead_samples
    assert late > 0
    padded = np.pad(audio, ((0, 0), (0, 7 + 32 * 8)))[None]
    whole = model.offline("forward", torch.from_numpy(padded))[0].numpy()
    player = PyTorchPlayer(model)
    play(player, audio[:, ::-1])  # leaves a state behind, which must not matter
    found = play(player, audio)
    assert found.shape == audio.shape
    assert np.abs(found).max() > 1e-3
    assert np.abs(found - whole[:, late : late + audio.shape[1]]).max() < 1e-5


def test_a_folder_is_scored_beside_its_baselines(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 3)
    soundfile.write(folder / "silent.wav", np.zeros(800), RATE)
    result = evaluate_folder(tiny(tmp_path), folder)
    assert result["files"] == 3
    assert result["seconds"] == pytest.approx(3.0)
    assert result["skipped"] == [{"name": "silent.wav", "reason": "silent"}]
    names = ["model", "untrained", "noise_2048", "noise_512", "noise_128", "silence"]
    assert list(result["results"]) == names
    for scores in result["results"].values():
        assert np.isfinite(list(scores.values())).all()
    assert result["results"]["model"] == result["results"]["untrained"]
    assert result["results"]["silence"]["spectral_distance"] > 3
    grid = findings(result).grids[0]
    assert [row[0].replace(" ", "_") for row in grid.rows] == names
    assert grid.head[1:4] == ["distance ↓", "log-mel dB ↓", "onset F ↑"]
    assert evaluate_folder(tiny(tmp_path), folder, limit=1, baselines=False)["files"] == 1


def test_sounds_too_short_to_collect_and_names_in_brackets(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1, 0.3)
    soundfile.write(folder / "[b]quiet[b].wav", np.zeros(800), RATE)
    result = evaluate_folder(tiny(tmp_path), folder)
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert all(scores["descriptor_mmd"] is None for scores in result["results"].values())
    console = Console(file=StringIO(), width=200)
    findings(result).show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[b]quiet[b].wav: silent" in text
    assert "nan" not in text.lower()


def test_preset_by_name_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="holds no audio"):
        evaluate_folder("techno-tiny", tmp_path)
    assert evaluate_folder(load_model("techno-tiny"), fill(tmp_path / "d", 1), baselines=False)[
        "model"] == "techno-tiny"


def test_the_command_has_a_page_for_an_effect_without_latents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FAMILIES, "shaper", Family(ShaperConfig, Shaper, "a toy"))
    run, data = tmp_path / "run", fill(tmp_path / "data", 2)
    run.mkdir()
    (run / "config.toml").write_text('[model]\nfamily = "shaper"\nsample_rate_hz = 8000\n')
    save_weights(Shaper(ShaperConfig(sample_rate_hz=RATE)), run / "model.safetensors")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(run), "--data", str(data), "--report", str(tmp_path / "page")])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "judge reconstruction" in said
    assert "distance ↓" in said
    assert "onset F ↑" in said
    page = (tmp_path / "page/report.html").read_text()
    assert "scores.png" in page
    assert "The latents" not in page
    assert (tmp_path / "page/scores.png").stat().st_size > 0
