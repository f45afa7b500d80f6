"""A model of loops as an instrument: told by the clock, morphed and jumped, its last bar repeated
from a tape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.description import Description
from engine.players.native_model import NativeFile
from firmware.host.build import rack
from firmware.host.play import command, run_there
from firmware.simulate_rack import Racked
from tests.firmware.common_models import (
    CHUNK,
    COMPRESSION,
    LOOP_RATE,
    FloatArray,
    beats,
    composer,
    loops,
)
from tests.firmware.common_play import BLOCK, RATE, native
from tests.firmware.machines import machine
from tests.firmware.test_common_clock import FIRST, clock, gate, silent

Row = tuple[float, str, int, float]
LABELS = ("phase", "tempo", "density", "brightness", "loudness", "style x", "style y", "variation",
          "code 1", "code 2", "code 3")
RANGES = [(0, 1), (-2, 2), *[(-4, 4)] * 3, *[(-1, 1)] * 2, (0, 1), *[(-1, 1)] * 3]
PLAIN = "way source\nknob1 latent 9\nknob2 latent 10\nknob3 latent 11\ngate1 freeze\n"
CODE = [(0.0, "knob", i, value) for i, value in enumerate((0.8, 0.3, 0.6))]
CHUNK_SECONDS = CHUNK * COMPRESSION / LOOP_RATE


def numbers(run: Racked, index: int) -> NDArray[np.float64]:
    """An input of the generator in its own units, after every block."""
    low, high = RANGES[index]
    return run.status["latent"][:, index].astype(float) * (high - low) + low


# ---- ranges and the derived mapping ----


def test_every_input_has_its_own_range() -> None:
    file = NativeFile.from_bytes(loops())
    told = Description.from_json(file.metadata, "loops").main
    assert told.input_labels == LABELS
    assert [tuple(each) for each in told.input_ranges] == RANGES
    lines = "way source\n" + "".join(f"cc{i} latent {i + 1} smooth=0\n" for i in range(2, 8))
    for value, end in ((0, 0), (127, 1)):
        rows = [(0.2, "midi", 0, 0xB00000 + (i << 8) + value) for i in range(2, 8)]
        run = native([loops()], lines, rows, seconds=1)
        for i in range(2, 8):
            assert numbers(run, i)[-1] == pytest.approx(RANGES[i][end], abs=1e-5), LABELS[i]
    half = "way source\n" + "".join(f"cc{i} latent {i + 1} 0.5 0.5\n" for i in range(2, 8))
    run = native([loops()], half, [(0.2, "midi", 0, 0xB00000 + (i << 8)) for i in range(2, 8)],
                 seconds=1)
    for i in range(2, 8):  # over the range that the instrument knows, a half is where it is
        assert numbers(run, i)[-1] == pytest.approx(0.5, abs=1e-5), LABELS[i]


def test_ranges_of_latents_are_not_those_of_what_makes_them() -> None:
    """A file that has measured its latents says nothing of the generator's inputs by that."""
    from export.native.export import with_metadata

    data = composer()
    metadata = json.loads(NativeFile.from_bytes(data).metadata)
    metadata["latent_ranges"] = [[0, 10]] * 4
    for ranges, (low, high) in (({}, (-3, 3)), ({"generate": [[2, 4]] * 3}, (2, 4)),
                                ({"other": [[2, 4]] * 3}, (-3, 3))):
        file = with_metadata(data, json.dumps({**metadata, "input_ranges": ranges}))
        run = native([file], "way source\nknob1 latent 1\nknob2 walk\n",
                     [(0.0, "knob", 0, 1.0), (0.0, "knob", 1, 0.0)], seconds=1)
        assert run.status["latent"][-1, :2] == pytest.approx([1, 0.5], abs=1e-5)
        refused = native([file], "way source\nknob1 latent 1 0 1\nknob2 walk\n",
                         [(0.0, "knob", 0, 1.0), (0.0, "knob", 1, 0.0)], seconds=1)
        assert refused.status["latent"][-1, 0] == pytest.approx((1 - low) / (high - low), abs=1e-5)


def derived(slots: int = 8) -> list[str]:
    target, folder = machine("native"), Path(rack(machine("native"))).parent
    path = folder / f"derived-loops-{slots}"
    path.write_bytes(loops())
    words = [f"models={path.name}", "derive=1", "rate=48000", f"slots={slots}"]
    said = run_there(command(target, rack(target), words), folder).splitlines()
    path.unlink()
    return [line.partition("  #")[0] for line in said if line]


def test_the_derived_mapping_is_an_instrument() -> None:
    lines = derived()
    assert lines[0] == "way source"
    for line in ("knob1 morph", "knob2 latent 3 -2 2", "knob3 latent 4 -2 2", "knob4 latent 8",
                 "knob5 walk", "note jump", "gate1 jump at=bar", "gate2 clock 4", "gate3 freeze",
                 "gate4 reset", "cc14 attribute seed 0 127 smooth=0"):
        assert line in lines
    assert "gate5 next at=bar" in lines
    assert not any("next" in line for line in derived(1))
    run = native([loops()], None, [], seconds=1)
    assert run.refused == ()
    assert numbers(run, 7)[-1] == 0, "every bar is the same until a hand asks for more"


# ---- places ----


def test_a_loop_stands_until_something_asks_for_another() -> None:
    run = native([loops()], "way source\nnote jump\n", [], seconds=3)
    assert run.audio.std() > 0.01
    for i in range(2, 8):
        assert np.ptp(numbers(run, i)[10:]) == 0, LABELS[i]
    run = native([beats()], "way source\nnote jump\n", [], seconds=3)
    assert np.ptp(run.status["latent"][:, 2]) == 0, "its code"


def test_a_note_is_the_same_loop_whatever_was_before() -> None:
    def code(*notes: int) -> list[float]:
        rows = [(0.3 * (i + 1), "midi", 0, 0x900064 + (note << 8)) for i, note in enumerate(notes)]
        run = native([beats()], "way source\nnote jump\n", rows, seconds=2)
        return [float(run.status["latent"][-1, 2])]

    assert code(60) == code(61, 60) == code(60, 64, 60)
    assert code(60) != code(61)


def test_a_new_loop_begins_with_the_bar() -> None:
    """At the chunk that is heard nearest to the line, at once: it does not glide there."""
    run = native([beats()], "way source\ngate1 jump at=bar\n", [*clock(125, 8), *gate(3.0)],
                 audio=silent(8))
    level = run.status["latent"][:, 2].astype(float)
    changed = np.flatnonzero(np.diff(level))
    assert changed.size == 1
    line = FIRST + 2 * 4 * 60 / 125  # the second bar begins at 1.92 + FIRST, the third here
    shown = (changed[0] + 1) * BLOCK / RATE
    late = int(run.slots[0]["latency_samples"]) / RATE
    assert abs(shown + late - line) <= CHUNK_SECONDS / 2 + 2 * BLOCK / RATE


def test_morphing_leads_from_place_to_place() -> None:
    """Each jump draws the end that is nearer to the knob; the other one stays."""
    knob = [(0.0, 0.0), (0.6, 1.0), (1.4, 0.5), (2.0, 0.0), (2.6, 1.0)]
    rows = [*((at, "knob", 0, value) for at, value in knob),
            (0.2, "midi", 0, 0x904864), (1.0, "midi", 0, 0x904964)]
    run = native([beats()], "way source\nknob1 morph smooth=0\nnote jump\n", rows, seconds=3)

    def at(seconds: float) -> float:
        return float(run.status["latent"][round(seconds * RATE / BLOCK), 2])

    first, second = at(0.55), at(1.35)
    assert at(0.15) == 0.5, "the middle, until something has jumped"
    assert len({0.5, first, at(0.95), second}) == 4, "the other end has a place from the beginning"
    assert at(1.9) == pytest.approx((first + second) / 2, abs=1e-6)
    assert at(2.5) == first
    assert at(2.9) == second


def test_codes_alone_wander_and_jump() -> None:
    run = native([loops()], "way source\nknob1 walk\nnote jump\n",
                 [(0.0, "knob", 0, 1.0), (0.5, "midi", 0, 0x904864)], seconds=2)
    for i in range(2, 8):
        assert np.ptp(numbers(run, i)[10:]) == 0, LABELS[i]
    mapping = "way source\nknob1 walk\nnote jump\n"
    wandered = native([beats()], mapping, [(0.0, "knob", 0, 1.0)], seconds=2)
    assert np.ptp(wandered.status["latent"][10:, 2]) > 0.1


def test_a_reset_keeps_the_place_and_repeats_the_beginning() -> None:
    rows = [(0.2, "midi", 0, 0x904864), (1.0, "gate", 0, 1.0)]
    run = native([beats()], "way source\nnote jump\ngate1 reset\n", rows, seconds=2)
    code = run.status["latent"][:, 2]
    assert code[-1] == code[600] != 0.5


def test_a_seed_is_a_whole_number_at_any_moment() -> None:
    """A controller's steps are the numbers 0 to 127, each another loop, the same again when the
    number comes again."""
    mapping = "way source\ncc14 attribute seed 0 127 smooth=0\n"

    def played(*numbers: int) -> FloatArray:
        rows = [(0.5 + 0.5 * i, "midi", 0, 0xB00E00 + n) for i, n in enumerate(numbers)]
        return native([loops()], mapping, rows, seconds=2).audio

    whole = native([loops()], mapping.replace("0 127", "41 41"),
                   [(0.5, "midi", 0, 0xB00E40)], seconds=2).audio
    assert np.array_equal(played(41), whole)
    assert not np.array_equal(played(41), played(42))
    assert not np.array_equal(played(41)[:, RATE:], played(41, 42)[:, RATE:])


# ---- time ----


@pytest.mark.parametrize("heard", [0, 500])
@pytest.mark.parametrize("bpm", [96, 125, 170])
def test_beats_are_heard_within_two_milliseconds_of_the_clock(bpm: float, heard: int) -> None:
    """Chunks of 64 ms at 125 rows a second, a jittering MIDI clock, a board of another rate."""
    run = native([beats()], "way source\n", clock(bpm, 9, seed=6), audio=silent(9), heard=heard)
    y, apart = run.audio[0].astype(float), round(20 / bpm * RATE)
    peaks = [i for i in np.flatnonzero(y[1:-1] > 0.1) + 1
             if y[i] == y[max(0, i - apart) : i + apart].max()]
    at = np.array(peaks) / RATE + heard / RATE
    at = at[at > FIRST + 2.5]
    assert at.size > 8
    beat = (at - FIRST) * bpm / 60
    off = (beat - np.round(beat)) * 60 / bpm
    assert np.abs(off).max() < 0.002


@pytest.mark.parametrize(("chunk", "most", "mean"), [(8, 0.075, 0.064), (4, 0.064, 0.032)])
def test_a_knob_is_heard_after_a_chunk_at_most_and_a_piece(
    chunk: int, most: float, mean: float
) -> None:
    """A row of controls holds for a chunk, of 64 and of 32 ms; the work of one is spread over as
    long, but what is decoded is heard while the rest is still to be decoded."""
    moments = [2.0 + 0.5 * i + 0.0071 * i for i in range(20)]
    rows = [(0.0, "knob", 0, 1.0), *((at, "knob", 0, i % 2) for i, at in enumerate(moments))]
    mapping = "way source\nknob1 latent 3 -0.4 0.4 smooth=0\ntempo 20\n"
    run = native([beats(chunk)], mapping, rows, audio=silent(13))
    y, late = run.audio[0], []
    for at in moments[1:]:
        begin = round((at - 0.02) * RATE)
        steps = np.abs(y[begin + 48 : begin + RATE // 5] - y[begin : begin + RATE // 5 - 48])
        late.append((begin + 48 + int(np.argmax(steps > 0.2))) / RATE - at)
        assert steps.max() > 0.2
    assert np.mean(late) < mean
    assert 0.005 < min(late) < 0.02
    assert max(late) < most
