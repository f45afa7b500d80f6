"""What is compared: excerpts, systems, and what none of the models has learnt from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AudioError, ConfigError
from tests.training.evaluation.judges import judge_helpers
from tests.training.evaluation.judges.judge_helpers import RATE as LOW_RATE
from tests.training.evaluation.judges.judge_helpers import folder_of, melody
from tests.training.evaluation.listening.listening_helpers import RATE, case_of, sounds
from training.evaluation.listening import compose as composing
from training.evaluation.listening.compose import compose


def test_practice_has_a_sound_of_its_own_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sounds(tmp_path, monkeypatch)
    test = compose(case_of(1, data, limit=2), [])
    assert [trial.sound for trial in test.trials] == ["loop_0.wav", "loop_1.wav"]
    assert test.practice.sound == "loop_2.wav"
    test = compose(case_of(1, data, limit=3), [])
    assert len(test.trials) == 3
    assert test.practice is test.trials[0]


def test_models_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sounds(tmp_path, monkeypatch, 1)
    cases = [case_of(1, data, name) for name in ("run", "run", "dry input", "reference")]
    systems = compose(cases[0], cases[1:]).systems
    assert [name for name, kind in systems.items() if kind == "model"] == [
        "run", "run (2)", "dry input (2)", "reference (2)"]


def test_of_pairs_the_reference_is_the_target(tmp_path: Path) -> None:
    folder_of(tmp_path / "input", {"a": melody(1)})
    folder_of(tmp_path / "target", {"a": np.tanh(5 * melody(1))})
    case = case_of(1, tmp_path)
    test = compose(case, [])
    assert list(test.systems) == ["reference", "anchor 3.5 kHz", "anchor 7 kHz", "dry input",
                                  "played"]
    dry, target = (test.trials[0].stimuli[name] for name in ("dry input", "reference"))
    assert test.trials[0].sound == "a.wav"
    assert np.abs(dry - target).max() > 0.05
    assert LOW_RATE == 8000  # the files' own: they are converted
    assert dry.shape == (1, RATE)


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sounds(tmp_path / "d", monkeypatch, 1)
    case = case_of(1, data)
    with pytest.raises(ConfigError, match="--listen compares with a reference: --judge takes "
                                          "reconstruction or paired there, not 'objective'"):
        compose(case, [], "objective")
    with pytest.raises(ConfigError, match=r"--judge paired: .* has no folder 'input'"):
        compose(case, [], "paired")
    with pytest.raises(ConfigError, match="13 stimuli in a trial are too many"):
        compose(case, [case_of(1, data, str(i)) for i in range(8)])
    broken = case_of(float("nan"), data, "broken")
    with pytest.raises(AudioError, match="broken makes numbers that are not finite"):
        compose(case, [broken])


def test_an_anchor_that_would_be_the_reference_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sounds(tmp_path, monkeypatch, 1)
    monkeypatch.setattr(composing, "ANCHORS", {"anchor 3.5 kHz": 3500.0, "anchor 7.9 kHz": 7900.0})
    test = compose(case_of(1, data), [])
    assert "anchor 7.9 kHz" not in test.systems
    assert test.notes == ["no anchor 7.9 kHz: at 16000 Hz it would be the reference itself"]


def test_models_of_other_rates_and_channels_are_compared_at_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has the highest rate and the most channels, whichever model comes first."""
    monkeypatch.setattr(judge_helpers, "RATE", RATE)
    both = np.stack((melody(0), melody(1)), axis=1)
    data = folder_of(tmp_path, {"a": both})
    low = case_of(1, data, "low", rate_hz=8000)
    wide = case_of(1, data, "wide", channels=2)
    for first, second in ((low, wide), (wide, low)):
        test = compose(first, [second])
        assert test.rate_hz == RATE
        heard = test.trials[0].stimuli
        assert {x.shape for x in heard.values()} == {(2, RATE)}
        assert np.abs(heard["reference"][0] - heard["reference"][1]).max() > 0.1
        assert np.array_equal(heard["low"][0], heard["low"][1])
        assert np.abs(heard["wide"] - heard["reference"]).max() < 0.05
        spectrum = np.square(np.abs(np.fft.rfft(heard["low"][0])))
        assert spectrum[4100:].sum() < 1e-3 * spectrum.sum()  # Hz: it is a second


def test_what_any_of_the_models_learnt_from_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sounds(tmp_path / "data", monkeypatch, 4)
    runs = []
    for name, held in (("x", {"loop_1.wav": 0.0, "loop_3.wav": 0.5}),
                       ("y", {"loop_0.wav": 0.0, "loop_3.wav": 1.0})):
        run = tmp_path / name
        run.mkdir()
        (run / "held_out.json").write_text(json.dumps(
            [{"name": key, "start_seconds": at} for key, at in held.items()]))
        case = case_of(1, data, name)
        case.run, case.settings = run, {"data": {"folder": str(data)}}
        runs.append(case)
    trials = compose(case_of(1, data), runs).trials
    assert [(trial.sound, trial.start_seconds) for trial in trials] == [("loop_3.wav", 1.0)]
    assert [trial.sound for trial in compose(runs[0], []).trials] == ["loop_1.wav", "loop_3.wav"]
    (runs[1].run / "held_out.json").write_text('[{"name": "loop_0.wav", "start_seconds": 0}]')
    with pytest.raises(AudioError, match="held out nothing that the others do not know"):
        compose(runs[0], runs[1:])
