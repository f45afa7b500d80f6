"""Which file a board gets for a name, and `tudor fit`'s word on it in what flashes and plays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from machines import machine

from engine.errors import ConfigError, TudorError
from engine.players.native_model import NativeFile
from engine.presets import shipped_native
from firmware import fits
from tests.firmware.command import tudor

FLOAT = shipped_native("techno-daisy") or Path("lacking")
SMALL = shipped_native("techno-daisy", "q16x8") or Path("lacking")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    for word in words:
        assert word in said, said


def test_a_preset_is_the_file_that_suits_the_board() -> None:
    assert fits.model_file("techno-daisy", "daisy") == SMALL
    assert fits.model_file("techno-daisy", "pi") == FLOAT
    assert fits.model_file("techno-pi", "daisy") == shipped_native("techno-pi"), "there is no other"
    assert fits.model_file(str(FLOAT), "daisy") == FLOAT, "a file is what was named"


@pytest.mark.parametrize("name", ["techno-tiny", "techno-daisy", "bach-daisy"])
def test_a_daisy_gets_a_preset_in_fewer_bits(name: str, capsys: pytest.CaptureFixture[str]
                                             ) -> None:
    assert tudor("flash", "daisy", "--model", name, "--dry-run") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{name}.q16x8.tudor: {name} (")
    assert ", q16x8) on daisy: fits; modelled load of the busiest callback " in told[0]
    assert told[1].startswith(f"model {name}.q16x8.tudor: ")
    assert tudor("flash", "daisy", "--model", name, "--dry-run", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [(f["target"], f["verdict"]) for f in facts["fit"][0]] == [("daisy", "fits")]


def test_what_does_not_fit_a_daisy_is_refused_unless_forced(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.tudor"
    own.write_bytes(FLOAT.read_bytes())
    for model, instead in ((FLOAT, "name the preset, techno-daisy, which ships in it"),
                           (own, "in q16x8 it fits (33-71 %): tudor export ... --dtype q16x8"),
                           ("techno-pi", "the largest preset that fits is techno-daisy in q16x8")):
        assert tudor("flash", "daisy", "--model", model, "--dry-run") == 1
        refused(capsys, ": does not fit; modelled load of the busiest callback", instead, "--force")
        assert tudor("flash", "daisy", "--model", model, "--dry-run", "--force") == 0
        assert "on daisy: does not fit" in capsys.readouterr().out


def test_simulate_plays_what_the_board_would_and_says_whether_it_fits(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine("native")
    x = 0.1 * np.random.default_rng(0).standard_normal(12000)
    soundfile.write(tmp_path / "in.wav", x, 48000)
    heard = {}
    for name in ("techno-daisy", SMALL, FLOAT):
        out = tmp_path / "out.wav"
        words = ["module", "simulate", name, "--board", "daisy", "--in", tmp_path / "in.wav",
                 "--out", out, "--no-plot"]
        if name == FLOAT:
            out.unlink()
            assert tudor(*words) == 1
            refused(capsys, "on daisy: does not fit", "--force")
            assert not out.exists(), "nothing was written"
            words.append("--force")
        assert tudor(*words) == 0
        said = capsys.readouterr().out
        assert said.startswith("techno-daisy.tudor: " if name == FLOAT else
                               "techno-daisy.q16x8.tudor: techno-daisy (forward, q16x8) on daisy")
        heard[name] = soundfile.read(out)[0]
    assert np.array_equal(heard["techno-daisy"], heard[SMALL])
    assert not np.array_equal(heard["techno-daisy"], heard[FLOAT])


def test_a_pi_is_told_for_each_that_it_may_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                              ) -> None:
    desktop = fits.model_file("techno-desktop", "pi")
    line, facts = fits.check_fit(desktop, "pi")
    assert line.startswith("techno-desktop.tudor: techno-desktop (forward, float32): pi-zero2 does "
                           "not fit (")
    assert {f["target"]: f["verdict"] for f in facts[0::3]} == {"pi-zero2": "does not fit",
                                                                "pi5": "fits"}
    words = ["flash", "pi", "--image", tmp_path / "none.img", "--out", tmp_path / "card.img",
             "--codec", "wm8731", "--models", "techno-desktop"]
    assert tudor(*words, "--target", "pi-zero2") == 1
    refused(capsys, "on pi-zero2: does not fit", "the largest preset that fits is techno-daisy",
            "--force")
    for more in ([], ["--target", "pi5"], ["--target", "pi-zero2", "--force"]):
        assert tudor(*words, *more) == 1
        refused(capsys, "none.img")  # the next thing that is wrong
    assert tudor(*words, "--target", "pi9") == 1
    refused(capsys, "--target pi9: wants pi-zero2, pi3, pi4, pi5")
    with pytest.raises(ConfigError, match="wants daisy"):
        fits.machines("daisy", "pi4")


def test_a_module_that_runs_is_not_sent_what_does_not_fit(capsys: pytest.CaptureFixture[str]
                                                          ) -> None:
    assert tudor("flash", "pi", "--ssh", "root@nowhere.invalid", "--models", "techno-desktop",
                 "--target", "pi-zero2") == 1
    refused(capsys, "on pi-zero2: does not fit")


def test_blocks_of_another_size_are_asked_for() -> None:
    """Longer callbacks share a frame's work less evenly, or more: the figure is of those."""
    few, many = (fits.check_fit(SMALL, "daisy", block=block)[1][0]["load_high"]
                 for block in (48, 480))
    assert few != many
    assert NativeFile(SMALL).sample_rate_hz == 16000


def test_two_instances_count_twice_and_their_weights_once(capsys: pytest.CaptureFixture[str]
                                                          ) -> None:
    found = {}
    for words in ((), ("--stereo",)):
        assert tudor("fit", "techno-pi", "--target", "pi4", "--json", *words) == 0
        found[len(words)] = json.loads(capsys.readouterr().out)
    one, two = found[0], found[1]
    assert (one["streams"], two["streams"]) == (1, 2)
    for end in ("low", "high"):
        assert two["loads"]["whole"][end] == pytest.approx(2 * one["loads"]["whole"][end])
        model = one["worst_callback"][end] - one["instrument"][end]
        assert two["worst_callback"][end] - two["instrument"][end] == pytest.approx(2 * model)
        assert one["instrument"][end] < two["instrument"][end] < 2 * one["instrument"][end]
    plans = one["placement"], two["placement"]
    assert plans[0]["weights_bytes"] == plans[1]["weights_bytes"]
    assert plans[0]["scratch_bytes"] == plans[1]["scratch_bytes"]
    assert 1.8 < plans[1]["state_bytes"] / plans[0]["state_bytes"] < 2
    assert tudor("fit", "bach-daisy", "--target", "daisy", "--stereo") == 1
    refused(capsys, "--stereo", "is not of one channel of sound")


def test_what_stereo_does_is_told_before_it_is_flashed() -> None:
    pi = shipped_native("techno-pi") or Path("lacking")
    line, facts = fits.check_fit(pi, "pi")
    assert "; stereo auto: two instances on pi4 uncertain (" in line
    assert line.endswith("; elsewhere one plays")
    played = {fact["target"]: fact["instances"] for fact in facts}
    assert played == {"pi-zero2": 1, "pi3": 1, "pi4": 2, "pi5": 2}
    line, _ = fits.check_fit(pi, "pi", "pi3")
    assert "stereo auto: two instances would be too much (pi3 " in line
    assert "stereo" not in fits.check_fit(SMALL, "daisy")[0], "a Daisy plays one unless it is asked"
    line, facts = fits.check_fit(SMALL, "daisy", mapping="way bend\nstereo on # both\n")
    assert ", q16x8, two instances) on daisy: uncertain" in line
    assert facts[0]["instances"] == 2
    with pytest.raises(TudorError, match="; stereo off or auto plays one instance; "):
        fits.check_fit(pi, "pi", "pi3", mapping="stereo on\n")
    assert "stereo" not in fits.check_fit(pi, "pi", "pi5", mapping="way source\nstereo auto\n")[0]
    assert "stereo" not in fits.check_fit(pi, "pi", "pi5", mapping="stereo off\n")[0]
