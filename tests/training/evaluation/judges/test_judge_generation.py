"""What generates against real sound: players whose figures are known, and a toy that draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.description import Attribute
from engine.errors import AudioError, ConfigError
from engine.models.store import build_from, read_settings, save_weights
from engine.players.base import Player
from export.native.export import export_native
from tests.families import autoregressive as draws
from tests.families import generator as generator_toy
from tests.families.driver import Trainee, registered, tudor
from tests.training.evaluation.judges.judge_helpers import (
    RATE,
    Plays,
    folder_of,
    generator,
    melody,
    tape,
)
from training.evaluation.judges.case import Case, open_case
from training.evaluation.judges.findings import Findings
from training.evaluation.judges.generating import generated
from training.evaluation.judges.registry import pick
from training.evaluation.judges.sounds import colored_noise, halves

SECONDS = 2.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was learnt from, one that was not, and a run that says so."""
    root = tmp_path_factory.mktemp("data")
    folder_of(root / "learnt", {str(i): melody(i) for i in range(12)})
    folder_of(root / "new", {str(i): melody(100 + i) for i in range(12)})
    (root / "run").mkdir()
    (root / "run/held_out.json").write_text('[{"name": "11.wav", "start_seconds": 0.0}]')
    return root


def judged(player: Player, root: Path, folder: str = "new") -> Findings:
    case = Case(player, root / folder, "crops", {"data": {"folder": str(root / "learnt")}},
                run=root / "run", seconds=SECONDS, seeds=12)
    judge = pick(case)
    assert judge.name == "generation"
    return judge(case)


def test_new_melodies_are_as_good_as_real_ones(data: Path) -> None:
    found = judged(tape([melody(200 + i) for i in range(12)]), data)
    rows = found.result["results"]
    assert list(rows) == ["model", "held_out", "noise", "silence", "learnt"]
    assert rows["model"]["descriptor_mmd"] < 0.05
    assert abs(rows["held_out"]["descriptor_mmd"]) < 0.05
    assert 0.1 < rows["noise"]["descriptor_mmd"] < rows["silence"]["descriptor_mmd"]
    for column in ("diversity", "variety", "nearest"):
        assert rows["model"][column] == pytest.approx(1, abs=0.5)
    assert rows["learnt"]["nearest"] < 0.3
    assert rows["silence"]["diversity"] == 0
    assert found.result["better"] == {"descriptor_mmd": "lower", "diversity": "one",
                                      "variety": "one", "nearest": "one"}
    assert found.result["copied"] is False
    assert not any("may be playing its training sounds" in note for note in found.notes)


def test_copies_of_what_was_learnt_are_told(data: Path) -> None:
    """Though they begin anywhere in it."""
    shift = 1234
    found = judged(tape([np.roll(melody(i), shift) for i in range(11)]), data)
    model = found.result["results"]["model"]
    assert model["descriptor_mmd"] < found.result["results"]["noise"]["descriptor_mmd"]
    assert model["nearest"] < 0.3
    assert any("may be playing its training sounds" in note for note in found.notes)
    assert found.result["copied"] is True
    held = judged(tape([np.roll(melody(11), shift)]), data)  # what the run held out is no copy
    assert held.result["results"]["model"]["nearest"] > 0.8


def test_what_was_learnt_and_is_common_is_no_copy(data: Path) -> None:
    """Hiss: near to the hiss that was learnt, but to any other as well."""
    hiss = [(0.1 * np.random.default_rng(i).standard_normal(2 * RATE)).astype("f4")
            for i in range(14)]
    both = {name: {path.stem: soundfile.read(path)[0] for path in (data / name).iterdir()}
            for name in ("learnt", "new")}
    root = data / "with_hiss"
    folder_of(root / "learnt", {**both["learnt"], "hiss": hiss[0]})
    folder_of(root / "new", {**both["new"], "hiss": hiss[1]})
    (root / "run").mkdir()
    (root / "run/held_out.json").write_text("[]")
    found = judged(tape(hiss[2:]), root)
    assert found.result["results"]["model"]["nearest"] < 0.5
    assert found.result["copied"] is False


def test_the_same_sound_for_every_seed_has_no_variety(data: Path) -> None:
    model = judged(tape([melody(200)]), data).result["results"]["model"]
    assert model["variety"] == pytest.approx(0, abs=1e-6)
    assert model["diversity"] > 0.5


def test_the_own_folder_is_judged_by_what_was_held_out(data: Path) -> None:
    found = judged(tape([melody(200)]), data, "learnt")
    assert found.result["files"] == 1
    assert any("only what was held out is used" in note for note in found.notes)
    (data / "bare").mkdir(exist_ok=True)
    (data / "bare/held_out.json").write_text("[]")
    case = Case(tape([melody(1)]), data / "learnt", "crops",
                {"data": {"folder": str(data / "learnt")}}, run=data / "bare")
    with pytest.raises(AudioError, match="nothing of it was held out; give --data another"):
        pick(case)(case)


def test_noise_has_the_spectrum_and_level_of_the_data() -> None:
    t = np.arange(RATE * 4) / RATE
    sound = (0.2 * np.sin(6.2831853 * 1000 * t) + 0.02 * np.random.default_rng(0).standard_normal(
        len(t)))[None].astype(np.float32)
    noise = colored_noise([sound], 4.0, RATE, 1)
    assert noise.shape == sound.shape
    assert np.sqrt(np.square(noise).mean()) == pytest.approx(np.sqrt(np.square(sound).mean()),
                                                             rel=0.01)
    spectrum = np.square(np.abs(np.fft.rfft(noise[0])))
    assert spectrum[3900:4100].sum() > 0.9 * spectrum.sum()


def test_sides_depend_on_names_and_are_of_one_size() -> None:
    sounds = [(f"{i}.wav", None) for i in range(20)]
    first, second = halves(sounds, [1.0] * 20)
    assert sorted(first + second) == list(range(20))
    assert len(first) == len(second) == 10
    again = halves(sounds[::-1], [1.0] * 20)
    assert {sounds[i][0] for i in first} == {sounds[::-1][i][0] for i in again[0]}


def test_each_sound_has_a_seed_and_conditions_of_its_own() -> None:
    player = Plays(lambda x, start, values: np.repeat(x[1:] + values["seed"], 64, axis=1),
                   generator("a", "b"), tape([]).attributes["seed"])

    def ask(_: Player, x: np.ndarray, number: int) -> None:
        x[1] = 10 * number

    sounds = generated(player, 0.1, 3, ask)
    assert [sound.shape for sound in sounds] == [(1, 800)] * 3
    assert [float(sound[0, -1]) for sound in sounds] == [0, 11, 22]


def test_assignments_hold_for_all_that_is_generated(tmp_path: Path) -> None:
    gain = Attribute("gain", 1, 0.0, 0.0, 2.0, "")
    heard = []

    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        heard.append((*x[:, 0], float(values["gain"][0])))
        return np.repeat(x[:1], 64, axis=1) * values["gain"]

    player = Plays(answer, generator("a", "b"), gain)
    data = folder_of(tmp_path, {"0": melody(0)})
    case = open_case(player, data, seconds=0.25, seeds=2, assignments=("b=0.5", "gain=2"))
    pick(case, "generation")(case)
    assert set(heard) == {(0, 0.5, 2.0)}
    heard.clear()
    found = pick(case, "conditional")(case)  # what is moved is not held
    assert {row["control"] for row in found.result["responses"]} == {"a", "b", "gain"}
    assert {b for _, b, _ in heard} == {0.5, *np.linspace(-1, 1, 9).astype("f4")}
    assert {g for *_, g in heard} == {2.0, *np.linspace(0, 2, 9)}
    assert player.get("gain")[0] == 2
    with pytest.raises(ConfigError, match="no attribute or condition 'c'"):
        open_case(player, data, assignments=("c=1",))


def test_numbers_that_are_not_finite_are_told(data: Path) -> None:
    player = Plays(lambda x, *_: np.full((1, 64 * x.shape[1]), np.nan), generator())
    with pytest.raises(AudioError, match="played generates numbers that are not finite"):
        judged(player, data)


# --- toys ----------------------------------------------------------------------------------------


def test_the_command_picks_it_for_a_toy_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with registered(generator_toy.TOY):
        trainee = Trainee.of(generator_toy.TOY, tmp_path)
        run = trainee.train("run")
        capsys.readouterr()
        tudor("evaluate", run, "--data", trainee.data, "--seconds", "0.5", "--seeds", "3", "--json",
              "--report", tmp_path / "page")
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert result["judge"] == "generation"
    rows = result["results"]
    assert list(rows) == ["model", "held_out", "noise", "silence", "learnt", "untrained"]
    assert all(row["nearest"] is not None for row in rows.values())  # the run tells what it learnt
    assert rows["model"]["variety"] > 0  # every sound has noise of its own
    assert rows["model"]["descriptor_mmd"] is not None
    page = (tmp_path / "page/report.html").read_text()
    assert "the objective does not say it" in page
    for name in ("descriptors.png", "generated_1.wav", "generated_3.wav", "held_out.wav"):
        assert name in page
        assert (tmp_path / "page" / name).stat().st_size > 0


def test_what_draws_samples_is_told_how_likely_sound_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(draws.TOY.preset.replace("8000", "4000"))
    with registered(draws.TOY):
        data = Trainee.of(draws.TOY, tmp_path).data
        save_weights(build_from(read_settings(run / "config.toml"), 1), run / "model.safetensors")
        case = open_case(run, data, seconds=0.25, seeds=2, baselines=False)
        judge = pick(case, "generation")
        found = judge(case)
    assert found.grids[0].head[-1] == "bits per sample ↓"
    assert found.result["results"]["model"]["bits_per_sample"] > 0
    assert found.result["results"]["model"]["variety"] > 0


def test_an_exported_file_says_what_it_cannot_know(tmp_path: Path) -> None:
    model = generator_toy.Wash(generator_toy.WashConfig(sample_rate_hz=RATE))
    export_native(model, tmp_path / "toy.tudor", model.describe("toy"))
    data = folder_of(tmp_path / "data", {str(i): melody(i) for i in range(4)})
    case = open_case(tmp_path / "toy.tudor", data, seconds=0.5, seeds=3, baselines=False,
                     assignments=("level=1",))
    found = pick(case)(case)
    assert list(found.result["results"]) == ["model"]
    assert found.result["copied"] is None
    assert found.result["results"]["model"]["variety"] > 0  # without a level it would be silent
    said = "\n".join(found.lines())
    assert "nearest in training: toy does not tell what it learnt from" in said
    assert "likelihood: toy is an exported file" in said


def test_what_makes_no_audio_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    spec = replace(generator(), out_ratio=64)
    case = open_case(Plays(lambda x, *_: x, spec), tmp_path)
    with pytest.raises(Exception, match="make does not generate audio") as raised:
        pick(case, "generation")
    assert "\n" not in str(raised.value)
    with pytest.raises(Exception, match="no judge for played"):
        pick(case)
