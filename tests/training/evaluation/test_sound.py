"""The honest figures on sounds whose answer is known, and of a folder from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.models.raw_vae import RawVAE
from engine.models.store import build_from, read_settings
from engine.players.pytorch import PyTorchPlayer
from tests.training.training_helpers import RATE, fill, preset
from training.evaluation import sound_table
from training.evaluation.evaluate import evaluate_folder
from training.evaluation.judges.reconstruction import findings
from training.evaluation.measures import shaped_noise
from training.evaluation.standing import standing_figures
from training.evaluation.texture import (
    Texture,
    comb,
    modulation,
    octave_errors,
    octave_levels,
    octaves_hz,
    spectrogram,
)
from training.evaluation.tonality import (
    PARTIAL_DB,
    Notes,
    bands,
    fine_structure,
    kept_hz,
    pitch_figures,
    window_samples,
)

HZ = 16000
WINDOW = window_samples(HZ)


def noise(seed: int = 1, seconds: float = 3.0, gain: float = 0.1) -> np.ndarray:
    size = round(seconds * HZ)
    drawn = np.random.default_rng(seed).standard_normal((1, size))
    return (gain * drawn).astype(np.float32)


def tone(hertz: float, partials: int = 1, seconds: float = 3.0) -> np.ndarray:
    t = np.arange(round(seconds * HZ)) / HZ
    waves = [np.sin(2 * np.pi * hertz * k * t + k * k) / k for k in range(1, partials + 1)]
    return (0.2 * np.sum(waves, axis=0))[None].astype(np.float32)


def tiny(tmp_path: Path, noisy: bool = True) -> RawVAE:
    torch.manual_seed(3)
    settings = read_settings(Path(preset(tmp_path)))
    settings["model"]["noise"] = noisy
    made = build_from(settings).eval()
    assert isinstance(made, RawVAE)
    return made


# --- texture ----------------------------------------------------------------------------------


def test_noise_has_texture_and_pulses_have_none() -> None:
    meter = Texture(noise(), HZ)
    assert all(4.9 < value < 5.6 for value in meter.own)
    assert meter.of(noise(2)) == pytest.approx(meter.own, abs=0.1)
    assert meter.of(0.01 * noise(2)) == pytest.approx(meter.own, abs=0.1), "whatever the level"
    pulses = np.zeros_like(noise())
    pulses[:, ::256] = 1
    assert meter.of(pulses)[0] < 0.5
    assert np.isnan(Texture(np.zeros_like(pulses), HZ).own).all()


def test_texture_is_looked_at_where_the_original_is_heard() -> None:
    sound = noise()
    sound[:, HZ:] = 0
    meter, other = Texture(sound, HZ), noise(2)
    changed = other.copy()
    changed[:, 2 * HZ :] = 0
    assert meter.of(changed) == meter.of(other)
    changed = other.copy()
    changed[:, : HZ // 2] = 0
    assert meter.of(changed)[1] < meter.of(other)[1] - 0.5


@pytest.mark.parametrize("depth", [0.3, 0.8])
def test_modulation_is_the_depth_at_the_frame_rate_alone(depth: float) -> None:
    t = np.arange(3 * HZ) / HZ
    moved = noise() * (1 + depth * np.sin(2 * np.pi * 125 * t)).astype(np.float32)
    assert modulation(moved, HZ, 128) == pytest.approx(depth, abs=0.04)
    assert modulation(moved, HZ, 96) < 0.15
    assert modulation(noise(), HZ, 128) < 0.15
    low = tone(400) * (1 + depth * np.sin(2 * np.pi * 125 * t)).astype(np.float32)
    assert modulation(low + noise(), HZ, 128) < 0.15, "only above 1.5 kHz"
    assert np.isnan(modulation(0 * moved, HZ, 128))
    assert np.isnan(modulation(moved[:, :500], HZ, 128))


def test_octaves_know_their_level() -> None:
    assert octaves_hz(HZ) == [62.5, 125, 250, 500, 1000, 2000, 4000]
    wanted = octave_levels(spectrogram(noise(), WINDOW), HZ)
    louder = octave_levels(spectrogram(2 * noise(), WINDOW), HZ)
    assert octave_errors(louder, wanted) == pytest.approx(6.02, abs=0.01)
    added = octave_levels(spectrogram(noise() + 3 * tone(700), WINDOW), HZ)
    errors = octave_errors(added, wanted)
    assert errors.argmax() == 3
    assert np.delete(errors, 3) == pytest.approx(0, abs=0.2)
    silent = octave_levels(spectrogram(0 * noise(), WINDOW), HZ)
    assert np.isnan(octave_errors(wanted, silent)).all()


# --- tonality ---------------------------------------------------------------------------------


def test_partials_are_kept_as_far_as_they_are() -> None:
    sound = tone(110, 60)
    wanted = spectrogram(sound, WINDOW)
    assert [bands(rate)[-1] for rate in (HZ, 48000)] == [(4000, 7500), (7500, 15000)]
    same = fine_structure(wanted, wanted, HZ)
    assert same == pytest.approx([1] * 6, abs=1e-6)
    assert kept_hz(same, HZ) == pytest.approx(5477, abs=1)
    other = fine_structure(spectrogram(noise(), WINDOW), wanted, HZ)
    assert other == pytest.approx([0] * 6, abs=0.15)
    assert kept_hz(other, HZ) == 0
    half = fine_structure(spectrogram(tone(110, 9) + noise(gain=0.01), WINDOW), wanted, HZ)
    assert min(half[:3]) > 0.8
    assert max(half[4:]) < 0.15
    assert 707 < kept_hz(half, HZ) < 2000
    assert kept_hz([1, 0.75, 0.25, 0, 0, 0], HZ) == pytest.approx(500, abs=1)
    assert np.isnan(kept_hz([float("nan")] * 6, HZ))


def test_bands_without_partials_do_not_count() -> None:
    """Below the lowest note there is noise alone, which nobody can keep."""
    wanted, found = (spectrogram(tone(440, 15) + noise(gain=0.003, seed=seed), WINDOW)
                     for seed in (1, 2))
    assert fine_structure(found, wanted, HZ)[0] < 0.5
    kept = fine_structure(found, wanted, HZ, PARTIAL_DB)
    assert np.isnan(kept[0]) and kept_hz(kept, HZ) > 5000  # noqa: PT018


def test_pitch_is_judged_where_the_original_has_one() -> None:
    notes = Notes(tone(220, 4), HZ)
    sharp = pitch_figures(notes.errors(tone(220 * 2 ** (50 / 1200), 4)))
    assert sharp["pitch_cents"] == pytest.approx(50, abs=2)
    assert sharp["pitch_kept"] == 0
    near = pitch_figures(notes.errors(tone(220 * 2 ** (8 / 1200), 4)))
    assert near["pitch_cents"] == pytest.approx(8, abs=2)
    assert near["pitch_kept"] > 0.95
    lost = pitch_figures(notes.errors(noise()))
    assert lost["pitch_kept"] < 0.05
    assert len(Notes(noise(), HZ).errors(tone(220))) < 20
    assert np.isnan(pitch_figures(Notes(0 * noise(), HZ).errors(noise()))["pitch_kept"])


# --- a player by itself -----------------------------------------------------------------------


def test_held_latents_are_a_buzz_without_noise_and_none_with_it(tmp_path: Path) -> None:
    audio = 0.5 * np.random.default_rng(1).standard_normal((1, 2 * RATE)).astype(np.float32)
    buzz = standing_figures(PyTorchPlayer(tiny(tmp_path, noisy=False)), audio)
    assert buzz["held_at_frame_rate"] == pytest.approx(1, abs=1e-3)
    model = tiny(tmp_path)
    heads: Any = model.decoder.layers[-3]
    torch.nn.init.zeros_(heads.branches[0].layers[0].weight)
    torch.nn.init.zeros_(heads.branches[0].layers[0].bias)
    hiss = standing_figures(PyTorchPlayer(model), audio)
    assert hiss["held_at_frame_rate"] == pytest.approx(5 * 32 / RATE, rel=0.6)
    assert 0 < hiss["swept_modulation"] < 0.5  # type: ignore[operator]


def test_a_click_at_the_start_is_measured_before_the_delay(tmp_path: Path) -> None:
    """What the biases of a decoder play into a state of zeros."""
    model = tiny(tmp_path, noisy=False)
    heads: Any = model.decoder.layers[-3]
    torch.nn.init.constant_(heads.branches[0].layers[0].bias, 0.3)
    player, sound = PyTorchPlayer(model), np.full((1, RATE), 0.1, np.float32)
    player.process("forward", np.random.default_rng(1).uniform(-1, 1, sound.shape))
    found = standing_figures(player, sound)
    x = torch.zeros(1, 1, RATE // 2)
    wanted = 20 * np.log10(float(model.offline("forward", x).abs().max()))
    assert found["start_dbfs"] == pytest.approx(wanted, abs=1e-3)
    assert found["reset_dbfs"] == found["start_dbfs"]
    assert found["start_ms"] > 0  # type: ignore[operator]


# --- a folder ---------------------------------------------------------------------------------


def test_a_folder_is_measured_beside_floor_and_ceiling(tmp_path: Path) -> None:
    model, folder = tiny(tmp_path), fill(tmp_path / "data", 2)
    player = PyTorchPlayer(model)
    player.set("seed", 5)
    result = evaluate_folder(player, folder)
    assert player.get("seed") == 5
    subjects = result["sound"]["subjects"]
    assert list(subjects) == ["model", "noise_128", "silence", "shifted", "original"]
    own = subjects["original"]
    assert (own["energy_score"], own["texture_error_db"], own["modulation_ratio"]) == (0, 0, 1)
    assert subjects["shifted"]["energy_score"] < subjects["noise_128"]["energy_score"]
    assert subjects["noise_128"]["energy_score"] < subjects["silence"]["energy_score"]
    for name in ("model", "noise_128"):  # less what two draws differ by
        distance = result["results"][name]["spectral_distance"]
        assert subjects[name]["energy_score"] < distance - 0.02
    assert subjects["silence"]["energy_score"] == pytest.approx(
        result["results"]["silence"]["spectral_distance"])
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    text = [cell for grid in findings(result).grids for row in (grid.head, *grid.rows)
            for cell in row]
    assert {"energy score \u2193", "noise 128 (floor)", "click at the start, dBFS"} <= {*text}
    alone = evaluate_folder(player, folder, limit=1, baselines=False)
    assert list(alone["sound"]["subjects"]) == ["model", "shifted", "original"]
    assert sound_table.plots(alone)


def test_the_page_has_the_figures_with_pictures(tmp_path: Path) -> None:
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.reconstruction import judge

    torch.manual_seed(3)
    folder, out = fill(tmp_path / "data", 1), tmp_path / "page"
    case = open_case(tiny(tmp_path), folder, out=out, limit=1)
    text = judge(case).write_page(out).read_text()
    for word in ("energy score", "texture dB", "fine structure", "held latents"):
        assert word in text
    assert {"octaves.png", "fine.png", "texture.png"} <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize(("rate", "frame"), [(16000, 64), (16000, 128), (48000, 256)])
def test_a_comb_is_what_lies_at_multiples_of_the_frame_rate(rate: int, frame: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((1, 2 * rate)).astype(np.float32)
    pulses = np.zeros_like(drawn)
    pulses[:, ::frame] = 5.0
    between = np.zeros_like(drawn)  # a period of 9/8 of a frame: few of its lines are near
    between[:, :: frame * 9 // 8] = 5.0
    assert comb(drawn, rate, frame) == pytest.approx(0.25, abs=0.02)
    assert comb(pulses, rate, frame) > 0.98
    assert 0.3 < comb(0.5 * drawn + pulses, rate, frame) < 0.98
    assert comb(between, rate, frame) < 0.5
    assert np.isnan(comb(0 * drawn, rate, frame))
    assert np.isnan(comb(drawn, rate, 4))  # no multiple above 1.5 kHz and below the top


def test_the_comb_is_of_the_pieces_that_are_heard(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1)
    found = evaluate_folder(tiny(tmp_path), folder)["sound"]["subjects"]
    assert 0 < found["model"]["comb"] <= 1
    assert found["noise_128"]["comb"] == pytest.approx(0.25, abs=0.05)
    assert found["silence"]["comb"] is None


def test_the_second_draw_is_another_one_of_the_same(tmp_path: Path) -> None:
    """By hand: half the distance of two draws, by two seeds, is what the score is less."""
    from training.evaluation.evaluate import play
    from training.objectives.energy import compare

    folder = tmp_path / "data"
    folder.mkdir()
    audio = 0.3 * np.random.default_rng(2).standard_normal((1, 2 * RATE)).astype(np.float32)
    soundfile.write(folder / "a.wav", audio.T, RATE, subtype="FLOAT")
    player = PyTorchPlayer(tiny(tmp_path))
    found = evaluate_folder(player, folder)["sound"]["subjects"]
    draws = []
    for seed in (0, 1):
        player.set("seed", seed)
        draws.append(torch.from_numpy(play(player, audio)))
    assert not torch.equal(*draws)
    score = compare(tuple(draws), torch.from_numpy(audio)).score
    assert found["model"]["energy_score"] == pytest.approx(float(score), rel=1e-5)
    both = tuple(torch.from_numpy(shaped_noise(audio, 128, seed)) for seed in (0, 1))
    assert found["noise_128"]["energy_score"] == pytest.approx(
        float(compare(both, torch.from_numpy(audio)).score), rel=1e-5)


def test_only_what_is_asked_for_is_played(tmp_path: Path) -> None:
    folder, model = fill(tmp_path / "data", 1), tiny(tmp_path)
    whole, part = (evaluate_folder(model, folder, only=only) for only in (None, ("noise_128",)))
    assert set(part["results"]) == {"model", "noise_128"}
    assert set(part["sound"]["subjects"]) == {"model", "noise_128", "shifted", "original"}
    assert set(whole["results"]) > {"untrained", "noise_2048", "silence"}
    for name in part["results"]:
        assert part["results"][name] == whole["results"][name]
        assert part["sound"]["subjects"][name] == whole["sound"]["subjects"][name]


def test_sounds_of_a_few_samples_have_few_figures(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    soundfile.write(folder / "click.wav", np.linspace(-0.5, 0.5, 200), RATE)
    result = evaluate_folder(tiny(tmp_path), folder)
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert result["sound"]["subjects"]["model"]["pitch_cents"] is None
    findings(result)
