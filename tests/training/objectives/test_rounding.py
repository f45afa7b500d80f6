"""Training that rounds its weights: what is rounded, what is saved, and that it helps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch.nn.utils import parametrize

import engine.quantise
from engine.errors import TudorError
from engine.layers import Conv1d, ConvTranspose1d
from engine.models.store import load_model
from engine.quantise import rounded
from tests.training.training_helpers import fill, preset
from training.objectives.losses import spectral_distance
from training.objectives.quantised import TransposedRounding, plain, quantise_weights
from training.run.config import resolve
from training.run.loop import Machine, train
from training.run.run_folder import RunFolder

QUIET = Console(quiet=True)


def run(tmp_path: Path, name: str, source: str, *assignments: str, **options) -> Path:
    data = tmp_path / "data"
    settings = resolve(source, data if data.exists() else fill(data), list(assignments), **options)
    return train(settings, tmp_path / name, Machine("cpu"), QUIET).folder


def convolutions(model) -> list[Conv1d | ConvTranspose1d]:
    found = [m for m in model.modules() if isinstance(m, (Conv1d, ConvTranspose1d))
             and list(m.parameters())]
    assert len(found) > 7
    return found


def test_each_output_has_its_own_scale_in_transposed_and_grouped_convolutions() -> None:
    torch.manual_seed(0)
    for groups in (1, 2):
        layer = ConvTranspose1d(4, 6, 4, 2, groups=groups)
        found = TransposedRounding(groups)(layer.weight)
        for group in range(groups):
            rows = layer.weight[group * 4 // groups : (group + 1) * 4 // groups]
            for output in range(6 // groups):
                wanted = rounded(rows[:, output].flatten()[None])[0]
                own = found[group * 4 // groups : (group + 1) * 4 // groups, output].flatten()
                assert torch.equal(own, wanted)
                assert not torch.equal(own, rows[:, output].flatten())


def test_gradients_pass_and_a_plain_copy_plays_the_same(tmp_path: Path) -> None:
    model = load_model("techno-tiny").model
    x = 0.1 * torch.randn(1, 1, 2048)
    before = model.offline("forward", x)
    names = sorted(model.state_dict())
    assert plain(model) is model
    assert quantise_weights(model) == len(convolutions(model))
    after = model.offline("forward", x)
    assert 1e-5 < float((after - before).abs().max()) < 0.05
    copy = plain(model)
    assert sorted(copy.state_dict()) == names
    assert torch.equal(copy.offline("forward", x), after)
    model.reconstruct(torch.randn(1, 16, 8)).square().mean().backward()
    weights = [layer.parametrizations.weight.original for layer in convolutions(model.decoder)]
    assert all(float(weight.grad.abs().max()) > 0 for weight in weights)


def test_fine_tuning_wins_back_what_rounding_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 3 levels on either side instead of 127, so that a short run has something to mend."""
    monkeypatch.setattr(engine.quantise, "LIMIT", 3)
    first = run(tmp_path, "first", preset(tmp_path), "batch_size=4", "learning_rate=1e-2", steps=80)
    tuned = run(tmp_path, "tuned", str(first), start_from=str(first), quantise="q16x8", steps=60)
    saved = load_model(tuned).model
    assert not any(parametrize.is_parametrized(m) for m in saved.modules())
    for layer in convolutions(saved.decoder)[1:]:
        axis = 0 if isinstance(layer, Conv1d) else 1
        rows = layer.weight.detach().movedim(axis, 0).flatten(1)
        assert max(len(row.unique()) for row in rows) <= 7
    checkpoint = RunFolder(tuned).load()
    assert checkpoint is not None
    assert checkpoint.optimizer["param_groups"][0]["lr"] <= 3e-4

    def distance(model) -> float:
        audio = torch.from_numpy(loops())
        late = model.methods["forward"].lookahead_samples
        return float(spectral_distance(model.offline("forward", audio)[..., late:],
                                       audio[..., : audio.shape[-1] - late]))

    float32, naive = load_model(first).model, load_model(first).model
    quantise_weights(naive)
    assert distance(float32) < distance(saved) < distance(naive)


def loops():
    import numpy as np

    from tests.training.training_helpers import loop

    return np.stack([loop(seed)[None, :7680] for seed in range(4)])


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    first = run(tmp_path, "first", preset(tmp_path), steps=3)
    options = {"start_from": str(first), "quantise": "q16x8"}
    whole = run(tmp_path, "whole", str(first), "schedule=constant", steps=4, **options)
    run(tmp_path, "parts", str(first), "schedule=constant", steps=2, **options)
    parts = run(tmp_path, "parts", str(first), "schedule=constant", steps=4, **options)
    a, b = (load_model(folder).model.state_dict() for folder in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(value, a[name])
                   for name, value in load_model(first).model.state_dict().items())


def test_wrong_beginnings_are_named(tmp_path: Path) -> None:
    first = run(tmp_path, "first", preset(tmp_path), steps=2)
    for assignments, options, message in (
        ((), {"quantise": "int8"}, "did you mean|unknown format"),
        (("latents=5",), {"start_from": str(first)}, r"another model: model\.latents was 4"),
        ((), {"start_from": "techno-tny"}, "did you mean 'techno-tiny'"),
    ):
        with pytest.raises(TudorError, match=message):
            run(tmp_path, "other", str(first), *assignments, steps=2, **options)
    assert resolve(str(first), tmp_path, ["learning_rate=5e-3"], quantise="q16x8",
                   start_from=str(first)).training.learning_rate == 5e-3
