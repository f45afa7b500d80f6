"""Trials of discriminators: what they ask of training, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tomli_w
import torch

from engine.boards.cost import method_cost
from engine.models.registry import FAMILIES, build
from engine.models.store import build_from, load_model, save_weights
from engine.scores.loops import KNOBS
from scripts import coded_trials, frames_trials, loop_trials, trial_runs
from scripts.coded_trials import COLUMNS, PRESET, TRIALS
from scripts.loop_tokens.__main__ import register
from training.data.loops import coder_model, shape_of
from training.objectives.registry import OBJECTIVES
from training.run.config import resolve


@pytest.mark.parametrize("name", TRIALS)
def test_the_settings_of_a_trial_are_settings(name: str, tmp_path: Path) -> None:
    said = [*coded_trials.COMMON, *coded_trials.assigned(name)]
    game: Any = resolve(PRESET, tmp_path, said, minutes=6.0).training
    begins = {"none": None, "late": 0.6, "start": 0.0}[name]
    assert game.second_phase == begins
    if name == "start":
        assert not game.adversarial.freeze_encoder, "an encoder that never learnt would stand still"
        assert game.adversarial.model_rate == game.learning_rate


def told(energy: float) -> dict[str, Any]:
    """As `tudor evaluate --json` says it."""
    sound = {"energy_score": energy, "texture_db": 5.0, "modulation_ratio": 1.0}
    return {"sound": {"subjects": {"model": sound, "noise_128": {"energy_score": 0.8},
                                   "shifted": {"energy_score": 0.2}, "original": {}}},
            "results": {"model": {"log_mel_db": 3.0}, "noise_128": {"log_mel_db": 5.0}},
            "standing": {"held_at_frame_rate": 0.1}}


def test_a_range_is_told_where_there_is_one() -> None:
    assert trial_runs.spread([1.0, 2.0, 4.5], 1) == "2.5 (1.0 to 4.5)"
    assert trial_runs.spread([1.01, 0.99, None], 1) == trial_runs.spread([1.0], 1) == "1.0"
    assert trial_runs.spread([None], 1) == "-"


def test_the_table_has_the_mean_and_the_range_of_whole_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, name in enumerate(TRIALS):
        for seed in (1, 2):
            folder = tmp_path / f"{name}-{seed}"
            folder.mkdir()
            (folder / "metrics.jsonl").write_text('{"step": 20}\n{"step": 300}\n', "utf-8")
            coded_trials.judged(tmp_path, name, seed).write_text(
                json.dumps(told(0.1 * (at + 1) + 0.01 * seed)), "utf-8")
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(coded_trials, "FIGURES", kept)
    monkeypatch.setattr("sys.argv", ["coded_trials", str(tmp_path), "--keep", "--seeds", "3"])
    coded_trials.main()
    assert json.loads(kept.read_text("utf-8"))["series"]["seeds"] == [1, 2]
    text = coded_trials.page()
    assert text[0] == "6 minutes of processor time each, 2 seeds."
    rows = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in text[4:]}
    assert list(rows) == [*(trial.title for trial in TRIALS.values()), "noise 128 (floor)",
                          "1 ms late (ceiling)", "original"]
    assert rows["none"][1] == "0.115 (0.110 to 0.120)"
    assert rows[TRIALS["start"].title][1] == "0.315 (0.310 to 0.320)"
    assert rows["none"][-1] == "300 |"
    assert rows["noise 128 (floor)"][1] == "0.800"
    assert all(len(row) == 2 + len(COLUMNS) for row in rows.values())


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family that only the trials have, for as long as a test."""
    for known in (FAMILIES, OBJECTIVES):
        monkeypatch.setitem(known, "loop_tokens", None)  # taken out again
    register()


@pytest.mark.parametrize("name", loop_trials.TRIALS)
@pytest.mark.usefixtures("tokens")
def test_a_trial_of_loops_can_be_trained(name: str, tmp_path: Path) -> None:
    trial = loop_trials.TRIALS[name]
    path, sounds = tmp_path / "x.toml", tmp_path / "sounds"
    sounds.mkdir()
    soundfile.write(sounds / "a.wav", np.full(32000, 0.1), 16000)
    path.write_text(loop_trials.configuration(trial), "utf-8")
    found: Any = resolve(str(path), sounds, [], minutes=6.0)
    assert found.training.loss_on == trial.loss_on
    assert found.training.coder == loop_trials.CODER
    assert trial.run in ("", *loop_trials.TRIALS)


def test_a_transformer_costs_what_convolutions_cost() -> None:
    latents: dict[str, Any] = {"latents": 16, "compression": 128, "sample_rate_hz": 16000,
                               "styles": ["a", "b"]}
    found = {}
    for name in ("flow-1", "transformer", "transformer-32"):
        model = build("latent_flow", {**latents, **loop_trials.SHAPE,
                                      **loop_trials.TRIALS[name].shape})
        graph = model.graph("generate")
        found[name] = method_cost(graph, 16000 / 1024).macs_per_second / 1e6
        assert loop_trials.macs_of(model) == pytest.approx(1e6 * found[name], rel=0.005)
    assert found["flow-1"] == pytest.approx(10.1, abs=0.1)
    assert found["transformer"] == pytest.approx(found["flow-1"], rel=0.01)
    assert found["transformer-32"] == pytest.approx(found["flow-1"], rel=0.015)


def test_lengths_are_read_by_whole_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the model is the one that was trained, whatever preparing the sounds measured."""
    coder, run, seen = coder_model(loop_trials.CODER), tmp_path / "run", {}
    (tmp_path / "held").mkdir()
    beats = np.repeat(np.tile([0.3, 0.0], 16), 1000).astype(np.float32)  # a bar of 120 BPM
    noise = np.random.default_rng(0).standard_normal(len(beats)).astype(np.float32)
    soundfile.write(tmp_path / "held" / "a.wav", beats * noise, 16000)
    model = {"family": "latent_vae", "latents": 16, "compression": 128, "width": 16, "layers": 1,
             "window_width": 8, "coder": shape_of(coder)}
    made: Any = build_from({"model": model}, seed=1)
    made.adopt(coder)
    run.mkdir()
    (run / "config.toml").write_text(tomli_w.dumps({
        "model": model, "training": {**loop_trials.COMMON, "coder": loop_trials.CODER,
                                     "objective": "loop_plan"}}), "utf-8")
    save_weights(made, run / "model.safetensors")

    def by_length(model: Any, objective: Any, data: Any, ruler: Any) -> list[Any]:
        seen.update(real=ruler.real, weights=model.state_dict())
        return []

    monkeypatch.setattr("training.evaluation.loop_lengths.by_length", by_length)
    loop_trials.lengths(run, tmp_path / "held", tmp_path / "held-cache")
    assert [len(sound) for sound in seen["real"].sounds] == [4 * 16000]
    assert seen["real"].sounds[0].std() > 0.01
    kept = load_model(str(run)).model.state_dict()
    assert all(torch.equal(seen["weights"][key], values) for key, values in kept.items())


def loops_told(mmd: float) -> dict[str, Any]:
    """As `tudor evaluate --json` says it, and the lengths."""
    path = {"middle_over_ends": 1.1, "level_db": {"largest_step": 0.3},
            "centroid_octaves": {"largest_step": 0.4}}
    row = {"nats_per_frame": 15.0, "explained": 0.2, "code_nats": 12.0, "descriptor_mmd": mmd,
           "rhythm_mmd": 0.03, "bar": 0.6, "path": path}
    return {"results": {"model": {"descriptor_mmd": mmd}, "codec": {"descriptor_mmd": 0.03}},
            "knobs": {knob: {"spearman": 0.7} for knob in KNOBS}, "code_rank": 0.4,
            "macs_per_second": 10.2e6,
            "lengths": [{"codes": count, **row} for count in (1, 2)]}


def test_tables_of_loops_have_every_trial_and_every_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_trials, "FIGURES", tmp_path / "kept.json")
    assert "Not run yet" in loop_trials.page("levels")[0]
    for name, trial in loop_trials.TRIALS.items():
        folder = tmp_path / f"{trial.run or name}-1"
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text('{"step": 300}\n', "utf-8")
        trial_runs.judged(tmp_path, name, 1).write_text(json.dumps(loops_told(0.125)), "utf-8")
    monkeypatch.setattr("sys.argv", ["loop_trials", str(tmp_path), "--keep", "--seeds", "1"])
    loop_trials.main()
    levels, lengths = loop_trials.page("levels"), loop_trials.page("lengths")
    assert levels[0] == "6 minutes of processor time each, 1 seed."
    rows = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in levels[4:]}
    assert list(rows) == [*(trial.title for trial in loop_trials.TRIALS.values()),
                          "through the codec (ceiling)"]
    assert {row[1] for row in rows.values()} == {"0.125", "0.030"}
    assert {row[-2] for row in rows.values()} == {"10.2", "-"}
    assert [line.split(" | ")[0] for line in lengths[4:]] == ["| 1", "| 2"]


def test_trials_of_loops_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_trials, "FIGURES", tmp_path / "kept.json")
    for name in ("flow-1", "flow-4", "tokens"):
        folder = tmp_path / f"{loop_trials.TRIALS[name].run or name}-1"
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text('{"step": 300}\n', "utf-8")
        trial_runs.judged(tmp_path, name, 1).write_text(json.dumps(loops_told(0.125)), "utf-8")
    base = ["loop_trials", str(tmp_path), "--keep", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", base)
    with pytest.raises(SystemExit, match="no seed has every trial yet"):
        loop_trials.main()
    monkeypatch.setattr("sys.argv", [*base, "--only", "tokens", "flow-4", "flow-1"])
    loop_trials.main()
    rows = [line.split(" | ")[0].lstrip("| ") for line in loop_trials.page("levels")[4:]]
    assert rows[:3] == [loop_trials.TRIALS[name].title for name in ("flow-1", "flow-4", "tokens")]
    assert len(rows) == 4
    assert "Not among the trials" in loop_trials.page("lengths")[2]


@pytest.mark.parametrize("family", frames_trials.SHAPES)
def test_both_families_code_as_many_latents_at_equal_arithmetic(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_trials, "tudor", lambda *_, **__: "")
    monkeypatch.setattr(frames_trials, "link_recordings", lambda *_: None)
    frames_trials.prepare(tmp_path)
    found: Any = resolve(str(tmp_path / f"{family}.toml"), tmp_path, [], minutes=4.0)
    model = build(found.family, found.model)
    assert found.family == family
    assert model.methods["encode"].out_ratio == 128
    assert model.methods["encode"].out_channels == 16
    cost = method_cost(model.graph("forward"), 16000).macs_per_second / 1e6
    assert cost == pytest.approx(54, abs=1)


def test_tables_of_frames_have_both_families_on_every_material(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = {"macs_per_second": 53.5e6, "latency_ms": 39.9}
    info = {"parameters": 334266, "main": "forward", "methods": {"forward": forward}}
    for at, name in enumerate(frames_trials.TRIALS):
        folder = tmp_path / f"{name}-1"
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(
            '{"step": 300, "kind": "train", "latent_bits_per_second": 9000}\n'
            '{"step": 300, "kind": "validation"}\n', "utf-8")
        materials = frames_trials.MATERIALS[name.split("-")[1]]
        frames_trials.judged(tmp_path, name, 1).write_text(json.dumps(
            {"info": info, **{each: told(0.1 * (at + 1)) for each in materials}}), "utf-8")
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(frames_trials, "FIGURES", kept)
    monkeypatch.setattr("sys.argv", ["frames_trials", str(tmp_path), "--keep", "--seeds", "1",
                                     "--minutes", "1"])
    frames_trials.main()
    text = frames_trials.page()
    assert text[0] == "1 minutes of processor time each, 1 seed."
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text
             if line.startswith("|")]
    assert sum(row[0] == "`raw_vae`" for row in cells) == 4  # its shape, and three materials
    assert ["`spectrogram_vae`", "334,266", "53.5", "39.9 ms", "300", "300", "9.0", "9.0"] in cells
    energies = [row[1] for row in cells if row[0] == "`spectrogram_vae`"][1:]
    assert energies == ["0.200", "0.200", "0.400"]
