"""How controls are taught: losses, moved targets, a run that has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from engine.models.store import load_model
from tests.training.control_helpers import BOTH, GRID, INNER, controlled, tone
from tests.training.training_helpers import fill, loop, preset
from training.data.base import Batch
from training.objectives.autoencoder import AutoencoderObjective
from training.objectives.base import Moment
from training.objectives.controls import PEAK, ControlLoss, control_loss, loudness, pitch
from training.run.config import resolve, training_config
from training.run.loop import Machine, train


def taught(
    predicted: Tensor, audio: Tensor, names: tuple[str, ...] = BOTH, seed: int = 0
) -> ControlLoss:
    torch.manual_seed(seed)
    return control_loss(names, GRID, predicted, audio)


def test_the_loss_is_the_distance_to_what_is_measured() -> None:
    audio = tone(440)[None]
    wanted, (high, voiced) = loudness(audio[:, 0], GRID)[0], pitch(audio[:, 0], GRID)
    predicted = torch.stack([wanted + 0.5, high - 0.25], dim=1)
    found = taught(predicted, audio)
    assert float(found.loss) == pytest.approx(0.75, abs=1e-4)
    assert float(found.figures["loudness_error_db"]) == pytest.approx(5, abs=1e-3)
    assert float(found.figures["pitch_error_semitones"]) == pytest.approx(3, abs=1e-3)
    # Frames without a pitch do not count.
    predicted[:, 1] = torch.where(voiced, predicted[:, 1], 1e3)
    assert not bool(voiced.all())
    assert float(taught(predicted, audio).loss) == pytest.approx(0.75, abs=1e-4)
    silent = taught(torch.zeros(1, 2, 125), torch.zeros(1, 1, 16000))
    assert float(silent.figures["pitch_error_semitones"]) == 0


def test_gradients_reach_what_was_said_through_the_loss_alone() -> None:
    audio = tone(440)[None]
    voiced = pitch(audio[:, 0], GRID)[1]
    predicted = torch.zeros(1, 2, 125, requires_grad=True)
    found = taught(predicted, audio)
    assert not found.values.requires_grad
    assert not found.target.requires_grad
    found.loss.backward()
    assert predicted.grad is not None
    assert bool((predicted.grad[:, 0] != 0).all())
    assert torch.equal(predicted.grad[:, 1] != 0, voiced)


def test_a_moved_loudness_is_a_louder_target() -> None:
    audio = torch.stack([tone(300 + 20 * k, 0.05 + 0.05 * k) for k in range(16)])
    predicted = torch.full((16, 1, 125), -3.0)
    found = taught(predicted, audio, ("loudness",), seed=1)
    moved = 10 * (found.values - predicted)[:, 0]
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
    objective = AutoencoderObjective(model, training_config({}))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    audio = torch.stack([torch.from_numpy(loop(seed, 0.4, 16000))[None] for seed in range(4)])
    last = model.encoder.layers[-1]
    before = last.weight.detach().clone()
    for step in range(3):
        optimizer.zero_grad()
        terms = objective.losses(Batch(audio=audio), Moment(step))
        assert {"loudness_error_db", "pitch_error_semitones"} <= set(terms)
        terms["loss"].backward()
        optimizer.step()
    assert bool((last.weight[3:5] != before[3:5]).any())
    assert bool((last.weight[8:] == 0).all())
    assert last.bias[8:].tolist() == [-10.0, -10.0]
    state = objective.monitor.state(125.0)
    assert state is not None
    assert len(state.nats) == 3
    free, weighed = (AutoencoderObjective(model, training_config({"control_weight": weight}))
                     for weight in (0.0, 2.0))
    losses = []
    for one in (free, weighed):
        torch.manual_seed(5)
        losses.append(one.losses(Batch(audio=audio), Moment()))
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
