"""Trials of strokes: what they ask of training, whole clips, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import ConfigError
from engine.models.registry import FAMILIES, configure
from engine.scores.strokes import struck
from scripts import stroke_trials, trial_runs
from scripts.stroke_clips.__main__ import register
from scripts.stroke_clips.model import ClipConfig, StrokeClip
from scripts.stroke_clips.objective import ClipGame
from scripts.stroke_clips.playing import ClipPlayer, KeptClips
from scripts.stroke_trials import CLIP, COLUMNS, MATERIALS, OF_CLASSES, SHAPES, TRIALS, WALLS
from training.data.base import Batch
from training.evaluation.stroke_play import gap
from training.objectives.base import Moment
from training.objectives.frame_spectra import FrameSpectra, scaled
from training.objectives.registry import OBJECTIVES
from training.run.config import resolve

CLASSES = ("kick", "snare")
SMALL: dict[str, Any] = {"sample_rate_hz": 16000, "fft": 512, "hop": 128, "frames": 40, "z": 4,
                         "width": 4, "classes": CLASSES, "subclasses": ("house", "jazz")}


def small(**other: Any) -> StrokeClip:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StrokeClip(ClipConfig(**{**SMALL, **other})).eval()


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family that only the trials have, for as long as a test."""
    monkeypatch.setitem(FAMILIES, "stroke_clip", None)  # type: ignore[arg-type]
    monkeypatch.setitem(OBJECTIVES, "clip_game", None)  # type: ignore[arg-type]
    register()


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.usefixtures("clips")
def test_a_trial_of_strokes_can_be_trained(name: str, tmp_path: Path) -> None:
    trial, recipe = TRIALS[name], stroke_trials.PRESET
    if trial.asks is not None:
        recipe = str(tmp_path / "x.toml")
        Path(recipe).write_text(stroke_trials.configuration(trial), "utf-8")
    for of_class in CLASSES:
        (tmp_path / of_class).mkdir()
        soundfile.write(tmp_path / of_class / "a.wav", np.full(4800, 0.1), 48000)
    found: Any = resolve(recipe, tmp_path, list(trial.settings), minutes=4.0)
    assert found.training.adversarial.on
    assert found.training.mode_seeking == (0.0 if name.endswith("no-seeking") else 0.003)
    at_once = trial.goes_on or trial.asks is not None
    assert (found.training.adversarial.start == 0.0) == at_once
    if trial.asks is not None:
        assert found.model.asks == trial.asks
        assert found.training.crop_seconds * 48000 == CLIP["frames"] * CLIP["hop"]


def test_clips_are_no_family() -> None:
    with pytest.raises(ConfigError, match="unknown model family 'stroke_clip'"):
        configure("stroke_clip", {})


@pytest.mark.parametrize("asks", [True, False])
def test_a_clip_is_what_is_asked_for_if_anything_is(asks: bool) -> None:
    model = small(asks=asks)
    rows = torch.zeros(2, len(model.config.labels))
    for row, name in zip(rows, CLASSES, strict=True):
        row[model.config.labels.index(name)] = 1
    told = model.told(rows)
    assert told.shape == (2, 4 * asks)
    made = model.made(torch.ones(2, 4), told)
    assert made.shape == (2, model.bands.count, 40)
    assert bool((made[0] != made[1]).any()) == asks


def test_the_game_moves_weights_and_tells_the_discriminator_of_classes() -> None:
    settings = ClipGame.settings()
    config = {**settings.model_dump(), "adversarial": settings.adversarial, "seed": 0,
              "learning_rate": 1e-3, "betas": (0.5, 0.9), "gradient_clip": 10.0}
    for asks in (True, False):
        model = small(asks=asks).train()
        game = ClipGame(model, SimpleNamespace(**config))
        game.start()
        rows = torch.zeros(4, len(model.config.labels), 40)
        rows[:, 1] = 0.5  # velocity
        rows[::2, model.config.labels.index("kick")] = 1
        rows[1::2, model.config.labels.index("snare")] = 1
        before = model.enter.weight.detach().clone()
        terms = game.step(Batch(audio=0.1 * torch.randn(4, 1, 40 * 128), rows=rows),
                          Moment(learning_rate=1e-3))
        assert {"discriminator_loss", "adversarial_loss", "mode_seeking"} <= {*terms}
        assert bool((model.enter.weight != before).any())
        assert game.adversary is not None
        asked = game.adversary.networks.state_dict()
        assert any("asked" in name for name in asked) == asks


def tone(model: StrokeClip, hertz: float) -> torch.Tensor:
    """A recorded stroke as a clip [bands, frames]."""
    at = np.arange(40 * 128) / 16000
    sound = (0.5 * np.sin(2 * np.pi * hertz * at) * np.exp(-at / 0.1)).astype(np.float32)
    power = FrameSpectra(model.config).magnitudes(torch.from_numpy(sound)[None, None]).square()
    return scaled(model.bands.power(power))[0]


def kept() -> KeptClips:
    """A kick of 200 Hz and a snare of 800 Hz."""
    model = KeptClips(ClipConfig(**{**SMALL, "subclasses": ()})).eval()
    model.keep(torch.stack([tone(model, 200.0), tone(model, 800.0)]), torch.eye(2))
    return model


def test_a_clip_sounds_as_it_was_recorded_a_window_after_its_gate() -> None:
    player = ClipPlayer(kept())
    for name, hertz in (("kick", 200.0), ("snare", 800.0)):
        x = struck(player.shape.labels, [(2, {name: 1.0})], 30)
        sound = player.process("generate", x)[0]
        player.reset()
        parts = [player.process("generate", x[:, at : at + 3])[0] for at in range(0, 30, 3)]
        assert np.array_equal(np.concatenate(parts), sound)  # in blocks of any size
        player.reset()
        onset = 2 * 128 + 512
        assert not sound[: onset].any()
        assert np.abs(sound[onset : onset + 256]).max() > 0.25
        spectrum = np.abs(np.fft.rfft(sound[onset : onset + 2000]))
        assert spectrum.argmax() * 8 == pytest.approx(hertz, abs=16)
        found = gap(player, name)
        player.reset()
        assert found is not None
        assert found < 0.5


def test_streams_and_seeds_differ_and_a_later_gate_cuts_off() -> None:
    player = ClipPlayer(small(), batch=2)
    shape = player.shape
    x = np.stack([struck(shape.labels, [(0, {"kick": 1.0}), (9, {"kick": 1.0})], 30)] * 2)
    first = player.process("generate", x)[:, 0]
    assert (first[0] != first[1]).any()
    silent = slice(9 * 128, 9 * 128 + 512)
    assert first[:, 9 * 128 - 128 : 9 * 128].any()
    assert not first[:, silent].any()
    assert (first[0, 512:1664] != first[0, 1664:2816]).any()  # strokes differ too
    player.reset()
    player.set("seed", 1)
    assert (player.process("generate", x)[:, 0] != first).any()


def told(accuracy: float) -> dict[str, Any]:
    """As a trial keeps it."""
    row = {**dict.fromkeys(COLUMNS, 0.5), "class_accuracy": accuracy}
    return {"shape": {**dict.fromkeys(SHAPES, 7.0)}, **dict.fromkeys(MATERIALS, row)}


def test_tables_of_strokes_have_every_trial_on_every_material(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stroke_trials, "FIGURES", tmp_path / "kept.json")
    assert "Not run yet" in stroke_trials.page()[0]
    for name in TRIALS:
        (tmp_path / f"{name}-1").mkdir()
        (tmp_path / f"{name}-1" / "metrics.jsonl").write_text('{"step": 300}\n', "utf-8")
        trial_runs.judged(tmp_path, name, 1).write_text(json.dumps(told(0.75)), "utf-8")
    walls = {**{name: {"class_accuracy": 0.25} for name in WALLS}, "files": 41}
    (tmp_path / "walls.json").write_text(json.dumps(dict.fromkeys(MATERIALS, walls)), "utf-8")
    base = ["stroke_trials", str(tmp_path), "--keep", "--seeds", "2"]
    monkeypatch.setattr("sys.argv", base)
    stroke_trials.main()
    text = stroke_trials.page()
    assert text[0] == "4 minutes of processor time each, 1 seed."
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text
            if line.startswith("| ")]
    titles = [trial.title for trial in TRIALS.values()]
    assert [row[0] for row in rows if row[0] in titles] == titles * (1 + len(MATERIALS))
    assert sum(row[0] in WALLS.values() for row in rows) == len(WALLS) * len(MATERIALS)
    assert rows[1][1] == "300"
    judged = [row for row in rows if row[0] in titles][len(titles):]
    for row in judged:
        known = row[0] != TRIALS["clip"].title
        assert row[1] == ("0.75" if known else "-")
        assert row.count("-") == (0 if known else len(OF_CLASSES))
    monkeypatch.setattr("sys.argv", [*base, "--only", "clip", "seeking"])
    stroke_trials.main()
    assert TRIALS["no-seeking"].title not in "\n".join(stroke_trials.page())
