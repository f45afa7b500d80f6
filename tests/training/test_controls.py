"""Controls beside the latents: measured right, taught, left alone, carried by every export."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor
from training_helpers import RATE, fill, loop, preset

import training.control_report
from engine.backends.pytorch import PyTorchPlayer
from engine.description import Latent
from engine.models.registry import build
from engine.models.store import Stored, load_model
from engine.runtime import load
from export.targets import TARGETS, export_model
from training.config import resolve, training_config
from training.control_report import control_figures
from training.controls import (
    MIDDLE_C_HZ,
    PEAK,
    Grid,
    Lesson,
    a_weighting,
    lesson,
    loudness,
    pitch,
    transposed,
)
from training.evaluation import evaluate_folder
from training.evaluation_report import write_report
from training.latent_play import Space, prior_draws
from training.latent_report import examine
from training.latents import playable
from training.loop import Machine, train
from training.measures import loudness_db
from training.objective import AutoencoderObjective

CONFIG = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}
BOTH = ("loudness", "pitch")
GRID = Grid(16000, 128, 40)
INNER = slice(20, -20)  # frames whose windows lie inside the sound


def tone(hertz: float, level: float = 0.25, rate_hz: int = 16000, seconds: float = 1.0) -> Tensor:
    t = torch.arange(round(seconds * rate_hz)) / rate_hz
    return (level * torch.sin(2 * np.pi * hertz * t))[None]


def controlled(**changes: object) -> Any:
    torch.manual_seed(0)
    return build("raw_vae", {**CONFIG, "controls": BOTH, **changes}).eval()


# --- measures ----------------------------------------------------------------------------------


def test_a_weighting_is_the_standard_s() -> None:
    """Table 3 of IEC 61672-1: nominal frequencies, which stand for tenths of a decade, and their
    weights in dB."""
    table = {31.5: -39.4, 63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2,
             4000: 1.0, 8000: -1.1}
    hertz = 10 ** (torch.tensor(list(table)).log10().mul(10).round() / 10)
    found = 20 * torch.log10(a_weighting(hertz))
    assert found.tolist() == pytest.approx(list(table.values()), abs=0.1)


@pytest.mark.parametrize("hertz", [125.0, 1000.0, 4000.0])
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_loudness_of_a_tone_of_known_level(rate_hz: int, hertz: float) -> None:
    x = tone(hertz, rate_hz=rate_hz)
    found, known = loudness(x, Grid(rate_hz, 128, 40))
    assert found.shape == known.shape == (1, rate_hz // 128)
    assert bool(known.all())
    level = 20 * np.log10(0.25 / 2**0.5) + 10 * np.log10(1.5)
    level += 20 * float(torch.log10(a_weighting(torch.tensor(hertz))))
    middle = 10 * found[0, INNER]
    assert middle.tolist() == pytest.approx([level] * (rate_hz // 128 - 40), abs=0.3)
    shared = loudness_db(x.numpy(), rate_hz)[8:-8].mean()  # the one that evaluation uses
    assert float(middle.mean()) == pytest.approx(shared, abs=0.3)


def test_loudness_of_silence_is_the_floor() -> None:
    assert loudness(torch.zeros(2, 1600), GRID)[0].unique().tolist() == [-7.0]


@pytest.mark.parametrize("hertz", [55.0, 110.3, MIDDLE_C_HZ, 440.0, 900.0])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_pitch_of_a_tone(rate_hz: int, hertz: float) -> None:
    found, voiced = pitch(tone(hertz, rate_hz=rate_hz), Grid(rate_hz, 128, 40))
    assert voiced.shape == (1, rate_hz // 128)
    assert bool(voiced[0, INNER].all())
    assert (12 * (found[0, INNER] - log2(hertz / MIDDLE_C_HZ)).abs()).max() < 0.2


def test_pitch_is_that_of_the_fundamental_and_noise_has_none() -> None:
    chord = sum((tone(110 * k, 0.1) for k in (2, 3, 4, 5)), 0.2 * tone(110, 0.1))
    found, voiced = pitch(chord, GRID)
    assert float((found[voiced] - log2(110 / MIDDLE_C_HZ)).abs().median()) < 0.01
    noise = 0.1 * torch.randn(1, 16000, generator=torch.manual_seed(0))
    assert pitch(noise, GRID)[1].float().mean() < 0.02
    assert not bool(pitch(torch.zeros(1, 16000), GRID)[1].any())
    assert not bool(pitch(tone(200, 1e-3), GRID)[1].any()), "it is too quiet to have one"


def test_a_frame_is_measured_where_it_decodes_to() -> None:
    """A burst as long as frame 50's sound is loudest in frame 50."""
    x = torch.zeros(1, 16000)
    x[0, 50 * 128 - 40 : 51 * 128 - 40] = tone(1000)[0, :128]
    assert int(loudness(x, GRID)[0].argmax()) == 50
    model = build("raw_vae", {"controls": BOTH})
    grid = Grid.of(16000, model.methods["encode"])
    both = grid.late + model.methods["decode"].lookahead_samples
    assert both == model.methods["forward"].lookahead_samples


@pytest.mark.parametrize("octaves", [-0.5, 0.3, 0.58])
def test_transposition_moves_pitch_and_nothing_else(octaves: float) -> None:
    x = torch.stack([tone(200) + tone(400, 0.1), tone(440) + tone(880, 0.1)])
    x[..., :4000] = 0
    found, exact = transposed(x, 16000, octaves)
    assert found.shape == x.shape
    assert exact == pytest.approx(octaves, abs=0.01)
    for before, after in zip(x, found, strict=True):
        (a, known), (b, still) = pitch(before, GRID), pitch(after, GRID)
        both = known & still
        assert both.float().mean() > 0.5
        assert float((b - a)[both].median()) == pytest.approx(exact, abs=0.02)
        begins = int((after[0].abs() > 0.03).nonzero()[0])
        assert begins == pytest.approx(4000, abs=480)
    assert float(found.std() / x.std()) == pytest.approx(1, abs=0.05)


# --- teaching ----------------------------------------------------------------------------------


def taught(said: Tensor, audio: Tensor, names: tuple[str, ...] = BOTH, seed: int = 0) -> Lesson:
    torch.manual_seed(seed)
    return lesson(names, GRID, said, audio)


def test_the_loss_is_the_distance_to_what_is_measured() -> None:
    audio = tone(440)[None]
    wanted, (high, voiced) = loudness(audio[:, 0], GRID)[0], pitch(audio[:, 0], GRID)
    said = torch.stack([wanted + 0.5, high - 0.25], dim=1)
    found = taught(said, audio)
    assert float(found.loss) == pytest.approx(0.75, abs=1e-4)
    assert float(found.figures["loudness_error_db"]) == pytest.approx(5, abs=1e-3)
    assert float(found.figures["pitch_error_semitones"]) == pytest.approx(3, abs=1e-3)
    said[:, 1] = torch.where(voiced, said[:, 1], 1e3)  # frames without a pitch do not count
    assert not bool(voiced.all())
    assert float(taught(said, audio).loss) == pytest.approx(0.75, abs=1e-4)
    silent = taught(torch.zeros(1, 2, 125), torch.zeros(1, 1, 16000))
    assert float(silent.figures["pitch_error_semitones"]) == 0


def test_gradients_reach_what_was_said_through_the_loss_alone() -> None:
    audio = tone(440)[None]
    voiced = pitch(audio[:, 0], GRID)[1]
    said = torch.zeros(1, 2, 125, requires_grad=True)
    found = taught(said, audio)
    assert not found.values.requires_grad
    assert not found.target.requires_grad
    found.loss.backward()
    assert said.grad is not None
    assert bool((said.grad[:, 0] != 0).all())
    assert torch.equal(said.grad[:, 1] != 0, voiced)


def test_a_moved_loudness_is_a_louder_target() -> None:
    audio = torch.stack([tone(300 + 20 * k, 0.05 + 0.05 * k) for k in range(16)])
    said = torch.full((16, 1, 125), -3.0)
    found = taught(said, audio, ("loudness",), seed=1)
    moved = 10 * (found.values - said)[:, 0]
    assert float(moved.std(dim=1).max()) < 1e-4
    gain = 20 * torch.log10(found.target.std(dim=2) / audio.std(dim=2))[:, 0]
    assert gain.tolist() == pytest.approx(moved[:, 0].tolist(), abs=1e-3)
    assert 4 <= int((gain.abs() > 0.01).sum()) <= 12
    assert float(gain.max()) > 1
    assert float(gain.min()) < -1
    assert found.target.abs().max() <= PEAK + 1e-3


def test_a_moved_pitch_is_a_higher_target_as_loud_as_it_was() -> None:
    audio = torch.stack([tone(200 + 30 * k, 0.3) for k in range(8)])
    found = taught(torch.zeros(8, 1, 125), audio, ("pitch",), seed=3)
    moved = found.values[:, 0]
    assert float(moved.std(dim=1).max()) == 0
    assert 1 <= int((moved[:, 0] != 0).sum()) <= 7
    for before, after, octaves in zip(audio, found.target, moved[:, 0], strict=True):
        if octaves == 0:
            assert torch.equal(before, after)
            continue
        assert abs(float(octaves)) > 0.02
        change = (pitch(after, GRID)[0] - pitch(before, GRID)[0])[0, INNER]
        assert float(change.median()) == pytest.approx(float(octaves), abs=0.02)
        level = (loudness(after, GRID)[0] - loudness(before, GRID)[0])[0, INNER]
        assert 10 * float(level.mean()) == pytest.approx(0, abs=0.5)


def test_training_leaves_the_silence_of_controls_and_regularises_latents_only() -> None:
    model = controlled().train()
    objective = AutoencoderObjective(training_config({}))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    audio = torch.stack([torch.from_numpy(loop(seed, 0.4, 16000))[None] for seed in range(4)])
    last = model.encoder.layers[-1]
    before = last.weight.detach().clone()
    for step in range(3):
        optimizer.zero_grad()
        terms = objective.terms(model, audio, step)
        assert {"loudness_error_db", "pitch_error_semitones"} <= set(terms)
        terms["loss"].backward()
        optimizer.step()
    assert bool((last.weight[3:5] != before[3:5]).any())
    assert bool((last.weight[8:] == 0).all())
    assert last.bias[8:].tolist() == [-10.0, -10.0]
    assert objective.monitor is not None
    state = objective.monitor.state(125.0)
    assert state is not None
    assert len(state.nats) == 3
    free, weighed = (AutoencoderObjective(training_config({"control_weight": weight}))
                     for weight in (0.0, 2.0))
    losses = []
    for one in (free, weighed):
        torch.manual_seed(5)
        losses.append(one.terms(model, audio, 0))
    errors = losses[0]["loudness_error_db"] / 10 + losses[0]["pitch_error_semitones"] / 12
    assert float(errors) > 0.1
    more = float((losses[1]["loss"] - losses[0]["loss"]).detach())
    assert more == pytest.approx(float(2 * errors), rel=1e-3)


def test_a_run_with_controls(tmp_path: Path) -> None:
    settings = resolve(preset(tmp_path), fill(tmp_path / "data"),
                       ['controls=["loudness","pitch"]'], steps=4)
    folder = train(settings, tmp_path / "run", Machine("cpu"), Console(quiet=True)).folder
    model = load_model(folder).model
    assert model.methods["decode"].input_labels[-2:] == ("loudness", "pitch_oct")
    assert len(model.latents) == 6
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("loudness_error_db" in row for row in rows)
    again = train(settings, tmp_path / "run", Machine("cpu"), Console(quiet=True))
    assert again.already_finished


# --- the model ---------------------------------------------------------------------------------


def test_channels_and_labels() -> None:
    model = controlled()
    labels = ("latent 1", "latent 2", "latent 3", "loudness", "pitch_oct")
    encode, decode = model.methods["encode"], model.methods["decode"]
    assert (encode.out_channels, decode.in_channels) == (5, 5)
    assert encode.output_labels == decode.input_labels == labels
    assert model.attributes["bias"].labels == labels
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(1))
    z = model.offline("encode", x)
    assert z.shape == (1, 5, 100)
    assert torch.equal(model.offline("decode", z), model.offline("forward", x))
    one = build("raw_vae", {**CONFIG, "controls": ("pitch",)})
    assert one.methods["decode"].input_labels[3:] == ("pitch_oct",)


def test_forward_adds_no_noise_to_controls() -> None:
    model = controlled()
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(1))
    with torch.no_grad():
        y = model.encoder.offline(x)
        z, _ = model.sample(y, (torch.zeros(1, 1),), torch.tensor([4.0]))
    assert (z[:, :3] - y[:, :3]).abs().max() > 0.1
    assert (z[:, 3:] - y[:, 3:5]).abs().max() < 1e-3


def test_a_seed_gives_the_same_encoder_with_and_without_controls() -> None:
    """But for its last layer, which is drawn last, as it was before there were controls."""
    models: list[Any] = []
    for changes in ({}, {"controls": BOTH}):
        torch.manual_seed(0)
        models.append(build("raw_vae", {**CONFIG, **changes}))
    plain, other = (list(model.encoder.layers[:-1].parameters()) for model in models)
    assert len(plain) == len(other) > 5
    assert all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))


def test_without_controls_nothing_is_said_of_them() -> None:
    plain = build("raw_vae", CONFIG)
    assert "controls" not in plain.config.model_dump(mode="json")
    assert PyTorchPlayer(plain).description.controls == ()
    assert PyTorchPlayer(controlled()).description.controls == BOTH


# --- playable latents --------------------------------------------------------------------------


def uneven() -> Any:
    """Latents far out of range and out of order, controls as they should be."""
    model = controlled()
    last = model.encoder.layers[-1]
    with torch.no_grad():
        last.weight[:3] *= torch.tensor([0.2, 30.0, 5.0])[:, None, None]
        last.weight[5:8] = 0
    return model


def test_controls_keep_their_units_and_places() -> None:
    model, crops = uneven(), 0.3 * torch.randn(6, 1, 1600, generator=torch.manual_seed(2))
    played = playable(model, crops)
    assert [latent.index for latent in played.latents] == [1, 2, 0, 3, 4]
    assert played.latents[0].scale > 1
    before, after = model.offline("encode", crops), played.offline("encode", crops)
    assert torch.equal(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before[:, :3], after[:, :3])
    assert torch.allclose(model.offline("forward", crops), played.offline("forward", crops),
                          atol=1e-4)
    assert played.methods["decode"].input_labels[3:] == ("loudness", "pitch_oct")
    for latent, values in zip(played.latents[3:], before[:, 3:].transpose(0, 1), strict=True):
        low, high = torch.quantile(values, torch.tensor([0.01, 0.99])).tolist()
        assert (latent.low, latent.high) == pytest.approx((low, high), abs=1e-3)
        assert latent.active
        assert latent.scale == 1.0


def test_asking_for_few_latents_drops_no_control() -> None:
    model, crops = uneven(), 0.3 * torch.randn(6, 1, 1600, generator=torch.manual_seed(2))
    one = playable(model, crops, active=1)
    assert [latent.active for latent in one.latents] == [True, False, False, True, True]
    z = one.offline("encode", crops)
    assert z[:, 1:3].abs().max() == 0
    assert torch.equal(z[:, 3:], model.offline("encode", crops)[:, 3:])
    for channel in (3, 4):
        moved = z.clone()
        moved[:, channel] += 1
        assert not torch.equal(one.offline("decode", z), one.offline("decode", moved))


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_export_plays_controls_in_any_blocks(tmp_path: Path, name: str) -> None:
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(3))
    model = playable(controlled(), x.expand(2, -1, -1))
    out = tmp_path / f"model{TARGETS[name].suffix}"
    export_model(Stored("model", model, {}, True, None), TARGETS[name], out)
    player = load(out)
    assert player.description.controls == BOTH
    assert player.description.latents == model.latents
    z = model.offline("encode", x)
    assert z[:, 3:].abs().max() > 0.5
    found = {}
    for method, signal in (("encode", x[0].numpy()), ("decode", z[0].numpy())):
        spec, at, parts = player.methods[method], 0, []
        player.reset()
        for units in (1, 17, 30, 2, 50):
            size = units * spec.in_frames
            parts.append(player.process(method, np.ascontiguousarray(signal[:, at : at + size])))
            at += size
        assert at == signal.shape[1]
        found[method] = np.concatenate(parts, axis=1)
    assert found["encode"] == pytest.approx(z[0].numpy(), abs=1e-4)
    assert found["decode"] == pytest.approx(model.offline("decode", z)[0].numpy(), abs=1e-4)


# --- the report --------------------------------------------------------------------------------


def test_figures_of_a_model_that_obeys_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode says 2 dB and a semitone too much; decode follows loudness wholly, pitch by half."""
    x = torch.cat([tone(hertz, level) for hertz, level in
                   ((150, 0.02), (220, 0.05), (330, 0.1), (500, 0.3))], dim=1)
    said = torch.stack([loudness(x, GRID)[0][0] + 0.2, pitch(x, GRID)[0][0] + 1 / 12]).numpy()
    method = SimpleNamespace(out_channels=2, out_ratio=128, in_ratio=128, lookahead_samples=40)
    player = SimpleNamespace(sample_rate_hz=16000, methods={"encode": method, "decode": method},
                             description=SimpleNamespace(controls=BOTH))

    def decode(_: object, z: np.ndarray) -> np.ndarray:
        hertz = MIDDLE_C_HZ * 2 ** (0.5 * np.repeat(z[1] - said[1], 128))
        phase = np.cumsum(2 * np.pi * hertz / 16000)
        level = 0.2 * 10 ** (0.5 * np.repeat(z[0] - said[0], 128))
        return (level * np.sin(phase))[None].astype(np.float32)

    monkeypatch.setattr(training.control_report, "decode", decode)
    first, second = control_figures(player, [x.numpy()], [said])  # type: ignore[arg-type]
    assert (first["control"], first["unit"]) == ("loudness", "dB")
    assert first["rank_correlation"] == second["rank_correlation"] == 1
    assert (first["mean_error"], second["mean_error"]) == pytest.approx((2, 1), abs=1e-2)
    assert second["frames"] < first["frames"] == 500
    # A-weighting makes no difference: what decodes is the same tone, louder.
    assert (first["lower"], first["higher"]) == pytest.approx((-6, 6), abs=0.05)
    assert (second["lower"], second["higher"]) == pytest.approx((-2.5, 2.5), abs=0.05)


def test_the_report_shows_controls(tmp_path: Path) -> None:
    torch.manual_seed(0)
    player = PyTorchPlayer(build("raw_vae", {**CONFIG, "sample_rate_hz": RATE, "controls": BOTH}))
    data = fill(tmp_path / "data", 2, 2.0)
    result = evaluate_folder(player, data, baselines=False)
    result["latents"] = examine(player, data, tmp_path / "report", None, {"kind": "kl"})
    json.dumps(result)
    assert [row["control"] for row in result["latents"]["controls"]] == list(BOTH)
    page = write_report(tmp_path / "report", result).read_text()
    for text in ("<h2>Controls</h2>", "semitones", "pitch_oct, smoothness"):
        assert text in page


def test_draws_keep_controls_in_their_ranges() -> None:
    measured = (Latent(-1, 1, 0.0, 0.5, 2.0, True, 2.0, 0), Latent(-4, -2, -3.0, 1.5, 0.0, True))
    for table in ({"kind": "kl"}, None):
        drawn, _ = prior_draws(Space(measured, table, 1), 4000)
        assert drawn.shape == (2, 4000)
        assert drawn[0].std() == pytest.approx(0.5, rel=0.05)
        assert (drawn[1].min(), drawn[1].max()) == (-4, -2)
        assert drawn[1].mean() == pytest.approx(-3, abs=0.1)
