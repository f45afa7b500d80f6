"""Every toy family from its preset to sound: trained, taken up again, judged, exported, verified,
played. One driver for all; what only one of them can show stands beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.audio import read_audio
from engine.models.store import load_model
from engine.players.base import load
from tests.families.driver import (
    INTERRUPTED,
    STEPS,
    Toy,
    Trainee,
    package_files,
    registered,
    rows,
    tudor,
)
from tests.families.lines import TOYS

TARGETS = [("native", "float32"), ("onnx", "float32"), ("nn", "float32"), ("native", "q16x8")]
# A draw of every latent, simulated: a minute.
SLOW = {("prior", "native", "q16x8"): pytest.mark.slow}
EXPORTS = [pytest.param(*each, marks=SLOW.get(each, ())) for each in (
    (name, to, dtype) for name in TOYS if name != "painter" for to, dtype in TARGETS)]
SECONDS = 0.4
# By the role of each, and one that is asked for.
JUDGES = [("shaper", "paired", ()), ("wash", "generation", ()), ("prior", "objective", ()),
          ("bells", "conditional", ()), ("painter", "objective", ()),
          ("autoregressive", "objective", ("--judge", "objective")),
          ("autoregressive", "playing", ())]


@dataclass(frozen=True)
class Trained:
    """A toy with a run of 30 steps."""

    toy: Toy
    trainee: Trainee
    run: Path


@pytest.fixture(scope="module")
def known() -> dict[str, Trained]:
    """Toys that were trained for a test before."""
    torch.set_num_threads(1)
    return {}


def trained(name: str, known: dict[str, Trained], factory: pytest.TempPathFactory) -> Trained:
    if name not in known:
        trainee = Trainee.of(TOYS[name], factory.mktemp(name))
        known[name] = Trained(TOYS[name], trainee, trainee.train("whole"))
    return known[name]


@pytest.fixture
def case(request: pytest.FixtureRequest, known: dict[str, Trained],
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    toy = TOYS[request.param]
    with registered(toy):
        yield trained(request.param, known, tmp_path_factory)


@pytest.mark.parametrize("case", TOYS, indirect=True)
def test_it_learns_in_thirty_steps_and_resumes_to_the_bit(case: Trained) -> None:
    losses = [row["loss"] for row in rows(case.run, "train")]
    assert len(losses) == STEPS
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    held = rows(case.run, "validation")
    watched = case.toy.family.objective
    figure = {"paired": "spectral_distance", "autoregressive": "bits_per_sample"}.get(
        watched, "loss")
    assert held[-1][figure] < 0.9 * held[0][figure]
    parts = case.trainee.train("parts", INTERRUPTED)
    with pytest.raises(AssertionError):
        same_weights(case.run, parts)
    case.trainee.train("parts")
    same_weights(case.run, parts)


def same_weights(a: Path, b: Path) -> None:
    one, other = (load_model(run).model.state_dict() for run in (a, b))
    assert one.keys() == other.keys()
    assert len(one) > 1
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("case", "judge", "asked"), JUDGES, indirect=["case"])
def test_it_is_judged(
    case: Trained, judge: str, asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    tudor("evaluate", case.run, "--data", case.trainee.data, "--json", "--seconds", SECONDS,
          "--seeds", 2, *asked)
    found = json.loads(capsys.readouterr().out)
    assert found["judge"] == judge
    figures = found["results"]["model"]
    assert any(isinstance(value, float) and math.isfinite(value) for value in figures.values())
    if judge == "objective":
        watched = "loss" if case.toy.name == "painter" else "bits_per_sample"
        assert figures[watched] < 0.9 * found["results"]["untrained"][watched]


@pytest.mark.parametrize(("case", "to", "dtype"), EXPORTS, indirect=["case"])
def test_it_is_exported_verified_and_played(case: Trained, to: str, dtype: str) -> None:
    file = case.trainee.export(case.run, to, dtype)
    tudor("verify", file, "--against", case.run)
    y = played(case, file)
    assert y.shape[1] > 0
    assert np.isfinite(y).all()
    assert np.abs(y).max() > 1e-3


def played(case: Trained, file: Path) -> np.ndarray:
    """Sound that the file makes: of a sound, or by itself; of latents what their decoder makes."""
    out, player = file.with_suffix(".wav"), load(file)
    if player.description.main.role == "generate":
        tudor("generate", file, out, "--seconds", SECONDS)
    else:
        source = next(iter(sorted(case.trainee.data.rglob("*.wav"))))
        tudor("run", file, source, out)
    if case.toy.decoder:
        latents, out = out, file.with_name("decoded.wav")
        tudor("run", case.toy.decoder, latents, out, "--method", "decode")
        assert read_audio(out)[0].shape[1] == math.ceil(
            SECONDS * player.sample_rate_hz / player.ratio) * player.ratio
    return read_audio(out)[0]


def test_no_toy_touches_a_file_outside_itself(
    known: dict[str, Trained], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = package_files()
    for name, toy in TOYS.items():
        with registered(toy):
            trained(name, known, tmp_path_factory)
    assert package_files() == before
