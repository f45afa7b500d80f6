"""A toy that reads pitch, gate and loudness: trained on performances, then playing scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from engine.audio import read_audio, write_audio
from engine.layers import ConvTranspose1d, Guard
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family
from engine.models.store import load_model
from engine.scores import timed
from engine.scores.conditions import conditions
from engine.scores.timed import Note
from nn_tudor.cli import main
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from tests.families.driver import rows
from tests.training.data.test_performed import RATE, fill
from training.evaluation.judges.scores_beside import beside
from training.evaluation.likelihood import model_bits
from training.evaluation.steps import mu_law_steps

LABELS = ("pitch_oct", "gate", "pitch_oct 2", "gate 2", "loudness", "free")
PRESET = """
[model]
family = "played"
sample_rate_hz = 8000
channels = 4
layers = 2
[training]
batch_size = 4
crop_seconds = 0.2
log_steps = 1
learning_rate = 1e-2
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.3
"""


class Played(Autoregressive):
    """The toy that draws samples, with the layout of conditions that notes have."""

    family: ClassVar[str] = "played"

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__(config)
        self.guard = Guard(len(LABELS))
        self.conditions = ConvTranspose1d(len(LABELS), config.channels, config.hop, config.hop)

    def chains(self) -> dict[str, Chain]:
        return {"generate": Chain.of(
            self.guard, ("conditions", self.conditions), ("loop", self.loop), *self.sound,
            inputs=LABELS, outputs=("audio",), in_ratio=self.config.hop, role="generate")}


@pytest.fixture(scope="module", autouse=True)
def family():
    FAMILIES["played"] = Family(AutoregressiveConfig, Played, "a toy that plays notes",
                                "autoregressive", "performed")
    yield
    del FAMILIES["played"]


def tudor(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps, as a native file."""
    folder = tmp_path_factory.mktemp("played")
    fill(folder / "data")
    (folder / "played.toml").write_text(PRESET)
    assert tudor("train", folder / "played.toml", "--data", folder / "data", "--out",
                 folder / "run", "--steps", 12, "--device", "cpu") == 0
    bits = [row["bits_per_sample"] for row in rows(folder / "run", "validation")]
    assert bits[-1] < 0.9 * bits[0]
    assert tudor("export", folder / "run", "--to", "native", "--out", folder / "x.tudor") == 0
    return folder / "x.tudor"


def heard(model: Path, out: Path, *options: object) -> np.ndarray:
    assert tudor("generate", model, out, *options) == 0
    sound, rate = read_audio(out)
    assert rate == RATE
    return sound


def test_it_plays_by_itself(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.wav"
    one = heard(model, out, "--seconds", 3, "--seed", 1)
    assert one.shape == (1, 3 * RATE)
    assert "score bach: " in capsys.readouterr().err
    assert np.array_equal(one, heard(model, out, "--seconds", 3, "--seed", 1))
    assert not np.array_equal(one, heard(model, out, "--seconds", 3, "--seed", 2))
    # Not what conditions of 0 sound like.
    still = heard(model, out, "--seconds", 3, "--seed", 1, "--set", "gate=0")
    assert not np.array_equal(one, still)
    assert "score" not in capsys.readouterr().err.splitlines()[-1]


def test_a_file_of_notes_is_what_the_method_reads(model: Path, tmp_path: Path) -> None:
    notes = [Note(0.1, 0.3, 60, 0.5), Note(0.5, 0.4, 67, 0.8), Note(0.5, 0.4, 71, 0.8)]
    (tmp_path / "a.notes").write_text(timed.written(notes))
    out = tmp_path / "out.wav"
    by_notes = heard(model, out, "--score", tmp_path / "a.notes", "--seed", 4)
    assert by_notes.shape[1] == round(1.4 * RATE)  # as long as the score, and half a second
    np.save(tmp_path / "c.npy", conditions(notes, 16, RATE, 2, 1.4))
    by_rows = heard(model, out, "--conditions", tmp_path / "c.npy", "--seconds", 1.4, "--seed", 4)
    assert np.array_equal(by_notes, by_rows)
    louder = heard(model, out, "--score", tmp_path / "a.notes", "--seed", 4, "--set", "loudness=0")
    assert not np.array_equal(by_notes, louder)


@pytest.mark.parametrize(("options", "message"), [
    (("--score", "1006_8"), "--score 1006_8; did you mean"),
    (("--score", "bach", "--conditions", "c.npy"), "--score and --conditions say two different"),
    (("--tempo", 90, "--conditions", "c.npy"), "--tempo and --conditions say two different"),
    (("--score", "bach", "--set", "gate=1"), "--score and --set gate say two different"),
])
def test_mistakes_are_one_line(model: Path, tmp_path: Path, options: tuple[object, ...],
                               message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tudor("generate", model, tmp_path / "o.wav", *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "o.wav").exists()


HELD = ("--set", "gate=1", "--set", "pitch_oct=0.25", "--set", "loudness=-2", "--set", "free=0")


@pytest.mark.parametrize("backend", ["native", "pytorch"])
def test_it_goes_on_from_its_own_sound_as_if_it_had_never_stopped(
    model: Path, tmp_path: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With conditions that are held all the time: the file of the first half is the prime."""
    source = model if backend == "native" else model.parent / "run"
    seconds = 0.5 if backend == "native" else 0.05
    whole = heard(source, tmp_path / "whole.wav", "--seconds", 2 * seconds, "--seed", 3, *HELD,
                  "--backend", backend)
    half = round(seconds * RATE)
    write_audio(tmp_path / "half.wav", whole[:, :half], RATE)
    options = ("--prime", tmp_path / "half.wav", "--seconds", seconds, "--seed", 3, *HELD,
               "--backend", backend)
    rest = heard(source, tmp_path / "rest.wav", *options)
    assert f"after {seconds:.2f} s of " in capsys.readouterr().err
    assert len(np.unique(rest)) > 5
    assert np.array_equal(rest, whole[:, half:])
    kept = heard(source, tmp_path / "kept.wav", *options, "--keep-prime")
    assert np.array_equal(kept, whole)


def test_any_sound_will_do(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of another rate, in stereo, of a length that is no whole block; the score plays after it."""
    time = np.arange(round(0.3017 * 44100)) / 44100
    tone = 0.4 * np.sin(2 * np.pi * 392 * time).astype(np.float32)
    write_audio(tmp_path / "tone.wav", np.stack([tone, tone]), 44100)
    write_audio(tmp_path / "none.wav", np.zeros((1, 2000), np.float32), RATE)
    options = ("--seconds", 1, "--seed", 3)
    after = {name: heard(model, tmp_path / "o.wav", *options, "--prime", tmp_path / f"{name}.wav")
             for name in ("tone", "none")}
    said = capsys.readouterr().err
    assert "resampled" in said
    assert "score bach: " in said
    assert all(sound.shape == (1, RATE) for sound in after.values())
    assert not np.array_equal(after["tone"], after["none"])
    kept = heard(model, tmp_path / "k.wav", *options, "--prime", tmp_path / "tone.wav",
                 "--keep-prime")
    begun = kept[0, :-RATE]
    assert len(begun) == round(0.3017 * RATE) // 16 * 16
    assert np.array_equal(kept[:, -RATE:], after["tone"])
    power = np.abs(np.fft.rfft(begun * np.hanning(len(begun))))
    assert power.argmax() * RATE / len(begun) == pytest.approx(392, abs=4)


def test_it_follows_a_sound(model: Path, tmp_path: Path) -> None:
    """Of its own, with what it was asked then, it expects every sample."""
    own = heard(model, tmp_path / "own.wav", "--seconds", 0.5, "--seed", 3, *HELD)
    options = ("--follow", tmp_path / "own.wav", "--seed", 3, *HELD)
    assert np.array_equal(heard(model, tmp_path / "same.wav", *options), own)
    write_audio(tmp_path / "none.wav", np.zeros_like(own), RATE)
    other = heard(model, tmp_path / "o.wav", "--follow", tmp_path / "none.wav", *options[2:])
    assert other.shape == own.shape
    assert not np.array_equal(other, own)


def test_what_cannot_be_primed_says_so(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_audio(tmp_path / "a.wav", np.zeros((1, 800), np.float32), RATE)
    onnx = tmp_path / "x.onnx"
    assert tudor("export", model.parent / "run", "--to", "onnx", "--out", onnx) == 0
    capsys.readouterr()
    for source, options, message in (
        (onnx, ("--prime", tmp_path / "a.wav"), "a run, a preset or a .tudor file can"),
        (model, ("--prime", tmp_path / "b.wav"), "b.wav"),
        (model, ("--keep-prime",), "there is no --prime to keep"),
        (model, ("--follow", tmp_path / "a.wav"), "leave out --seconds"),
    ):
        assert tudor("generate", source, tmp_path / "o.wav", "--seconds", 0.2, *options) == 1
        assert message in capsys.readouterr().err.strip().splitlines()[-1]
        assert not (tmp_path / "o.wav").exists()


def test_any_sound_has_a_score(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its notes beside it, as heard, and without conditions: what the likelihood says of each,
    and the mean over all samples."""
    rng, time = np.random.default_rng(0), np.arange(RATE // 2) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 392 * time) + 0.01 * rng.standard_normal(len(time)))[None]
    write_audio(tmp_path / "a.wav", tone.astype(np.float32), RATE)
    write_audio(tmp_path / "b.wav", tone[:, : RATE // 4].astype(np.float32), RATE)
    (tmp_path / "a.notes").write_text(timed.written([Note(0.0, 0.5, 67, 0.8)]))
    run, files = model.parent / "run", [tmp_path / "a.wav", tmp_path / "b.wav"]
    assert tudor("score", run, *files, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    one, two = said["files"]
    assert (one["conditions"], two["conditions"]) == ("beside", "heard")
    assert (one["seconds"], two["seconds"], said["all"]["seconds"]) == (0.5, 0.25, 0.75)
    held = load_model(run).model
    for row, path in zip(said["files"], files, strict=True):
        audio, spec = read_audio(path)[0][0], held.main
        known = beside(path, audio, 0, spec, RATE)
        assert known is not None
        free = np.zeros_like(known.conditions)
        free[-1] = 1
        for name, asked in (("bits", known.conditions), ("free_bits", free)):
            wanted = model_bits(held, spec.name, audio, mu_law_steps(), asked).mean()
            assert row[name] == pytest.approx(wanted, abs=1e-4)
    assert abs(one["bits"] - one["free_bits"]) > 1e-3
    for name in ("bits", "free_bits"):
        assert said["all"][name] == pytest.approx((2 * one[name] + two[name]) / 3, abs=2e-4)
    assert tudor("score", run, *files, "--set", "pitch_oct=3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["bits"] != one["bits"]
    assert tudor("score", run, *files) == 0
    assert f"{two['bits']:.3f}" in capsys.readouterr().out
    for source, options, message in ((model, (), "score the run or preset"),
                                     (run, ("--set", "gait=1"), "has no condition 'gait'")):
        assert tudor("score", source, *files, *options) == 1
        assert message in capsys.readouterr().err
