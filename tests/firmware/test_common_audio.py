"""The instrument's audio: alignment, rates, limiter, changes and faults without a click."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.players.native_model import NativeFile, NativeModel
from firmware.simulate_rack import STATES, Racked, events, play_rack
from tests.firmware.common_build import driver
from tests.firmware.common_models import coder, vae, wire
from tests.firmware.machines import machine

FloatArray = NDArray[np.float32]
RATE = 48000
EFFECT = "way effect\nknob1 wet 0 1\nknob2 input 0 8\n"


def sine(hz: float, seconds: float, level: float = 0.5, rate: int = RATE) -> FloatArray:
    t = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


def noise(seconds: float, level: float = 0.3, rate: int = RATE, channels: int = 1) -> FloatArray:
    x = np.random.default_rng(1).standard_normal((channels, round(seconds * rate)))
    return np.clip(level * x, -0.9, 0.9).astype(np.float32)


def native(models: list[bytes], **kwargs: object) -> Racked:
    return play_rack(machine("native"), models, **kwargs)  # type: ignore[arg-type]


def slices(*lines: tuple[int, int, int, int, int]) -> list[list[int]]:
    """slices, delay, prime, fewest, most per block, for (frame, block, up, down, has_input)."""
    text = "\n".join(" ".join(map(str, line)) for line in lines)
    done = subprocess.run([driver("common_schedule.c")], input=text, text=True, capture_output=True,
                          check=True)
    return [[int(n) for n in line.split()] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("frame", "block"), [
    (128, 48), (16, 48), (512, 48), (2048, 48), (48, 48), (256, 64), (64, 256), (2048, 1024),
    (128, 100), (96, 64),
])
def test_every_block_does_the_same_share_at_the_least_latency(frame: int, block: int) -> None:
    common = int(np.gcd(frame, block))
    (cut, _, prime, fewest, most), (_, _, source, *_) = slices(
        (frame, block, 1, 1, 1), (frame, block, 1, 1, 0))
    assert cut == frame // common
    assert fewest == most == block // common
    assert prime == 2 * (frame - common)  # a frame's samples to gather, a frame's time to play it
    assert source == frame - common


@pytest.mark.parametrize(("up", "down", "frame", "block"), [
    (1, 3, 128, 48), (147, 160, 2048, 48), (147, 160, 512, 256), (160, 441, 128, 64),
    (2, 1, 64, 48),
])
def test_with_other_rates_blocks_differ_by_one_slice(
    up: int, down: int, frame: int, block: int
) -> None:
    [(cut, delay, prime, fewest, most)] = slices((frame, block, up, down, 1))
    assert most - fewest <= 1
    assert cut >= 1
    assert delay < cut
    assert prime <= 2 * frame + block * up // down


@pytest.mark.parametrize(("frame", "block"), [
    (128, 48), (16, 48), (64, 256), (256, 64), (96, 64), (32, 1000),
])
def test_wet_and_dry_are_aligned_and_late_as_stated(frame: int, block: int) -> None:
    audio = noise(0.5)
    wet = native([wire(frame)], maps=[EFFECT], audio=audio, block=block)
    rows = [(0.0, "knob", 0, 0.0)]
    dry = native([wire(frame)], maps=[EFFECT], audio=audio, block=block,
                 script=events(rows, RATE))
    assert wet.status["wet"][-1] == 1
    assert dry.status["wet"][-1] == 0
    late = int(wet.facts["latency_samples"])
    half = slice(audio.size // 2, None)
    assert np.abs(wet.audio - dry.audio)[:, half].max() < 1e-6
    fit = [np.dot(wet.audio[0, half][100:-100], np.roll(audio[0], late + d)[half][100:-100])
           for d in (-1, 0, 1)]
    assert np.argmax(fit) == 1
    assert fit[1] > 5 * max(fit[0], fit[2])


@pytest.mark.parametrize(("model_hz", "board_hz", "block"), [
    (16000, 48000, 48), (48000, 16000, 48), (44100, 48000, 64), (48000, 44100, 128),
])
def test_rate_conversion_keeps_what_is_below_and_stops_what_is_above(
    model_hz: int, board_hz: int, block: int
) -> None:
    model, lower = wire(64, model_hz), min(model_hz, board_hz)
    for hz, least, most in ((0.1 * lower, -0.1, 0.1), (0.3 * lower, -1.0, 0.1)):
        y = native([model], maps=[EFFECT], audio=sine(hz, 1, rate=board_hz), block=block,
                   rate=board_hz).audio[0, board_hz // 2 :]
        t = np.arange(y.size) / board_hz
        basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], 1)
        weights, *_ = np.linalg.lstsq(basis, y, rcond=None)
        level = 20 * np.log10(np.hypot(*weights) / 0.5)
        residue = 20 * np.log10(np.std(y - basis @ weights) / 0.35)
        assert least < level < most, (hz, level)
        assert residue < -60, (hz, residue)
    if model_hz < board_hz:
        above = sine(0.62 * model_hz, 1, rate=board_hz)
        if 0.62 * model_hz < 0.45 * board_hz:
            y = native([model], maps=[EFFECT], audio=above, block=block, rate=board_hz)
            assert 20 * np.log10(np.std(y.audio[0, board_hz // 2 :]) / 0.35) < -60


def test_a_rate_is_refused_with_the_reason() -> None:
    run = native([wire(16, 44100)], maps=[EFFECT], seconds=1, taps=0)
    assert run.refused == ("m0: the model plays at 44100 Hz and the board at 48000 Hz: this board "
                           "cannot afford to convert rates",)
    assert STATES[run.status["state"][-1]] == "empty"


def test_a_broken_file_is_skipped_and_named() -> None:
    broken = bytearray(wire())
    broken[-1] ^= 1
    run = native([bytes(broken), wire()], maps=[EFFECT, EFFECT], seconds=1)
    assert len(run.refused) == 1
    assert run.refused[0].startswith("m0: checksum")
    assert run.status["slot"][-1] == 1, "the slot of the whole one"


def test_the_ceiling_is_never_passed_and_the_gain_moves_on_a_line() -> None:
    audio = np.concatenate([sine(50, 0.5, 0.5), sine(50, 0.5, 6.0), noise(0.5, 3.0)], axis=1)
    y = native([wire()], maps=[EFFECT], audio=audio, block=48).audio[0]
    assert np.abs(y).max() <= np.float32(0.98)
    loud = y[RATE // 2 : RATE]
    assert np.abs(loud).max() > 0.9
    # A line of 32 samples down from 1, while the sine rises by 0.04 a sample.
    assert np.abs(np.diff(loud)).max() < 0.08


CHANGES = [(1 + 0.25 * i, "select", i % 4, 0.0) for i in range(12)]


@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("planted", ["", "nan", "huge", "load"])
def test_nothing_clicks(overlap: int, planted: str) -> None:
    """100 Hz through four models, one upside down, one of another rate; faults planted."""
    audio, rows = sine(100, 5), list(CHANGES)
    if planted == "load":
        rows += [(1.6, "load", 0, 1.5), (1.9, "load", 0, 0.2)]
    elif planted:
        rows += [(at, planted, 0, 0.0) for at in (0.9, 1.62, 2.71, 4.4)]
    models = [wire(16), wire(128, gain=-1.0), wire(64, 16000, 0.5), coder(16)]
    maps = [EFFECT, EFFECT, EFFECT, "way bend"]
    run = native(models, maps=maps, audio=audio, script=events(rows, RATE), block=48,
                 overlap=overlap)
    y = run.audio[0]
    natural = 0.5 * 2 * np.pi * 100 / RATE
    assert np.abs(np.diff(y)).max() < natural + 1 / 32, "above the limiter's slope"
    assert np.abs(y).max() <= np.float32(0.98)
    assert set(run.status["slot"]) == {0, 1, 2, 3}
    assert y[RATE // 2 :].std() > 0.1
    assert int(run.facts["faults"]) == (len(rows) - 12 if planted in ("nan", "huge") else 0)
    if planted == "load":
        assert int(run.facts["misses"]) > 100


def test_a_fault_resets_the_model_and_it_comes_back() -> None:
    rows = [(1.0, "nan", 0, 0.0), (1.5, "nan", 0, 0.0)]
    run = native([vae()], maps=["way effect"], seconds=4, script=events(rows, RATE))
    state = np.array(STATES)[run.status["state"]]
    assert np.isfinite(run.audio).all()
    assert int(run.facts["faults"]) == 2
    at = run.status["blocks"] * 48 / RATE
    assert (state[(at > 1.01) & (at < 1.035)] == "recovering").all()
    assert (state[(at > 1.3) & (at < 1.5)] == "playing").all()
    assert (state[(at > 1.55) & (at < 2.4)] == "recovering").all(), "the second time it rests"
    assert state[-1] == "playing"


def test_overload_rests_and_recovers() -> None:
    rows = [(1.0, "load", 0, 1.4), (1.2, "load", 0, 0.3)]
    run = native([wire(128, gain=0.0)], maps=[EFFECT], audio=sine(200, 4),
                 script=events(rows, RATE))
    at = run.status["blocks"] * 48 / RATE
    state = np.array(STATES)[run.status["state"]]
    assert int(run.facts["overloads"]) == 1
    assert (state[(at > 1.02) & (at < 1.9)] == "overload").all()
    assert state[-1] == "playing"

    def level(begin: float, end: float) -> float:
        return float(run.audio[0, round(begin * RATE) : round(end * RATE)].std())

    assert level(0.7, 1.0) < 1e-3, "the model is silent"
    assert level(1.3, 1.9) == pytest.approx(0.5 / 2**0.5, rel=0.005), "dry while it rests"
    assert level(3.0, 4.0) < 1e-3, "the model again"
    assert run.status["load"][at < 1.0][-1] == pytest.approx(0.0)
    assert run.status["load_worst"].max() == pytest.approx(1.4, rel=1e-3)


def test_an_overloaded_source_falls_silent() -> None:
    rows = [(1.0, "load", 0, 1.4)]
    run = native([coder()], maps=["way source"], audio=sine(200, 3), script=events(rows, RATE))
    assert run.audio[0, RATE // 2 : RATE].std() > 0.01
    assert np.abs(run.audio[0, round(1.4 * RATE) : 2 * RATE]).max() < 1e-3


def test_reported_misses_count_as_overload() -> None:
    rows = [(1 + 0.001 * i, "miss", 0, 0.0) for i in range(5)]
    run = native([wire()], maps=[EFFECT], seconds=2, script=events(rows, RATE))
    assert int(run.facts["misses"]) == 5
    assert int(run.facts["overloads"]) == 1


def test_knobs_move_levels_without_zipper_noise() -> None:
    """A 6-bit staircase every 10 ms on the level of a sine leaves nothing far from the sine."""
    rows = [(1 + 0.01 * i, "knob", 0, round(i / 99 * 63) / 63) for i in range(100)]
    run = native([wire(16, gain=0.0)], maps=["way effect\nknob1 wet 0 1 smooth=50\n"],
                 audio=sine(1000, 3), script=events([(0, "knob", 0, 0.0), *rows], RATE))
    part = run.audio[0, RATE : 2 * RATE] * np.hanning(RATE)
    spectrum = np.abs(np.fft.rfft(part))
    far = np.r_[spectrum[50:700], spectrum[1300:20000]]
    assert 20 * np.log10(far.max() / spectrum.max()) < -70
    assert np.abs(run.audio[0, int(2.5 * RATE) :]).max() < 1e-3


def test_two_channels() -> None:
    audio = noise(0.5, channels=2)
    audio[1] *= np.float32(0.5)
    stereo = native([wire(16, channels=2)], maps=[EFFECT], audio=audio, channels=(2, 2))
    mono = native([wire(16)], maps=[EFFECT], audio=audio, channels=(2, 2))
    half = slice(audio.shape[1] // 2, None)
    assert stereo.audio[0, half].std() == pytest.approx(2 * stereo.audio[1, half].std(), rel=0.05)
    assert np.abs(mono.audio[0, half] - mono.audio[1, half]).max() < 1e-5
    one = native([wire(16, channels=2)], maps=[EFFECT], audio=audio[:1], channels=(1, 1))
    assert one.audio[0, half].std() > 0.1


def test_a_stereo_autoencoder_plays_both_sides() -> None:
    """Each side what the same file gives elsewhere, late by the latency that is said."""
    data, audio = vae(RATE, 32, channels=2), noise(1.0, channels=2)
    run = native([data], maps=[EFFECT], audio=audio, channels=(2, 2))
    model = NativeModel(NativeFile.from_bytes(data))
    want = model.process("forward", audio[None])[0]
    assert np.abs(want[0] - want[1]).max() > 1e-3
    late = int(run.facts["latency_samples"])
    half = slice(RATE // 2, RATE - 2048)
    place = {lag: np.corrcoef(want[0, half], np.roll(run.audio, -lag, axis=1)[0, half])[0, 1]
             for lag in range(late + 64)}
    lag = max(place, key=lambda each: place[each])
    for side in range(2):
        own = run.audio[:, half.start + lag : half.stop + lag]
        assert np.corrcoef(want[side, half], own[side])[0, 1] > 0.999
        assert np.corrcoef(want[side, half], own[1 - side])[0, 1] < 0.99


def test_input_that_is_no_number() -> None:
    audio = sine(100, 1)
    audio[0, 20000:20100] = np.nan
    audio[0, 30000] = np.inf
    run = native([wire()], maps=[EFFECT], audio=audio)
    assert np.isfinite(run.audio).all()
    assert int(run.facts["nonfinite"]) == 101
    assert int(run.facts["faults"]) == 0
