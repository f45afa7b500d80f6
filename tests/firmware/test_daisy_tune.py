"""A Daisy's CVs calibrated at its button: in simulated time, on converters with errors."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from firmware import calibrate as job
from firmware.host.build import COMMON, CORE, FLAGS
from tests.core.core_build import CACHE, need

HERE = Path(__file__).parent
DAISY = HERE.parent.parent / "firmware" / "daisy"
READINGS, CENTS = 1700, 3.0


@cache
def program() -> Path:
    need("gcc")
    sources = [HERE / "daisy_tune.c", DAISY / "tune.c",
               *(COMMON / f"{name}.c" for name in ("basics", "text", "crc", "save_ring"))]
    CACHE.mkdir(exist_ok=True)
    out = CACHE / "daisy_tune"
    subprocess.run(["gcc", *FLAGS, "-Wall", "-Wextra", "-Wconversion", "-Werror",
                    "-fsanitize=address,undefined", f"-I{DAISY}", f"-I{COMMON}", f"-I{CORE}",
                    *sources, "-o", out], check=True)
    return out


def tune(folder: Path, seed: int, presses: str, *more: str, patched: tuple[int, ...] = (0, 1, 2, 3),
         volts: tuple[float, ...] = job.OCTAVES) -> tuple[list[int], str]:
    """Flashes before each press, and the lines that are kept. CVs that are not patched read 0 V."""
    inputs, rng = job.Simulated("daisy", seed), np.random.default_rng(seed)
    read = np.stack([[unit.read(np.full(READINGS, v if i in patched else 0.0), rng)
                      for i, unit in enumerate(inputs.inputs.values())] for v in volts])
    read.astype("<f4").tofile(folder / "readings")
    done = subprocess.run([program(), folder / "flash", folder / "readings", presses, *more],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:] or done.returncode
    head, _, text = done.stdout.partition("ms ")
    return [int(n) for n in re.findall(r"flashes (\d+)", head)], text.partition("\n")[2]


def test_six_presses_bring_five_octaves_within_three_cents(tmp_path: Path) -> None:
    worst = 0.0
    for seed in (10, 20, 30):
        (tmp_path / "flash").unlink(missing_ok=True)
        flashes, text = tune(tmp_path, seed, "ssssss")
        assert flashes == [1, 1, 2, 3, 4, 5], "0 V is a light that goes out for a moment"
        assert len(text.splitlines()) == 4
        inputs = job.Simulated("daisy", seed)
        cents = [inputs.cents(text, f"cv{i}") for i in range(1, 5)]
        assert min(inputs.cents(None, f"cv{i}") for i in range(1, 5)) > CENTS
        worst = max(worst, *cents)
    assert worst < CENTS


def test_what_was_found_is_there_at_the_next_start(tmp_path: Path) -> None:
    assert tune(tmp_path, 1, "")[1] == "", "nobody held the button"
    found = tune(tmp_path, 1, "ssssss")[1]
    assert found.startswith("cv1 at=")
    assert tune(tmp_path, 1, "")[1] == found


def test_only_what_was_patched_changes(tmp_path: Path) -> None:
    first = tune(tmp_path, 1, "ssssss")[1].splitlines()
    again = tune(tmp_path, 7, "ssssss", patched=(2,))[1].splitlines()
    assert len(first) == len(again) == 4
    assert again[0] != first[2]
    assert again[0].startswith("cv3 ")
    assert again[1:] == [first[0], first[1], first[3]]
    assert tune(tmp_path, 7, "")[1].splitlines() == again


def test_a_long_press_ends_it_early_or_forgets(tmp_path: Path) -> None:
    text = tune(tmp_path, 1, "sssl")[1]
    assert [re.findall(r":(\d)", line) for line in text.splitlines()] == [["0", "1", "2"]] * 4
    assert tune(tmp_path, 2, "sl")[1] == text, "one point is none"
    assert tune(tmp_path, 2, "l")[1] == ""
    assert tune(tmp_path, 2, "")[1] == "#\n", "a record that says nothing"


def test_a_flash_that_does_not_keep_it_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    old = tune(tmp_path, 1, "ssssss")[1]
    flashes, now = tune(tmp_path, 5, "ssssss", "breaks")
    assert flashes == [1, 1, 2, 3, 4, 5]
    assert now != old, "it holds until the power goes"
    assert tune(tmp_path, 5, "")[1] == old


@pytest.mark.parametrize("volts", [(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 2.0, 1.0, 3.0, 4.0, 5.0),
                                   (0.0, 1.0, 2.0, 3.0, 4.0, 9.0)])
def test_voltages_that_cannot_be_meant_change_nothing(volts: tuple[float, ...], tmp_path: Path
                                                      ) -> None:
    assert tune(tmp_path, 1, "ssssss", volts=volts)[1] == ""
