"""`tudor fit`: figures checked by hand on small tasks, estimates against a real file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.boards.board import KIB, board_named
from engine.boards.fit import FITS, SLICED, TOO_MUCH, UNCERTAIN, fit, largest, percent, require_fit
from engine.boards.placement import RECORDS_BYTES
from engine.boards.work import Task, Work, task_of_file, task_of_model
from engine.description import Description
from engine.errors import ConfigError, TudorError
from engine.models.registry import build
from engine.ops import DTYPES
from engine.players.native_model import NativeFile
from tests.golden.golden import read

SMALL = {"latents": 2, "bands": 4, "compression": 16, "widths": (8, 6)}


def task(*works: Work, rate: int = 48000, frame: int = 48, numbers: int = 1000) -> Task:
    return Task("case", "forward", rate, frame, 0, works, lambda samples: (samples, numbers),
                sum(w.weights for w in works))


def work(macs: float, rows: float, weights: int, name: str = "conv") -> Work:
    return Work(name, "conv", macs, rows, weights, 0)


DAISY = board_named("daisy")
FLOAT = DAISY.kernels["float32"]


def calls_cost(calls: float) -> float:
    """Share of a core, at worst, for setting up one operation."""
    return FLOAT.call * calls / DAISY.instructions.low


def test_arithmetic_is_work_over_rate() -> None:
    found = fit(task(work(100e6, 48000, 100)), "daisy")
    cycles = DAISY.cycles_per_instruction
    assert cycles is not None
    instructions = FLOAT.mac * 100e6 + FLOAT.call * 1000
    assert found.loads.arithmetic.low == pytest.approx(instructions * cycles.low / 480e6)
    assert found.loads.arithmetic.high == pytest.approx(instructions * cycles.high / 480e6)
    assert found.loads.one_frame.high == found.one_frame_macs_per_second == 0


def test_a_layer_that_runs_one_frame_at_a_time_costs_more() -> None:
    found = fit(task(work(100e6, 1000, 100)), "daisy", block=48)  # 1000 calls per second
    single = 100e6 * FLOAT.mac_once / DAISY.instructions.low
    assert found.loads.arithmetic.high == pytest.approx(single + calls_cost(1000))
    assert found.one_frame_macs_per_second == 100e6
    longer = fit(task(work(100e6, 1000, 100)), "daisy", block=480)
    assert longer.one_frame_macs_per_second == 0
    assert longer.loads.arithmetic.high < found.loads.arithmetic.high


def test_what_a_kernel_costs_beside_its_macs() -> None:
    plain = Work("a", "conv", 1e6, 48000, 100, 0)
    rates = {
        "numbers_per_second": FLOAT.number, "act_per_second": FLOAT.act,
        "by_itself_per_second": FLOAT.row,
    }
    base = fit(task(plain), "daisy").loads.arithmetic.high
    for field, each in rates.items():
        more = fit(task(replace(plain, **{field: 2e6})), "daisy").loads.arithmetic.high
        assert more - base == pytest.approx(2e6 * each / DAISY.instructions.low), field
    filters = replace(plain, depthwise=True, numbers_per_second=1e6)
    spent = 1e6 * (FLOAT.depthwise + FLOAT.depthwise_number) / DAISY.instructions.low
    assert fit(task(filters), "daisy").loads.arithmetic.high == pytest.approx(
        spent + calls_cost(1000))


def test_a_separable_layer_is_counted_as_one() -> None:
    tasks = [task_of_model(build("raw_vae", {**SMALL, "widths": (64, 64), "separable": on}), "x")
             for on in (True, False)]
    filters = [[w for w in t.works if w.depthwise] for t in tasks]
    assert len(filters[0]) > len(filters[1])
    assert all(w.numbers_per_second > 0 for w in filters[0])


def test_weights_are_read_once_per_call_or_once_per_tile() -> None:
    weights = 200 * KIB  # numbers: 800 KiB in float32, too much for AXI SRAM
    found = fit(task(work(1e6, 8000, weights)), "daisy", block=48)
    read = found.loads.bytes_read_per_second
    assert read.low == weights * 4 * 1000
    assert read.high == weights * 4 * 1000 * 2  # eight rows per call, four per tile
    assert set(found.placement.weights_in) == {"SDRAM"}
    assert found.loads.reading.low == pytest.approx(read.low / 200e6)
    assert found.loads.reading.high == pytest.approx(read.high / 100e6)
    assert found.verdict == TOO_MUCH


def test_reading_and_arithmetic_bound_the_load_from_both_sides() -> None:
    loads = fit(task(work(50e6, 8000, 50000), work(1e6, 1000, 20000)), "daisy").loads
    assert loads.whole.low <= loads.arithmetic.low + loads.reading.low
    assert loads.whole.low >= max(loads.arithmetic.low, loads.reading.low)
    assert loads.whole.high == pytest.approx(loads.arithmetic.high + loads.reading.high)


def test_a_frame_longer_than_a_callback_is_spread() -> None:
    found = fit(task(work(10e6, 1000, 100), rate=16000, frame=128), "daisy", block=48)
    spread = found.spread
    assert (spread.call_samples, spread.slices, spread.most) == (128, 8, 1)  # 8 ms, 1 ms each
    assert found.instrument is not None
    assert found.worst_callback.high == pytest.approx(
        found.loads.whole.high * SLICED.high + found.instrument.high)
    assert SLICED.low > 1
    odd = fit(task(work(10e6, 1000, 100), frame=128), "daisy", block=48)
    assert (odd.spread.slices, odd.spread.most) == (8, 3), "3 frames of 128 in 8 callbacks of 48"
    assert odd.spread.share(48000) == pytest.approx(1)
    uneven = fit(task(work(10e6, 1000, 100), frame=2048), "daisy", block=2047)
    assert (uneven.spread.slices, uneven.spread.most) == (5, 5)
    assert uneven.spread.share(48000) == pytest.approx(2048 / 2047)


def test_elsewhere_a_host_plays_what_is_complete() -> None:
    found = fit(task(work(10e6, 1000, 100), rate=16000, frame=128), "desktop", block=48)
    spread = found.spread
    assert (spread.call_samples, spread.slices, spread.rate_hz) == (128, 2, 16000)
    assert found.worst_callback.high == pytest.approx(
        found.loads.whole.high * 128 / 96 * SLICED.high)
    assert spread.latency_samples == 127 + 48
    assert found.instrument is None
    whole = fit(task(work(10e6, 1000, 100), rate=16000, frame=32), "desktop", block=48)
    assert (whole.spread.call_samples, whole.spread.slices) == (64, 1)
    assert whole.worst_callback.high == pytest.approx(whole.loads.whole.high * 64 / 48)


def test_the_instrument_costs_more_where_it_converts_rates() -> None:
    """By hand: 16 numbers of 96 taps in, 48 of 32 taps out, a thousand times a second."""
    around = DAISY.instrument
    assert around is not None
    plain, converted = (fit(task(work(1e6, 1000, 100), rate=rate), "daisy").instrument
                        for rate in (48000, 16000))
    assert plain is not None
    assert converted is not None
    fixed = 1000 * (around.callback + 48 * around.sample)
    assert plain.high == pytest.approx(fixed / DAISY.instructions.low)
    taps = 1000 * around.tap * (16 * 96 + 48 * 32)
    assert converted.high == pytest.approx((fixed + taps) / DAISY.instructions.low)
    longer = fit(task(work(1e6, 1000, 100)), "daisy", block=96).instrument
    assert longer is not None
    assert longer.high < plain.high


@pytest.mark.parametrize(
    ("macs", "verdict"), [(140e6, FITS), (200e6, UNCERTAIN), (260e6, TOO_MUCH)]
)
def test_verdicts(macs: float, verdict: str) -> None:
    found = fit(task(work(macs, 48000, 100)), "daisy")
    assert found.verdict == verdict, percent(found.worst_callback)


def test_what_speed_would_not_mend() -> None:
    rate = fit(task(work(1e6, 44101, 100), rate=44101), "daisy")
    assert rate.verdict == TOO_MUCH
    assert "44101 Hz and its codec's 48000 Hz have too little in common" in rate.problems[0]
    assert fit(task(work(1e6, 44101, 100), rate=44101), "desktop").verdict == FITS
    assert fit(task(work(1e6, 44100, 100), rate=44100), "daisy").verdict == FITS, "converted"
    large = fit(task(work(1e6, 100, 3_000_000)), "daisy")
    assert large.verdict == TOO_MUCH
    assert "larger than the 6912 KiB of flash" in large.problems[0]


@pytest.fixture(scope="module")
def both() -> tuple[Task, Task]:
    """The same model from its layers and from its file."""
    file = NativeFile.from_bytes(read("techno-tiny").model)
    config = Description.from_json(file.metadata, "techno-tiny").config
    model = build("raw_vae", {**config, "start": "zero"})  # of no file is known how it starts
    return task_of_model(model, "techno-tiny"), task_of_file(file)


def test_layers_and_file_agree(both: tuple[Task, Task]) -> None:
    layers, file = both
    # The file keeps no biases apart, pads some filters, and joins neighbours.
    assert layers.macs_per_second == pytest.approx(file.macs_per_second, rel=0.03)
    assert layers.weights == pytest.approx(file.weights, rel=0.03)
    for dtype in DTYPES:
        spent = [fit(t, "daisy", dtype, 128).loads.arithmetic.high for t in both]
        assert spent[0] == pytest.approx(spent[1], rel=0.05)
        sizes = [fit(t, "daisy", dtype).placement.file_bytes for t in both]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    assert layers.operations == pytest.approx(file.operations, rel=0.05)
    scratch, state = zip(*(t.instance(128) for t in both), strict=True)
    assert state[0] == pytest.approx(state[1], rel=0.1)
    assert 0.25 < scratch[0] / scratch[1] < 2
    fits = [fit(t, "pi4") for t in both]
    assert fits[0].loads.whole.high == pytest.approx(fits[1].loads.whole.high, rel=0.15)
    assert fits[0].spread == fits[1].spread


def test_smaller_weights_take_less_room(both: tuple[Task, Task]) -> None:
    found = {dtype: fit(both[0], "daisy", dtype) for dtype in DTYPES}
    sizes = [found[d].placement.file_bytes - RECORDS_BYTES for d in DTYPES]
    assert 0.5 * sizes[0] < sizes[1] < 0.53 * sizes[0], "biases stay whole"
    assert 0.25 * sizes[0] < sizes[2] < 0.29 * sizes[0], "a factor and a bias for each output"
    assert found["q16x8"].placement.scratch_bytes < 0.6 * found["float32"].placement.scratch_bytes
    assert found["q16x8"].verdict == FITS
    assert found["q16x8"].worst_callback.high < 0.5 * found["float32"].worst_callback.high


def test_bytes_of_an_operation_by_hand() -> None:
    conv = Work("a", "conv", 1.0, 1.0, 64 * 32 * 3 + 64, 0, heads=64)
    assert conv.weights_bytes("float32") == 4 * (6144 + 64)
    assert conv.weights_bytes("bf16w") == 2 * 6144 + 4 * 64
    assert conv.weights_bytes("q16x8") == 6144 + 8 * 64
    snake = Work("b", "snake", 0.0, 1.0, 64, 0)
    assert {snake.weights_bytes(dtype) for dtype in DTYPES} == {256}


def test_an_operation_that_a_number_format_lacks() -> None:
    tasks = task(work(1e6, 48000, 100), Work("middle/gru", "gru", 1e6, 48000, 100, 8))
    assert fit(tasks, "daisy").verdict == FITS
    lacks = fit(tasks, "daisy", "q16x8")
    assert lacks.verdict == TOO_MUCH
    assert lacks.problems == ("q16x8 cannot run middle/gru (gru); use float32 or bf16w",)


def test_training_for_a_board_refuses_with_the_figures() -> None:
    small = build("raw_vae", SMALL)
    assert require_fit(small, "daisy").verdict == FITS
    large = build("raw_vae", {**SMALL, "widths": (256, 256), "sample_rate_hz": 48000})
    with pytest.raises(TudorError, match=r"daisy: does not fit; modelled load .* % of one core, "
                                         r"limit 75 %; .* MMAC/s, weights \d+ KiB"):
        require_fit(large, "daisy", name="big")


def test_unknown_names_suggest_what_there_is() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pi-zero2'"):
        fit(task(work(1, 1, 1)), "pi-zero")
    with pytest.raises(ConfigError, match="did you mean 'q16x8'"):
        fit(task(work(1, 1, 1)), "daisy", "q8x16")
    with pytest.raises(ConfigError, match="at least one sample"):
        fit(task(work(1, 1, 1)), "daisy", block=0)


def test_the_largest_that_fits() -> None:
    tasks = [Task(str(macs), "forward", 48000, 48, 0, (work(macs, 48000, 100),),
                  lambda samples: (samples, 0), 100) for macs in (1e6, 100e6, 270e6)]
    assert largest(tasks, "daisy", "float32") == ("100000000.0", "float32")
    assert largest(tasks[2:], "daisy", "float32") is None
    assert largest(tasks, "daisy") == ("270000000.0", "q16x8"), "each number format is tried"
    assert largest(tasks[:2], "daisy") == ("100000000.0", "float32"), "the most exact that fits"
