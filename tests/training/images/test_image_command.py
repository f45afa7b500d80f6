"""`python -m training.images`: tables, a page, JSON, and wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.errors import TudorError
from tests.training.images.image_helpers import small_set
from training.images import goals, sets
from training.images.__main__ import app


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sets.SETS, "printed", lambda folder: small_set())


def test_networks_in_one_table_and_one_page(tmp_path: Path) -> None:
    names = ("vae-conv", "cgan")
    told = CliRunner().invoke(app, ["printed", *names, "--steps", "2", "--out", str(tmp_path),
                                    "--set", "classifier.steps=20"], catch_exceptions=False)
    assert told.exit_code == 0
    result = json.loads((tmp_path / "results.json").read_text())
    assert set(result["results"]) == {"real", "untrained", "classifier", *names}
    assert all(name in told.stdout for name in ("real", "unlearnt", "classifier", *names))
    assert result["results"]["vae-conv"]["steps"] == 2
    assert result["better"]["nats"] == "lower"
    page = (tmp_path / "report.html").read_text()
    for what in ("vae-conv_reconstructions", "vae-conv_samples", "vae-conv_traversals",
                 "vae-conv_interpolations", "vae-conv_latents", "cgan_samples",
                 "cgan_interpolations", "classifier_curves"):
        assert f'src="{what}.png"' in page
        assert (tmp_path / f"{what}.png").read_bytes()[:4] == b"\x89PNG"


def test_json_and_what_is_set(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["printed", "wae", "--steps", "20", "--json", "--set", "wae.steps=1",
              "--set", "wae.regulariser.kernel=rbf"], catch_exceptions=False)
    result = json.loads(told.stdout)
    assert {name: row.get("steps") for name, row in result["results"].items()} == {
        "real": None, "untrained": None, "classifier": 20, "wae": 1}
    assert result["targets"]["wae_frechet"]["met"] is False


@pytest.mark.parametrize(("words", "said"), [
    (["printed", "vea"], "unknown network 'vea'; did you mean 'vae'"),
    (["printde", "vae"], "unknown set"),
    (["printed", "vae", "--minutes", "1", "--steps", "2"], "not both"),
    (["printed", "vae", "--minutes", "0"], "a number above 0"),
    (["printed", "vae", "--set", "batch_size=2"], "MODEL.KEY=VALUE"),
    (["printed", "vae", "--set", "vae.size=2"], "unknown key"),
    (["printed", "vae", "--images", "x"], "--images is for"),
])
def test_a_wrong_argument_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(TudorError) as error:
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_goals_are_met_and_missed() -> None:
    result = {"results": {"vae": {"nats": 107.9, "frechet": 0.26, "cross_entropy": 80.0},
                          "wae": {"frechet": 0.2, "cross_entropy": 80.5},
                          "cgan": {"accuracy": 0.97, "recall": 0.5, "frechet": None}}}
    found = {row.target.key: row.word
             for row in goals.verdicts(["vae", "wae", "cgan"], "mnist", result)}
    assert found == {
        "vae_nats": "met", "vae_frechet": "missed", "wae_frechet": "met",
        "cgan_frechet": "not measured", "cgan_accuracy": "met", "cgan_recall": "met",
        "wae_less_vae_cross_entropy": "missed", "wae_less_vae_frechet": "met"}
