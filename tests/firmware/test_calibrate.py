"""`tudor module calibrate`, and what it gives: cents over five octaves on imitated converters."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from firmware import calibrate as job
from firmware.converter import (
    ADS1115_STEPS,
    STAGE_OHM,
    SUPPLY_VOLT,
    converter,
    pitch_converter,
    stage,
    steady,
)
from firmware.host.build import COMMON, FLAGS
from firmware.simulate_rack import calibrated, events, play_rack
from firmware.simulate_script import reading_of
from tests.core.core_build import need
from tests.firmware.command import tudor
from tests.firmware.common_models import generator
from tests.firmware.machines import machine

HERE = Path(__file__).parent
CENTS = 3.0
RATE = 48000


def patched(line: str) -> None:
    """Patches what is asked for at once."""


# ---- readings that stand still ----


def test_the_boards_steady_readings_as_the_simulation_does(tmp_path: Path) -> None:
    need("gcc")
    program = tmp_path / "steady"
    subprocess.run(["gcc", *FLAGS, "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{COMMON}",
                    HERE / "steady_run.c", COMMON / "steady.c", "-o", program], check=True)
    rng = np.random.default_rng(0)
    volts = np.concatenate([np.full(300, 1.0), np.full(300, 2.0), np.linspace(2, 3, 500),
                            1 + 0.05 * np.sin(np.arange(500) / 16)])
    readings = converter("pi", 1).read(volts, rng).astype(np.float32)
    done = subprocess.run([program], input=readings.tobytes(), capture_output=True, check=True)
    pairs = np.frombuffer(done.stdout, np.float32).reshape(-1, 2)
    mean, told = steady(readings.astype(np.float64))
    assert np.array_equal(pairs, np.stack([mean, told], 1).astype(np.float32))


@pytest.mark.parametrize("board", ["pi", "daisy"])
def test_a_voltage_that_stands_still_does_not_shake_and_one_that_jumps_is_followed(board: str
                                                                                ) -> None:
    """In cents: at rest, and ten readings behind a jump of an octave; a vibrato stays one."""
    unit, rng = converter(board, 3, 0.0), np.random.default_rng(0)
    told = steady(unit.read(np.repeat([1.0, 2.0], 1000), rng))[1] * unit.gain * 1200
    for part in (told[200:1000], told[1200:]):
        assert np.ptp(part) < 2.0
    assert np.abs(told[1010:1100] - told[1900]).max() < 1.5
    assert (np.diff(told[200:1000]) != 0).mean() < 0.25, "events all the time"
    at = np.arange(2000) / (500 if board == "pi" else 1000)
    vibrato = steady(unit.read(1 + np.sin(2 * np.pi * 5 * at) / 24, rng))[1] * unit.gain * 1200
    assert np.ptp(vibrato[500:]) > 0.9 * 100


# ---- cents ----


@pytest.mark.parametrize("board", ["pi", "daisy"])
def test_five_octaves_lie_within_three_cents_after_calibration(board: str) -> None:
    """Converters of 2 LSB of INL at 12 bits: a point for each octave, and only two."""
    worst, two, before = [], [], []
    for seed in range(12):
        inputs = job.Simulated(board, 40 + seed)
        texts = [job.merged("", job.lines_of(job.measure(inputs, ["cv1"], volts, False, patched)))
                 for volts in (job.OCTAVES, (0.0, 5.0))]
        worst.append(inputs.cents(texts[0], "cv1"))
        two.append(inputs.cents(texts[1], "cv1"))
        before.append(inputs.cents(None, "cv1"))
    assert max(worst) < CENTS
    assert max(two) > CENTS, "two points would do: the converters are too good to be true"
    assert min(before) > CENTS


def test_the_worst_that_a_data_sheet_allows_is_beyond_three_cents() -> None:
    """Steps that differ by a whole LSB (3 cents): docs/module.md says by how much, and that a point
    for each half octave does not mend it."""
    halves, worst = tuple(np.arange(11) / 2), {}
    for volts in (job.OCTAVES, halves):
        worst[volts] = 0.0
        for seed in range(12):
            inputs = job.Simulated("pi", 40 + seed)
            inputs.inputs["cv1"] = converter("pi", 40 + seed, dnl_lsb=1.0)
            points = job.measure(inputs, ["cv1"], volts, False, patched)
            text = job.merged("", job.lines_of(points))
            worst[volts] = max(worst[volts], inputs.cents(text, "cv1"))
    assert CENTS < worst[halves] < worst[job.OCTAVES] < 5.0


def test_the_part_for_pitch_lies_within_three_cents_at_its_data_sheet_s_worst() -> None:
    """An ADS1115, as the parts list has it for notes; also if it were twice as bad."""
    driver = (HERE.parents[1] / "firmware/pi/adc.c").read_text()
    assert "ADS1115_STEPS_AT_SUPPLY (3.3f / 4.096f * 32767.0f)" in driver
    assert round(3.3 / 4.096 * 32767) == ADS1115_STEPS
    page = (HERE.parents[1] / "docs" / "module.md").read_text()
    assert "| ADS1115IDGSR, on a module such as Adafruit 1085 |" in page
    for worse, most in ((1.0, 1.5), (2.0, CENTS)):
        for seed in range(12):
            inputs = job.Simulated("pi", 40 + seed)
            inputs.inputs["cv1"] = pitch_converter(40 + seed, worse)
            points = job.measure(inputs, ["cv1"], job.OCTAVES, False, patched)
            assert inputs.cents(job.merged("", job.lines_of(points)), "cv1") < most


def test_every_stage_of_parts_within_one_percent_reads_five_octaves() -> None:
    """Also where the op-amp stops 25 mV before its rail; docs/module.md has the same parts."""
    for off in product((0.99, 1.01), repeat=4):
        gain, middle = stage(np.array(STAGE_OHM) * off)
        most = gain * (1 - 2 * 0.025 / SUPPLY_VOLT)
        assert middle + most > 5.0
        assert middle - most < -4.8
    page = (HERE.parents[1] / "docs" / "module.md").read_text()
    rf, vb = (STAGE_OHM[i] / 1000 for i in (1, 3))
    assert f"| ±5 V | 100 k | {rf:g} k | 10 k over {vb:g} k: 1.263 V | 0 to 3.3 V" in page
    assert f">{rf:g} k</text>" in (HERE.parents[1] / "docs" / "module-schematic.svg").read_text()


def test_a_voltage_that_the_op_amp_cannot_follow_is_named() -> None:
    """It reads 4.8 V where 5 V are patched in: no reading looks wrong by itself."""
    inputs = job.Simulated("pi", 40)
    inputs.inputs["cv1"] = replace(inputs.inputs["cv1"], gain=4.8, most=1 - 2 * 0.025 / SUPPLY_VOLT)
    with pytest.raises(ConfigError, match=r"from 4 V to 5 V .* 5 V is beyond what it can read"):
        job.measure(inputs, ["cv1"], job.OCTAVES, False, patched)


def test_the_instrument_plays_the_calibrated_pitch() -> None:
    """From noisy readings to the pitch that a model is told: its own code all the way."""
    unit, rng = converter("pi", 5), np.random.default_rng(1)
    inputs = job.Simulated("pi", 5)
    lines = job.lines_of(job.measure(inputs, ["cv1"], job.OCTAVES, False, patched))
    volts = np.arange(61) / 12
    told = steady(unit.read(np.repeat(volts, 20), rng))[1]
    rows = [(i / 500, "cv", 0, float(value)) for i, value in enumerate(told)]
    played = play_rack(machine("native"), [generator(("pitch_oct", "a"))], channels=(0, 1),
                       maps=["way source\ncv1 pitch smooth=0\n"], block=48, lane=4096,
                       script=events(rows, RATE), calibration=lines["cv1"] + "\n",
                       seconds=3)
    pitch = played.status["latent"][:, 0].astype(float) * 6 - 3  # shown over its range of ±3
    ends = np.round((np.arange(1, 62) * 20 / 500 - 0.003) * RATE / 48).astype(int)
    cents = 1200 * (pitch[ends] - volts)
    assert np.abs(cents).max() < CENTS


# ---- the file ----


def test_points_are_lines_between_readings_and_go_on_beyond(tmp_path: Path) -> None:
    how = calibrated("cv2 at=0.5:3 at=0.1:1 at=0.0:0\ncv3 at=0.5:-1 at=-0.5:1 at=0:0.2\n"
                     "cv3 at=0.7:-2\n", tmp_path)
    assert how[17]["points"] == 3
    assert how[17]["at"][:3] == pytest.approx([0.0, 0.1, 0.5])
    assert how[17]["volts"][:3] == pytest.approx([0, 1, 3])
    assert reading_of(np.array([-1, 0.5, 2, 5]), how[17]) == pytest.approx([-0.1, 0.05, 0.3, 0.9])
    assert how[18]["points"] == 4
    assert reading_of(np.array([1, 0.2, -1.5]), how[18]) == pytest.approx([-0.5, 0, 0.6], abs=1e-6)


@pytest.mark.parametrize(("text", "says"), [
    ("cv1 at=0.5\n", "line 1: at= wants READING:VOLTS, not '0.5'"),
    ("cv1 at=0.5:\n", "line 1: at= wants READING:VOLTS"),
    ("\ncv1 at=0.5:1\n", "line 2: wants at least two points"),
    ("cv1 at=0:0 at=0.5:1 at=0.5:2\n", "two points at the same reading: '0.5:2'"),
    ("cv1 at=0:0 at=0.5:2 at=0.7:1\n", "rises and falls with its points; at '0.7:1'"),
    ("cv1 " + " ".join(f"at={i / 10}:{i}" for i in range(11)) + "\ncv1 at=2:20 at=2.1:21\n",
     "line 2: is one too many: an input has at most 12 points, '2.1:21'"),
])
def test_mistakes_in_points_are_named(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        calibrated(text, tmp_path)
    assert says in str(error.value)


def test_other_lines_of_the_file_stay() -> None:
    old = "\ufeff# mine\nknob1 gain=1.02\ncv1 offset=0.1 gain=5\n\ncv10 gain=3.3\ncv1 curve=s\n"
    assert job.merged(old, {"cv1": "cv1 at=0:0 at=1:5"}) == (
        "# mine\nknob1 gain=1.02\n\ncv10 gain=3.3\ncv1 at=0:0 at=1:5\n")


# ---- the command ----


def test_it_can_be_tried_without_a_module(capsys: pytest.CaptureFixture[str], tmp_path: Path
                                          ) -> None:
    words = ("module", "calibrate", "--simulate", 3, "--cv", "cv2")
    assert tudor(*words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["cents"]["cv2"]["after"] < CENTS < report["cents"]["cv2"]["before"]
    assert report["written"] is False
    rows = ["input,volts,reading"]
    for volts in (0, 2.5, 5):
        assert tudor(*words, "--measure", volts) == 0
        rows.append(capsys.readouterr().out.strip())
        assert rows[-1].startswith(f"cv2,{volts:g},")
    (tmp_path / "p.csv").write_text("\n".join(rows))
    assert tudor(*words, "--points", tmp_path / "p.csv") == 0
    line = capsys.readouterr().out.strip()
    assert [word.partition(":")[2] for word in line.split()[1:]] == ["0", "2.5", "5"]


@pytest.mark.parametrize(("words", "says"), [
    ([], "give one of --host"),
    (["--simulate", "1", "--host", "board"], "give one of --host"),
    (["--simulate", "1", "--volts", "1"], "--volts wants 2 to 12 different voltages"),
    (["--simulate", "1", "--volts", "1,x"], "--volts wants 2 to 12"),
    (["--simulate", "1", "--volts", "0,9"], "cv1: 9 V is beyond what it can read"),
    (["--simulate", "1", "--cv", "cv9"], "--cv cv9 is not read there; cv1, cv2, cv3, cv4 are"),
    (["--simulate", "1", "--board", "pie"], "did you mean 'pi'"),
    (["--simulate", "1", "--points", "no.csv"], "no.csv: No such file"),
    (["--simulate", "1", "--points", "bad.csv"], "bad.csv, line 2: wants input,volts,reading"),
    (["--simulate", "1", "--points", "far.csv"], "far.csv, line 1: wants cv1 to cv16"),
    (["--simulate", "1", "--points", "flat.csv"],
     "cv1: reads 0.0000 at 0 V and 0.0010 at 1 V; was the right jack patched"),
    (["--simulate", "1", "--points", "one.csv"], "cv1: 1 known voltages; 2 to 12 are needed"),
])
def test_mistakes_are_one_line(words: list[str], says: str, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str],
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text("cv1,0,0\ncv1,one,0\n")
    Path("far.csv").write_text("cv17,0,0\n")
    Path("flat.csv").write_text("cv1,0,0\ncv1,1,0.001\ncv1,2,0.4\n")
    Path("one.csv").write_text("cv1,0,0\n")
    assert tudor("module", "calibrate", *words) == 1
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
