"""What the instrument does in time: actions at lines of beats and bars, loops of whole bars, walks
that turn on the beat, models that are told where in the song they are."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.host.build import COMMON, CORE
from firmware.simulate_rack import EVENT, Racked, count_rack, events
from tests.firmware.common_models import FloatArray, coder, generator, wire
from tests.firmware.common_play import BEND, BLOCK, RATE, native, refusal
from tests.firmware.machines import machine
from tests.firmware.transport_runs import jittered, steady

Row = tuple[float, str, int, float]
CLOCK, START = 0xF80000, 0xFA0000
FROZEN, RECORDING, LOOPING, CLOCKED, STOPPED = 1, 2, 4, 16, 32
FIRST = 0.1  # seconds: of the clock's first pulse


def clock(tempo: float, end: float, seed: int | None = None) -> list[Row]:
    """A MIDI clock that starts, jittering by a millisecond if there is a seed."""
    times = steady(tempo, FIRST, end)
    times = times if seed is None else jittered(times, seed)
    return [(0.05, "midi", 0, START), *((float(at), "midi", 0, CLOCK) for at in times)]


def silent(seconds: float) -> FloatArray:
    return np.zeros((1, round(seconds * RATE)), np.float32)


def beats(run: Racked) -> NDArray[np.float64]:
    """Where the song is at the end of every block."""
    return run.status["beat"].astype(float) + run.status["beat_phase"]


def changes(run: Racked, flag: int) -> NDArray[np.float64]:
    """The beats at which a flag changed."""
    flags = (run.status["flags"] & flag > 0).astype(int)
    return beats(run)[1:][np.diff(flags) != 0]


def gate(*times: float, number: int = 0, width: float = 0.05) -> list[Row]:
    """Gates that are high for `width` seconds."""
    return [(at + up * width, "gate", number, 1.0 - up) for at in times for up in (0, 1)]


@pytest.mark.parametrize(("line", "says"), [
    ("gate1 jump at=never",
     "at= wants beat, bar, or beats from 0.25 to 64 in sixteenths, not 'never'"),
    ("gate1 jump at=0.3", "at= wants beat, bar"),
    ("gate1 jump chance=2", "chance= wants a number from 0 to 1, not '2'"),
    ("gate1 freeze chance=0.5", "there is no option 'chance=0.5'; known for gates: mode= at="),
    ("gate1 clock 97", "clock wants a number from 1 to 96"),
    ("gate1 clock at=bar", "clock wants a number from 1 to 96"),
    ("knob1 clock", "only a gate, a note, a cc, beat or bar can do 'clock'"),
    ("beat clock", "beats come from the clock and cannot be its 'clock'"),
    ("bar tap", "beats come from the clock and cannot be its 'tap'"),
    ("meter 17", "meter wants the beats of a bar, from 1 to 16, not '17'"),
    ("tempo 10", "tempo wants beats a minute, from 20 to 400, not '10'"),
    ("tempo", "tempo wants beats a minute"),
    ("knob1 rate unit=hour", "unit= wants second or beat, not 'hour'"),
    ("knob1 wet unit=beat", "there is no option 'unit=beat'"),
    ("cv1 rate unit=beat", "the rate is in another unit in a line before: 'beat'"),
])
def test_mistakes_are_named(line: str, says: str) -> None:
    said = refusal(f"way bend\nknob2 rate\n{line}\n")
    assert said.startswith("m0: line 3: ")
    assert says in said


def test_the_status_says_the_beat() -> None:
    run = native([coder()], BEND + "meter 3\n", clock(150, 4, seed=1), audio=silent(6.5))
    true = ((np.arange(run.status.size) + 1) * BLOCK / RATE - FIRST) * 150 / 60
    led = (true > 2) & (true < 9.5)
    assert np.abs(beats(run) - true)[led].max() * 60 / 150 < 0.002
    assert run.status["tempo"][led] == pytest.approx(150, rel=0.01)
    assert run.status["bar_phase"][led] == pytest.approx(beats(run)[led] % 3 / 3, abs=1e-5)
    assert (run.status["flags"][led] & CLOCKED).all()
    assert not run.status["flags"][-1] & CLOCKED
    assert run.status["tempo"][-1] == pytest.approx(150, rel=0.005), "it runs on"


@pytest.mark.parametrize(("at", "grid"), [("beat", 1), ("bar", 4), ("0.5", 0.5), ("8", 8)])
def test_actions_wait_for_their_line(at: str, grid: float) -> None:
    """A press and a release: recording begins and ends on lines, at least one grid later."""
    rows = [*clock(128, 12, seed=2), *gate(1.3, 5.2, width=0.4)]
    run = native([coder()], BEND + f"gate1 record at={at}\nknob1 wet\n", rows, audio=silent(12))
    edges = changes(run, RECORDING)
    # Pressed again while it waits for its end: it goes on.
    assert edges.size == (2 if grid == 8 else 4)
    assert edges / grid == pytest.approx(np.round(edges / grid), abs=0.01 / grid)
    assert (edges[1::2] - edges[::2] > 0.9 * grid).all()
    pressed = (1.3 - FIRST) * 128 / 60
    assert 0 <= edges[0] - pressed < grid + 0.01


def test_a_gate_on_the_line_is_meant_for_it() -> None:
    """One that comes a little late does not wait a bar."""
    bar = FIRST + 4 * 60 / 120
    for late in (-0.004, 0.004, 0.02):
        run = native([coder()], BEND + "gate1 record at=bar\n",
                     [*clock(120, 5), *gate(bar + late)], audio=silent(5))
        begun, ended = changes(run, RECORDING)
        assert begun == pytest.approx(4 + max(late, 0) * 2, abs=0.01)
        assert ended == pytest.approx(8, abs=0.01)


def test_loops_are_whole_bars_for_minutes() -> None:
    """A gesture of two bars under a jittering clock: every round begins with its bar, also after
    the tempo has changed, and after the song is started anew."""
    moves = [(0.1 + 0.02 * n, "knob", 0, (n * 0.37) % 1) for n in range(230)]
    fast = steady(150, 40.02, 90)
    rows = [*clock(124, 40, seed=3), *moves, *gate(0.5, width=4.0),
            *((float(at), "midi", 0, CLOCK) for at in jittered(fast, 4)),
            (70.0, "midi", 0, START)]
    run = native([coder()], BEND + "gate1 record at=bar\nknob1 latent 1 -3 3 smooth=0\n", rows,
                 audio=silent(90))
    begun, ended = changes(run, RECORDING)
    length = round(ended - begun)
    assert length % 4 == 0
    assert (begun, ended) == pytest.approx((4, 4 + length), abs=0.01)
    seconds = (np.arange(run.status.size) + 1) * BLOCK / RATE
    z = run.status["latent"][:, 0]
    place = np.round(np.arange(0.05, length, 0.05), 3)

    def round_of(begin: float, span: tuple[float, float]) -> NDArray[np.float64]:
        inside = (seconds > span[0]) & (seconds < span[1])
        return np.interp(begin + place, beats(run)[inside], z[inside])

    first = round_of(4 + length, (0, 40))
    assert first.std() > 0.1
    for begin, span in ((4 + 3 * length, (0, 40)), (4 + 14 * length, (42, 70)), (length, (71, 90)),
                        (4 * length, (71, 90))):
        same = np.abs(round_of(begin, span) - first) < 1e-3
        assert same.mean() > 0.9, (begin, span)  # but at the steps themselves


def test_jumps_with_a_probability() -> None:
    """On bars, half of them; on all; on none; the same seed draws the same."""
    def jumped(line: str, **options: int) -> NDArray[np.float64]:
        run = native([coder()], BEND + line, clock(240, 16), audio=silent(16), **options)
        z, at = run.status["latent"][:, 0], beats(run)
        places = np.interp(np.arange(3.9, 60, 4), at, z)  # settled, before each bar
        return np.abs(np.diff(places)) > 1e-3

    half = jumped("bar jump chance=0.5\n")
    assert 3 <= half.sum() <= half.size - 3
    assert np.array_equal(half, jumped("bar jump chance=0.5\n"))
    assert not np.array_equal(half, jumped("bar jump chance=0.5\n", seed=5))
    assert jumped("bar jump\n").all()
    assert not jumped("bar jump chance=0\n").any()


def test_a_clock_gate_and_its_downbeat() -> None:
    rows = [row for at in steady(100, FIRST, 8, 4) for row in gate(float(at), width=0.005)]
    rows += gate(4.0, number=1)
    run = native([coder()], BEND + "gate1 clock 4\ngate2 downbeat\n", rows, audio=silent(8))
    assert run.status["tempo"][-1] == pytest.approx(100, rel=0.003)
    pulse = FIRST + np.ceil((4.0 - FIRST) * 100 / 15) * 15 / 100
    assert beats(run)[-1] == pytest.approx((8 - pulse) * 100 / 60, abs=0.02)


def test_an_own_tempo_by_knob_and_by_line() -> None:
    rows = [(3.0, "knob", 0, 1.0)]
    run = native([coder()], BEND + "tempo 90\nknob1 tempo 60 180\n", rows, audio=silent(5))
    assert run.status["tempo"][[2000, -1]] == pytest.approx([90, 180], rel=1e-3)
    assert not (run.status["flags"] & CLOCKED).any()


def test_a_host_leads() -> None:
    rows = [(0.5, "tempo", 0, 132.0), (0.5, "at beat", 0, 17.25), (3.0, "tempo", 0, -132.0)]
    run = native([coder()], BEND, rows, audio=silent(4), meter=3)
    assert beats(run)[2000] == pytest.approx(17.25 + 1.501 * 132 / 60, abs=0.02)
    assert run.status["bar_phase"][2000] == pytest.approx(beats(run)[2000] % 3 / 3, abs=1e-5)
    assert run.status["flags"][-1] & STOPPED


def test_walks_turn_on_the_beat() -> None:
    """A walk stands still for a moment where it turns: at every second beat, with half a turn a
    beat; a new rate waits for a line, and nothing leaps."""
    rows = [*clock(120, 12), (0.0, "knob", 0, 1.0), (0.0, "knob", 1, 0.0), (7.3, "knob", 1, 1.0)]
    run = native([coder()], "way source\nknob1 walk\nknob2 rate 0.5 2 unit=beat smooth=0\n", rows,
                 audio=silent(12))
    z, at = run.status["latent"][:, 0].astype(float), beats(run)
    speed = np.abs(np.gradient(z)) * 1000
    assert speed.max() < 30, "it leapt"
    late = int(run.slots[0]["latency_samples"]) / RATE * 2  # what is shown now is heard then

    def at_lines(begin: float, end: float, step: float) -> tuple[float, float]:
        lines = np.arange(begin, end, step) - late
        return (float(np.interp(lines, at, speed).mean()),
                float(np.interp(lines + step / 2, at, speed).mean()))

    still, moving = at_lines(4, 13, 2)
    assert still < 0.1 * moving
    still, moving = at_lines(16, 23, 0.5)
    assert still < 0.2 * moving


def test_a_model_is_told_where_in_the_song_it_will_be_heard() -> None:
    """Phase, tempo and bar as inputs: of the moment when the frame sounds, on the clock to 2 ms."""
    model = generator(("mood", "phase", "tempo", "bar"), ratio=32)
    for heard in (0, 300):
        run = native([model], "way source\nknob1 latent 1\n", clock(96, 12, seed=6),
                     audio=silent(12), heard=heard)
        ranges = [-3.0, 3.0]
        z = run.status["latent"][:, :4].astype(float) * (ranges[1] - ranges[0]) + ranges[0]
        latency = int(run.slots[0]["latency_samples"]) + heard
        shown = np.arange(run.status.size) > 3000
        ahead = latency / RATE * 96 / 60
        true = (beats(run) + ahead) / 4
        off = (z[:, 1] - true + 0.5) % 1 - 0.5
        frame = 48 / RATE * 96 / 60 / 4  # shown is the last row of the frame
        assert np.abs(off[shown]).max() < frame + 0.002 * 96 / 60 / 4
        assert z[shown, 2] == pytest.approx(np.log2(96 / 128), abs=0.01)
        sure = shown & (np.abs(true % 1 - 0.5) < 0.45)
        assert np.array_equal(np.round(z[sure, 3]), np.floor(true[sure]) % 4)
        assert set(np.round(z[sure, 3])) == {0, 1, 2, 3}


def test_freezing_at_a_bar_is_heard_there() -> None:
    """What goes through the model is due earlier by its latency."""
    run = native([coder()], BEND + "gate1 freeze at=bar mode=toggle\n",
                 [*clock(120, 8), *gate(1.0, 5.0)], seconds=8)
    edges = changes(run, FROZEN)
    late = int(run.slots[0]["latency_samples"]) / RATE * 2
    assert edges == pytest.approx([4 - late, 12 - late], abs=0.02)


def test_the_next_slot_waits_too() -> None:
    run = native([wire(), wire(gain=0.5)], "way effect\ngate1 next at=bar\n",
                 [*clock(120, 4), *gate(1.2)], audio=silent(4))
    changed = np.flatnonzero(np.diff(run.status["slot"]))
    assert beats(run)[changed] == pytest.approx(4, abs=0.01)


def test_what_it_costs_on_a_cortex_m7() -> None:
    """Within the instrument: the transport's step and what waits, a clock of 150 among it."""
    board, blocks = machine("m7"), 500
    calls, _ = count_rack(board, wire(), "transport", "way effect\ngate1 next at=bar\n",
                          silent(0.5), events(clock(150, 0.5), RATE), 0, block=BLOCK)
    assert 60 < calls.sum() / blocks < 200
    assert calls.max() < 450, "a pulse"


def test_midi_s_clock_stands_anywhere_between_bytes(tmp_path: Path) -> None:
    """Within a message and its running status; a song position has two bytes and ends that."""
    library = tmp_path / "midi.so"
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{CORE}", f"-I{COMMON}", str(COMMON / "midi.c"),
                    "-o", str(library)], check=True)
    take = ctypes.CDLL(str(library)).module_midi_byte
    parser, event = (ctypes.c_ubyte * 8)(), np.zeros(1, EVENT)

    def messages(*data: int) -> list[list[int]]:
        return [event["midi"][0, :3].tolist() for byte in data
                if take(parser, ctypes.c_ubyte(byte), ctypes.c_void_p(event.ctypes.data))]

    assert messages(0x90, 0xF8, 60, 0xFA, 100, 62, 0xFE, 90) == [
        [0xF8, 0, 0], [0xFA, 0, 0], [0x90, 60, 100], [0x90, 62, 90]]
    assert messages(0xF2, 5, 0xF8, 2, 61, 100) == [[0xF8, 0, 0], [0xF2, 5, 2]]
    assert messages(0xF0, 1, 0xFC, 2, 0xF7, 3, 0xF9, 0xFB) == [[0xFC, 0, 0], [0xFB, 0, 0]]
    assert messages(0xF2, 5, 0xF3, 1, 2) == []
