"""What is played in from a bar line on becomes the place of a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.players.native_model import NativeFile, NativeModel
from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_build import SANITIZED
from tests.firmware.common_models import LOOP_RATE, FloatArray, beats, loops
from tests.firmware.common_play import BLOCK, refusal
from tests.firmware.machines import machine

Row = tuple[float, str, int, float]
MAPPING = "way source\ngate1 capture at=bar\nnote jump\nknob1 morph smooth=0\n"
CODES = slice(8, 11)  # of the inputs; the status shows the first eight
BAR = 4 * 60 / 125
WINDOW = 4096  # of `embed`, in samples of the model


def sound(rate_hz: int, seconds: float = 6.0) -> FloatArray:
    """Noise below 3 kHz: filters of rates let it through."""
    rng = np.random.default_rng(3)
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum[round(3000 * seconds) :] = 0
    y = np.fft.irfft(spectrum, count)
    return (0.2 * y / y.std()).astype(np.float32)[None]


def code_of(window: FloatArray) -> FloatArray:
    """As the model finds it in a sound [1, WINDOW]."""
    return NativeModel(NativeFile.from_bytes(loops())).process("embed", window[None])[0, :, 0]


def captured(rate_hz: int, *rows: Row, model: bytes | None = None, captures: int = 1,
             target: str = "native", audio: FloatArray | None = None) -> Racked:
    song = [(0.0, "tempo", 0, 125.0), (0.0, "at beat", 0, 0.0), *rows]
    heard = sound(rate_hz) if audio is None else audio
    return play_rack(machine(target), [model or loops()], maps=[MAPPING], audio=heard,
                     script=events(song, rate_hz), rate=rate_hz, block=BLOCK, captures=captures)


def placed(code: FloatArray, since: float, rate_hz: int, audio: FloatArray) -> FloatArray:
    """What is played of a code that knobs give from a moment on."""
    mapping = "way source\n" + "".join(
        f"knob{i + 1} latent {9 + i} -1 1 smooth=0\n" for i in range(3))
    rows = [(0.0, "tempo", 0, 125.0), (0.0, "at beat", 0, 0.0),
            *((since, "knob", i, (float(x) + 1) / 2) for i, x in enumerate(code))]
    return play_rack(machine("native"), [loops()], maps=[mapping], audio=audio, rate=rate_hz,
                     script=events(rows, rate_hz), block=BLOCK).audio[0]


def test_the_place_is_the_code_of_what_was_played_from_the_bar_on() -> None:
    """At the model's own rate: the window begins with the block in which the bar does."""
    run = captured(LOOP_RATE, (0.5, "gate", 0, 1.0))
    done = int(run.facts["captured"])
    begin = done - -(-WINDOW // BLOCK) * BLOCK
    assert abs(begin - BAR * LOOP_RATE) <= BLOCK
    heard = sound(LOOP_RATE)
    code = code_of(heard[:, begin : begin + WINDOW])
    assert np.abs(code).max() < 1
    assert np.abs(code - code_of(heard[:, begin + BLOCK : begin + BLOCK + WINDOW])).max() > 1e-3
    wanted = placed(code, done / LOOP_RATE, LOOP_RATE, heard)
    settled = round(4.0 * LOOP_RATE)
    assert np.abs(wanted[settled:]).max() > 0.01
    assert np.abs(run.audio[0, settled:] - wanted[settled:]).max() < 1e-4
    untouched = captured(LOOP_RATE).audio[0, settled:]
    assert np.abs(run.audio[0, settled:] - untouched).max() > 0.02


def test_a_board_of_another_rate_hears_the_same() -> None:
    rate_hz, slow = 3 * LOOP_RATE, sound(LOOP_RATE)
    fast = np.fft.irfft(np.fft.rfft(slow[0]), 3 * slow.shape[1]) * 3
    audio = fast.astype(np.float32)[None]
    run = captured(rate_hz, (0.5, "gate", 0, 1.0), audio=audio)
    done = int(run.facts["captured"])
    taps = 96  # of the filter to a third of the rate
    begin = (done - -(-(3 * WINDOW + taps // 2) // BLOCK) * BLOCK) // 3
    assert begin == pytest.approx(BAR * LOOP_RATE, abs=BLOCK)
    settled, off = round(4.5 * rate_hz), []
    for late in (0, taps // 2 // 3):  # as it is, and without the filter's delay
        code = code_of(slow[:, begin - late : begin - late + WINDOW])
        wanted = placed(code, done / rate_hz, rate_hz, audio)
        off.append(np.abs(run.audio[0, settled:] - wanted[settled:]).max())
    assert off[0] < 0.2 * off[1]


def test_a_jump_leads_away_and_the_other_end_stays() -> None:
    rows = [(0.5, "gate", 0, 1.0), (3.0, "knob", 0, 1.0), (3.5, "midi", 0, 0x904864),
            (4.0, "knob", 0, 0.0)]
    back, stayed = captured(LOOP_RATE, *rows), captured(LOOP_RATE, rows[0])
    at = [round(s * LOOP_RATE) for s in (2.6, 2.9, 3.3, 3.5, 5.0)]
    assert np.array_equal(back.audio[0, at[0] : at[1]], stayed.audio[0, at[0] : at[1]])
    assert not np.array_equal(back.audio[0, at[2] : at[3]], stayed.audio[0, at[2] : at[3]])
    same = back.audio[0, at[4] :] - stayed.audio[0, at[4] :]
    assert np.abs(same).max() < 0.05


def test_a_board_without_captures_plays_on() -> None:
    run = captured(LOOP_RATE, (0.5, "gate", 0, 1.0), captures=0)
    assert "captured" not in run.facts
    assert np.array_equal(run.audio, captured(LOOP_RATE).audio)


def test_a_model_that_finds_no_codes_says_so() -> None:
    said = refusal("way source\ngate1 capture\n", beats())
    assert said == "m0: line 2: the model finds no loop in a sound: it cannot 'capture'"


def test_it_stays_in_its_memory() -> None:
    """Under sanitizers, at both rates, with jumps, freezes and a reset meanwhile."""
    watched = replace(machine("native"), flags=(*SANITIZED, "-DTUDOR_ONLY_SCALAR"))
    rows = [(0.0, "tempo", 0, 125.0), (0.0, "at beat", 0, 0.0), (0.5, "gate", 0, 1.0),
            (2.5, "gate", 1, 1.0), (4.8, "gate", 1, 0.0), (4.9, "midi", 0, 0x904864),
            (5.2, "gate", 2, 1.0)]
    for rate_hz in (LOOP_RATE, 3 * LOOP_RATE):
        run = play_rack(watched, [loops()], maps=[MAPPING + "gate2 freeze\ngate3 reset\n"],
                        audio=sound(rate_hz), script=events(rows, rate_hz), rate=rate_hz,
                        block=BLOCK, captures=1)
        assert int(run.facts["captured"]) > 0
        assert run.audio.std() > 0.01


@pytest.mark.parametrize("target", ["aarch64", "m7"])
def test_the_same_bits_everywhere(target: str) -> None:
    wanted, got = (captured(3 * LOOP_RATE, (0.5, "gate", 0, 1.0), target=name,
                            audio=sound(3 * LOOP_RATE, 4.0)) for name in ("native", target))
    assert wanted.facts["captured"] == got.facts["captured"]
    assert np.array_equal(wanted.audio, got.audio)
