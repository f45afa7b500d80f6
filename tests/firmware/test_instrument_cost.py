"""What the instrument costs around a model: counted on an emulated Cortex-M7, and as `fit` says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.instrument import InstrumentCounts, count_instrument
from engine.boards.board import board_named
from engine.boards.fit import SLICED, around_model, fit
from engine.boards.fit_command import read_task
from engine.boards.schedule import schedule
from engine.errors import ConfigError
from firmware.simulate_rack import play_rack
from tests.firmware.common_build import driver
from tests.firmware.machines import machine
from tests.golden.golden import read


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counted") / "model.tudor"
    path.write_bytes(read("techno-tiny", "q16x8").model)
    return path


@pytest.fixture(scope="module")
def counts(file: Path) -> InstrumentCounts:
    machine("m7")
    return count_instrument("m7", file)


def test_slices_cost_hardly_more_than_the_operations_they_run(counts: InstrumentCounts) -> None:
    parts = {part.name.strip(): part for part in counts.parts}
    assert parts["operations of the model"].average > 50_000
    around = parts["cutting slices, loading, storing"].average
    assert 0 < around < 0.03 * counts.model.average
    assert all(part.average > 0 for part in counts.parts if part.name != "latents")
    assert SLICED.low < counts.model.worst / counts.model.average < SLICED.high


def test_fit_knows_what_is_counted(counts: InstrumentCounts, file: Path) -> None:
    task, board = read_task(str(file), "forward"), board_named("daisy")
    found = fit(task, "daisy")
    assert (found.spread.slices, found.spread.most) == (counts.slices, 1)
    around = around_model(task, board, found.spread)
    assert around is not None
    modelled = around.low * board.instructions.high / 1000  # instructions a callback
    assert modelled == pytest.approx(counts.around_model, rel=0.1)


def test_fit_s_latency_is_the_instrument_s(file: Path) -> None:
    played = play_rack(machine("native"), [file.read_bytes()], maps=["way effect"], seconds=1,
                       trace=False)
    found = fit(read_task(str(file), "forward"), "daisy")
    limiter = board_named("daisy").instrument
    assert limiter is not None
    assert found.spread.latency_samples == int(played.facts["latency_samples"])


def test_the_schedule_is_stated_twice_alike() -> None:
    cases = [(frame, block, up, down) for frame in (1, 16, 128, 384, 2048)
             for block in (48, 64, 100, 256) for up, down in ((1, 1), (1, 3), (147, 160), (3, 2))
             if up != down or block % frame]  # joined frames are the player's business
    text = "".join(f"{frame} {block} {up} {down} 1\n" for frame, block, up, down in cases)
    done = subprocess.run([driver("common_schedule.c")], input=text, text=True, capture_output=True,
                          check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(cases) > 50
    for case, line in zip(cases, lines, strict=True):
        try:
            plan = schedule(*case)
        except ConfigError:
            assert line == "refused", case
            continue
        slices, _, prime, _, most = map(int, line.split())
        assert (plan.slices, plan.prime_samples, plan.most) == (slices, prime, most), case


def test_frames_are_joined_where_a_callback_holds_several() -> None:
    assert schedule(16, 48, 1, 1).frame_samples == 48
    assert schedule(16, 480, 1, 1).frame_samples == 240
    assert schedule(32, 48, 1, 1).frame_samples == 32
    assert schedule(16, 48, 1, 3).frame_samples == 16


def test_mistakes_are_said(file: Path) -> None:
    with pytest.raises(ConfigError, match="one of effect, bend"):
        count_instrument("m7", file, "source")
