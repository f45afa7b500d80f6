"""Depths of CVs, and knobs that wait for a hand after a slot change."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from firmware.host.build import rack
from firmware.host.play import command, run_there
from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_models import coder, generator, wire
from tests.firmware.common_play import BEND, RATE, latent, native, refusal
from tests.firmware.machines import machine

SILENT = np.zeros((1, 2 * RATE), np.float32)
DEPTH = BEND + "cv1 latent 1 -3 3 smooth=0\ncv2 latent 2 -3 3\nknob4 depth cv1\n"


@pytest.mark.parametrize(("line", "says"), [
    ("knob1 depth", "depth wants cv1 to cv16, not ''"),
    ("knob1 depth cv17", "depth wants cv1 to cv16, not 'cv17'"),
    ("knob1 depth knob2", "depth wants cv1 to cv16, not 'knob2'"),
    ("knob1 depth cv1 at=bar", "there is no option 'at=bar'"),
])
def test_mistakes_in_a_depth_are_named(line: str, says: str) -> None:
    assert says in refusal(BEND + line + "\n")


@pytest.mark.parametrize(("knob", "depth"), [(None, 1.0), (1.0, 1.0), (0.5, 0.0), (0.0, -1.0),
                                             (0.75, 0.5)])
def test_a_knob_is_a_cv_s_attenuverter(knob: float | None, depth: float) -> None:
    """2.5 V are a quarter of the range of latent 1; the other CV stays as it is."""
    rows = [(0.0, "cv", 0, 0.5), (0.0, "cv", 1, 0.5)]
    rows += [(0.1, "knob", 3, knob)] if knob is not None else []
    run = native([coder()], DEPTH, rows, audio=SILENT)
    assert latent(run, 0, 0.9) == pytest.approx(0.5 + 0.25 * depth, abs=1e-3)
    assert latent(run, 1, 0.9) == pytest.approx(0.75, abs=1e-3)


def test_a_depth_moves_a_voltage_that_stands_still_and_glides() -> None:
    run = native([coder()], DEPTH, [(0.0, "cv", 0, 0.5), (0.0, "knob", 3, 1.0),
                                    (0.5, "knob", 3, 0.0)], audio=SILENT)
    z = run.status["latent"][:, 0]
    assert z[480:500] == pytest.approx(0.75, abs=1e-3)
    assert z[990] == pytest.approx(0.25, abs=1e-3)
    assert np.abs(np.diff(z[490:])).max() < 0.05, "it jumps"
    assert ((z[505:560] > 0.26) & (z[505:560] < 0.74)).sum() > 20


def test_a_depth_stands_before_range_curve_and_mode() -> None:
    """Half of 4 V is 2 V: to a line that sets, and to one that bends. CVs move depths too."""
    rows = [(0.0, "cv", 0, 0.8), (0.0, "knob", 3, 0.75)]
    run = native([coder()], BEND + "cv1 latent 1 0 3 in=0:4 mode=set\n"
                 "cv1 latent 2 0 3 in=0:4 curve=square\nknob4 depth cv1\n", rows, audio=SILENT)
    assert latent(run, 0, 0.9) == pytest.approx(0.5 + 0.5 / 2, abs=1e-3)
    assert latent(run, 1, 0.9) == pytest.approx(0.5 + 0.25 / 2, abs=1e-3)
    run = native([coder()], BEND + "cv1 latent 1 -3 3\nknob4 depth cv1 0 0\n"
                 "cv2 depth cv1 0 1 in=0:5\n",
                 [(0.0, "cv", 0, 0.8), (0.0, "knob", 3, 0.5), (0.0, "cv", 1, 0.5)], audio=SILENT)
    assert latent(run, 0, 0.9) == pytest.approx(0.5 + 0.5 * 0.4, abs=1e-3)


def derived(model: bytes) -> list[str]:
    """The derived mapping's lines about depths."""
    with TemporaryDirectory() as name:
        (Path(name) / "m0").write_bytes(model)
        text = run_there(command(machine("native"), rack(machine("native")),
                                 ["models=m0", "derive=1"]), Path(name))
    return [line for line in text.splitlines() if " depth " in line]


def test_knobs_that_are_free_are_depths() -> None:
    assert derived(generator()) == ["knob5 depth cv1", "knob6 depth cv2", "knob7 depth cv3"]
    assert derived(generator(("pitch", "a"))) == ["knob4 depth cv2", "knob5 depth cv3"], "no pitch"
    assert derived(coder(8)) == []
    assert derived(coder(6)) == ["knob8 depth cv1"]
    assert derived(wire()) == []


# ---- catching up ----

KNOB = "way effect\nknob1 wet smooth=0\n"


def slots(rows: list[tuple[float, str, int, float]], overlap: int = 0, catch: int = 1) -> Racked:
    return native([wire(), wire(gain=0.5)], KNOB, rows, audio=SILENT, overlap=overlap, catch=catch)


def wet(run: Racked, at: float) -> float:
    return float(run.status["wet"][round(at * 1000)])


@pytest.mark.parametrize("overlap", [0, 1])
def test_a_knob_waits_until_it_passes_where_it_was(overlap: int) -> None:
    """Slot 1 was left at 0.8, slot 2 is played at 0.2: each finds its own again."""
    run = slots([(0.0, "knob", 0, 0.8), (0.3, "select", 1, 0.0), (0.305, "knob", 0, 0.3),
                 (0.5, "knob", 0, 0.2),
                 (0.6, "select", 0, 0.0), (0.8, "knob", 0, 0.5), (0.9, "knob", 0, 0.75),
                 (1.0, "knob", 0, 0.9), (1.1, "knob", 0, 0.4),
                 (1.2, "select", 1, 0.0), (1.5, "knob", 0, 0.1), (1.6, "knob", 0, 0.6)],
                overlap=overlap)
    for at, wanted in ((0.25, 0.8), (0.58, 0.2), (0.78, 0.8), (0.88, 0.8), (0.98, 0.8),
                       (1.08, 0.9), (1.18, 0.4), (1.48, 0.2), (1.58, 0.1), (1.68, 0.6)):
        assert wet(run, at) == pytest.approx(wanted, abs=0.002), at


def test_a_knob_that_is_where_it_was_does_not_wait() -> None:
    run = slots([(0.0, "knob", 0, 0.8), (0.3, "select", 1, 0.0), (0.6, "select", 0, 0.0),
                 (0.8, "knob", 0, 0.6), (0.9, "select", 1, 0.0), (1.1, "knob", 0, 0.79),
                 (1.3, "knob", 0, 0.2)])
    for at, wanted in ((0.88, 0.6), (1.05, 0.8), (1.25, 0.79), (1.4, 0.2)):
        assert wet(run, at) == pytest.approx(wanted, abs=0.002), at


def test_a_change_of_mind_catches_up_too() -> None:
    """The other slot is still unheard when its knob is turned and the first is chosen again."""
    late = wire(frame=16384)
    run = native([wire(), late], KNOB,
                 [(0.0, "knob", 0, 0.8), (0.3, "select", 1, 0.0), (0.32, "knob", 0, 0.2),
                  (0.34, "select", 0, 0.0), (0.6, "knob", 0, 0.3), (0.7, "knob", 0, 0.95)],
                 audio=SILENT, overlap=1)
    assert set(run.status["slot"][400:]) == {0}
    for at, wanted in ((0.5, 0.8), (0.65, 0.8), (0.8, 0.95)):
        assert wet(run, at) == pytest.approx(wanted, abs=0.002), at


def test_in_a_program_knobs_are_where_they_are_set() -> None:
    run = slots([(0.0, "knob", 0, 0.8), (0.3, "select", 1, 0.0), (0.5, "knob", 0, 0.2),
                 (0.6, "select", 0, 0.0), (0.9, "knob", 0, 0.5)], catch=0)
    for at, wanted in ((0.25, 0.8), (0.58, 0.2), (0.8, 0.2), (0.98, 0.5)):
        assert wet(run, at) == pytest.approx(wanted, abs=0.002), at


def test_a_loop_plays_on_in_the_other_slot() -> None:
    """A gesture's movements are no hand's, and need not catch up."""
    ramp = [(0.1 + 0.01 * i, "knob", 0, i / 19) for i in range(20)]
    rows = [(0.0, "knob", 0, 0.5), (0.0, "select", 1, 0.0), (0.05, "select", 0, 0.0),
            (0.09, "gate", 0, 1.0), *ramp, (0.3, "gate", 0, 0.0), (0.6, "select", 1, 0.0)]
    run = play_rack(machine("native"), [wire(), wire()], maps=[KNOB + "gate1 record\n"] * 2,
                    audio=SILENT, script=events(rows, RATE), block=48, overlap=1)
    assert np.ptp(run.status["wet"][1000:1400]) > 0.8


def test_a_knob_that_stands_elsewhere_at_power_up_waits_too() -> None:
    """What was saved holds until a hand comes there; without a save knobs count where they are."""
    saved = native([wire()], KNOB, [(0.0, "knob", 0, 0.8)], audio=SILENT, save=True).saved
    rows = [(0.1, "knob", 0, 0.3), (0.5, "knob", 0, 0.85), (0.8, "knob", 0, 0.4)]
    run = native([wire()], KNOB, rows, audio=SILENT, restore=saved)
    for at, wanted in ((0.4, 0.8), (0.7, 0.85), (1.0, 0.4)):
        assert wet(run, at) == pytest.approx(wanted, abs=0.002), at
    assert wet(native([wire()], KNOB, rows, audio=SILENT), 0.4) == pytest.approx(0.3, abs=0.002)
