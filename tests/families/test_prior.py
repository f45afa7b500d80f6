"""A prior over another model's latents: what it makes is like what the coder gives, and is heard
through the coder's decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.audio import read_audio
from engine.errors import ConfigError
from engine.players.base import load
from nn_tudor.cli import main
from tests.families.driver import Trainee, registered, rows, tudor
from tests.families.prior import CODER, TOY
from training.data.latents import coder_named
from training.run.config import resolve
from training.run.loop import Machine, train


@pytest.fixture(autouse=True)
def _family() -> Iterator[None]:
    with registered(TOY):
        yield


def test_latents_are_learnt_drawn_and_decoded(tmp_path: Path) -> None:
    """After 30 steps the spread of each latent is nearer to the coder's than before the first."""
    trainee, console = Trainee.of(TOY, tmp_path), Console(file=io.StringIO(), width=200)
    settings = resolve(str(tmp_path / "prior.toml"), trainee.data, [], steps=1)
    train(settings, tmp_path / "before", Machine("cpu"), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "data     16 latents of techno-tiny, a frame for 128 samples: 4 files (" in said
    run = trainee.train("run")
    held = [row["bits_per_sample"] for row in rows(run, "validation")]
    assert held[-1] < held[0] - 1
    coder, spec = coder_named(CODER)
    spread = trained_spread(trainee, coder, spec.name)
    far = []
    for folder in (tmp_path / "before", run):
        player = load(folder)
        z = player.process("generate", np.zeros((1, 400), np.float32))
        assert z.shape == (16, 400)
        assert np.abs(z).max() <= 4
        far.append(float(np.abs(z.std(axis=1) - spread).mean()))
    assert far[1] < 0.6 * far[0]
    y = coder.process("decode", z)
    assert y.shape == (1, 400 * 128)
    assert np.isfinite(y).all()
    assert np.abs(y).max() > 1e-2


def trained_spread(trainee: Trainee, coder: object, method: str) -> np.ndarray:
    import soundfile

    found = [coder.process(method, soundfile.read(file, dtype="float32")[0][None])  # type: ignore
             for file in sorted(trainee.data.glob("*.wav"))]
    return np.concatenate(found, axis=1).std(axis=1)


def test_a_run_keeps_to_its_coder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another one is another run; none is a mistake. Both are one line."""
    trainee = Trainee.of(TOY, tmp_path)
    preset = str(tmp_path / "prior.toml")
    trainee.train("run", 1)
    for assigned, said in (("coder=techno-daisy", "training.coder was 'techno-tiny'"),
                           ("coder=", "training.coder is not set")):
        with pytest.raises(ConfigError, match=said):
            train(resolve(preset, trainee.data, [assigned], steps=2), tmp_path / "run",
                  Machine("cpu"), Console(quiet=True))
    other = resolve(preset, trainee.data, ["latents=8"], steps=2)
    with pytest.raises(ConfigError, match=r"give \[model\] the coder's shape"):
        train(other, tmp_path / "other", Machine("cpu"), Console(quiet=True))


def test_latents_can_be_written_and_played_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainee = Trainee.of(TOY, tmp_path)
    run = trainee.train("run", 1)
    tudor("generate", run, tmp_path / "z.wav", "--seconds", "0.2")
    tudor("generate", run, tmp_path / "z.npy", "--seconds", "0.2")
    heard = []
    for suffix in ("wav", "npy"):
        tudor("run", CODER, tmp_path / f"z.{suffix}", tmp_path / "y.wav", "--method", "decode")
        heard.append(read_audio(tmp_path / "y.wav")[0])
    assert heard[0].shape == (1, 25 * 128)
    assert np.array_equal(*heard)
    with pytest.raises(SystemExit):
        main(["generate", str(run), str(tmp_path / "z.flac")])
    assert "latents go beyond full scale" in capsys.readouterr().err
