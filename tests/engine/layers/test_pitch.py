"""Pitch of sounds whose pitch is known: notes, glides, vibrato, gaps; and real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.graph import Builder
from engine.layers import Conv1d, Parallel, PitchTrack
from engine.layers.pitch import MIDDLE_C_HZ, THRESHOLD
from tests.engine.layers.stacks import check_causal, check_reset, check_streaming

RATE, HOP = 16000, 64
CLEAR = 1 - THRESHOLD
SAMPLES = Path("/usr/share/sonic-pi/samples")
FloatArray = NDArray[np.float64]

# Amplitude of harmonic k at k * f0 = f Hz, t seconds after the start.
TIMBRES: dict[str, Callable[..., FloatArray]] = {
    "saw": lambda k, f, t: np.full_like(t, 1 / k),
    "sine": lambda k, f, t: np.full_like(t, float(k == 1)),
    "dark": lambda k, f, t: np.full_like(t, k**-2.5),
    "hollow": lambda k, f, t: np.full_like(t, (1 if k % 2 else 0.02) / k),  # a clarinet's
    "octave above": lambda k, f, t: np.full_like(t, (0.4 if k % 2 else 1.0) / k**0.8),
    "no fundamental": lambda k, f, t: np.full_like(t, (0.02 if k == 1 else 1.0) / k),
    "vowel": lambda k, f, t: np.exp(-((np.log2(f / 900) / 0.8) ** 2)),
    "plucked": lambda k, f, t: np.exp(-2 * t * k**0.7) / k,
}


def tone(hertz: FloatArray, timbre: str, rate: int = RATE, seed: int = 0,
         noise: float = 0.002) -> FloatArray:
    """A note whose fundamental follows `hertz` sample by sample, and a little noise."""
    rng = np.random.default_rng(seed)
    t, phase = np.arange(len(hertz)) / rate, 2 * np.pi * np.cumsum(hertz) / rate
    y = np.zeros(len(hertz))
    for k in range(1, 65):
        level = np.where(k * hertz < 0.45 * rate, TIMBRES[timbre](k, k * hertz, t), 0)
        y += level * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
    return 0.3 * y / np.abs(y).max() + noise * rng.standard_normal(len(y))


TIMBRES["weak fundamental"] = lambda k, f, t: (  # 24 dB below its octave, as a bassoon's may be
    np.full_like(t, (0.063 if k % 2 else 1.0) / k**1.5))


@torch.no_grad()
def tracked(x: FloatArray, layer: PitchTrack) -> tuple[FloatArray, FloatArray]:
    """Pitch in octaves and clarity, frame by frame."""
    whole = torch.from_numpy(x[: len(x) // layer.hop * layer.hop])
    y = layer.offline(whole[None, None])[0].numpy()
    assert y.shape == (2, len(x) // layer.hop)
    return y[0], y[1]


def octaves(hertz: FloatArray | float) -> FloatArray:
    return np.log2(np.asarray(hertz) / MIDDLE_C_HZ)


def truth(layer: PitchTrack, hertz: FloatArray) -> FloatArray:
    """What each frame should say of a pitch that moves: that of the middle of what it compares."""
    ends = np.arange(1, len(hertz) // layer.hop + 1) * layer.hop
    lag = layer.rate_hz / hertz[ends - 1]
    late = (layer.compared + layer.taps - 1 + lag) / 2
    return np.interp(ends - late, np.arange(len(hertz)), octaves(hertz))


# Lags at half the rate (the default, see `COARSE_RATE_HZ`) do not tell a high note from its octave
# where all but a fiftieth of the sound is in the octave.
HIGHEST = {"no fundamental": 84}


@pytest.mark.parametrize("step", [1, None])
@pytest.mark.parametrize("timbre", [name for name in TIMBRES if name != "weak fundamental"])
def test_quarter_tones_are_within_ten_cents(timbre: str, step: int | None) -> None:
    layer, frames, slips = PitchTrack(HOP, RATE, step=step), 0, 0
    assert layer.step == (step or 2)
    highest = HIGHEST.get(timbre, 92) if step is None else 92
    for note in np.arange(29.5, highest, 5.5):  # 45 Hz to 1.6 kHz, between the keys and on them
        hertz = np.full(4800, 440 * 2 ** ((note - 69) / 12))
        pitch, clarity = tracked(tone(hertz, timbre, seed=int(note)), layer)
        inside = slice(layer.window // HOP + 1, None)
        cents = 1200 * np.abs(pitch - octaves(hertz[0]))[inside][clarity[inside] > CLEAR]
        assert len(cents) > 40, "the note is clear nearly throughout"
        frames, slips = frames + len(cents), slips + int((cents > 600).sum())
        assert cents[cents <= 600].max() < 10
    assert slips <= 0.01 * frames


def test_a_weak_fundamental_is_found_where_twice_the_period_is_looked_at() -> None:
    plain, checked = PitchTrack(HOP, RATE), PitchTrack(HOP, RATE, octave_check=True)
    for note in (37.5, 45.0, 52.25):
        hertz = np.full(4800, 440 * 2 ** ((note - 69) / 12))
        inside = slice(plain.window // HOP + 1, None)
        told = []
        for layer in (plain, checked):
            pitch, clarity = tracked(tone(hertz, "weak fundamental"), layer)
            assert (clarity[inside] > CLEAR).all()
            told.append(1200 * (pitch - octaves(hertz[0]))[inside])
        assert np.abs(told[0] - 1200).max() < 20, "without the check the octave is heard"
        assert np.abs(told[1]).max() < 10


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("timbre", [name for name in TIMBRES if name != "weak fundamental"])
def test_the_octave_check_doubles_no_period_that_was_right(timbre: str, rate: int) -> None:
    """Least of all those of few samples, whose dips lie between lags."""
    hop = 256 if rate == 48000 else HOP
    plain, checked = (PitchTrack(hop, rate, octave_check=on) for on in (False, True))
    for note in (33.25, 51.5, 66.75, 78.0, HIGHEST.get(timbre, 91) - 0.5):
        x = tone(np.full(rate // 4, 440 * 2 ** ((note - 69) / 12)), timbre, rate)
        assert np.array_equal(tracked(x, checked), tracked(x, plain))


@pytest.mark.parametrize(("rate", "hop", "step"), [(8000, 32, 1), (44100, 128, 4), (48000, 256, 4),
                                                   (48000, 125, 1), (96000, 512, 8)])
def test_at_other_rates(rate: int, hop: int, step: int) -> None:
    layer = PitchTrack(hop, rate)
    assert layer.step == step
    for note in (34.5, 57.25, 81.0):
        hertz = np.full(rate * 3 // 10, 440 * 2 ** ((note - 69) / 12))
        pitch, clarity = tracked(tone(hertz, "saw", rate), layer)
        inside = slice(layer.window // hop + 1, None)
        assert (clarity[inside] > CLEAR).mean() > 0.95
        assert 1200 * np.abs(pitch - octaves(hertz[0]))[inside].max() < 10


@pytest.mark.parametrize("timbre", ["saw", "hollow", "no fundamental"])
@pytest.mark.parametrize("move", ["up", "down", "vibrato"])
@pytest.mark.parametrize("check", [False, True])
def test_a_pitch_that_moves_is_followed_within_ten_cents(
    move: str, timbre: str, check: bool
) -> None:
    t = np.arange(RATE) / RATE
    path = {"up": t, "down": -t, "vibrato": 0.5 / 12 * np.sin(2 * np.pi * 5.5 * t)}[move]
    hertz = 220 * 2.0**path  # an octave in a second; 50 cents to either side, 5.5 times
    layer = PitchTrack(HOP, RATE, octave_check=check)
    pitch, clarity = tracked(tone(hertz, timbre), layer)
    inside = slice(layer.window // HOP + 1, None)
    assert (clarity[inside] > CLEAR).mean() > 0.9
    cents = 1200 * np.abs(pitch - truth(layer, hertz))[inside]
    assert cents.max() < 10
    assert np.ptp(pitch[inside]) > 0.07


def test_the_pitch_is_held_through_gaps_and_silence() -> None:
    layer, note, gap = PitchTrack(HOP, RATE), RATE // 4, RATE // 5
    first, second = (tone(np.full(note, hertz), "saw", noise=0) for hertz in (196.0, 330.0))
    breath = 0.05 * np.random.default_rng(3).standard_normal(gap)
    x = np.concatenate((np.zeros(1024), first, np.zeros(gap), second, breath, np.zeros(gap)))
    pitch, clarity = tracked(x, layer)
    assert np.all(pitch[: 1024 // HOP] == 0), "before the first note: middle C"
    assert np.all(clarity[: 1024 // HOP] == 0)
    changes = np.flatnonzero(np.diff(pitch)) + 1
    assert np.all(clarity[changes] > CLEAR), "the pitch moves in clear frames alone"
    quiet = clarity == 0
    assert quiet.sum() > gap // HOP
    moved = 1200 * np.minimum(*(np.abs(pitch - octaves(hertz)) for hertz in (196.0, 330.0)))
    assert moved[changes[0] + 6 :].max() < 40, "nothing but the two notes, wherever they end"
    assert 1200 * abs(pitch[-1] - octaves(330.0)) < 10
    assert clarity[-1] == 0


def test_what_is_too_quiet_has_no_pitch() -> None:
    x = tone(np.full(4800, 330.0), "sine", noise=0)
    for decibels, heard in ((-55, True), (-75, False)):
        pitch, clarity = tracked(10 ** (decibels / 20) * x, PitchTrack(HOP, RATE))
        assert (clarity[20:] > CLEAR).all() == heard
        assert heard or (np.all(pitch == 0) and np.all(clarity == 0))


def test_noise_is_not_clear() -> None:
    pitch, clarity = tracked(0.3 * np.random.default_rng(0).standard_normal(RATE),
                             PitchTrack(HOP, RATE))
    assert (clarity > 0.6).mean() < 0.02
    assert np.all(pitch == 0)


def test_it_is_a_causal_stream_that_starts_anew() -> None:
    layer = PitchTrack(16, RATE, 100, 40, 0.8)
    for dtype in (torch.float64, torch.float32):
        check_streaming(layer, [1, 7, 2, 70, 3], 2, dtype)  # longer than one piece
    check_causal(layer, 30, 17)
    check_reset(layer, 20)


@pytest.mark.parametrize("size", [1, 3000, 2**40])
def test_pieces_of_any_size_find_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 1, 90 * 16, generator=torch.Generator().manual_seed(1))
    layer = PitchTrack(16, RATE, 100, 40, 0.8)
    wanted = torch.jit.trace(lambda x: layer.offline(x), x)(x)  # all at once
    monkeypatch.setattr("engine.layers.pitch.PIECE_DIFFERENCES", size)
    found = layer.offline(x)
    assert found.shape == wanted.shape == (2, 2, 90)
    assert wanted[:, 0].unique().numel() > 20
    assert (found - wanted).abs().max() < 1e-5


def test_its_lateness_may_count_as_lookahead() -> None:
    """Beside what looks ahead it is as it is; without it would be later still."""
    net = Parallel(Conv1d(1, 1, 300, stride=64, lookahead=200),
                   PitchTrack(64, RATE, 400, 160, 0.8, late=200), combine="concat")
    assert net.lookahead == 200
    build = Builder("forward", 1)
    graph = build.finish(net.lower(build, build.input))
    assert [op.kind for op in graph.ops] == ["conv1d", "pitch_track", "concat"]
    assert {op.output.delay for op in graph.ops} == {200}


def test_no_gradient_passes() -> None:
    x = torch.randn(1, 1, 640, requires_grad=True)
    assert not PitchTrack(64, RATE, 200, 80).offline(x).requires_grad


def test_wrong_numbers_leave_with_the_window_and_are_never_held() -> None:
    layer = PitchTrack(HOP, RATE)
    x = torch.from_numpy(tone(np.full(RATE // 2, 220.0), "saw"))[None, None]
    x[:, :, 2000:2003] = torch.nan
    pitch, clarity = layer.offline(x[:, :, : 7936])[0]
    assert torch.isfinite(pitch).all()
    assert 1200 * (pitch[-30:] - float(octaves(220.0))).abs().max() < 10
    assert (clarity[-30:] > CLEAR).all()


@pytest.mark.parametrize(("arguments", "said"), [
    ((0, 16000), "ratio=0"), ((64, 100), "rate_hz=100"), ((64, 16000, 300, 300), "lags=300"),
    ((64, 16000, 300, 3), "lags=3 are too few")])
def test_what_cannot_be_is_said(arguments: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PitchTrack(*arguments)


# --- real sounds ----------------------------------------------------------------------------------


def real(name: str) -> FloatArray:
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    path = SAMPLES / f"{name}.flac"
    if not path.exists():
        pytest.skip("the samples of Sonic Pi are not installed")
    x, rate = soundfile.read(path, always_2d=True)
    return soxr.resample(x.mean(axis=1), rate, RATE)[: 4 * RATE]


@pytest.mark.parametrize(("name", "key"), [
    ("bass_thick_c", 36), ("bass_voxy_c", 36), ("bass_woodsy_c", 36), ("bass_dnb_f", 29)])
def test_real_notes_have_the_pitch_that_they_are_named_after(name: str, key: int) -> None:
    pitch, clarity = tracked(real(name), PitchTrack(HOP, RATE))
    keys = 60 + 12 * pitch[clarity > CLEAR]
    assert len(keys) > 0.8 * len(pitch)
    assert np.mean(np.abs(keys - key) > 0.5) <= 0.01


def test_real_guitar_harmonics_do_not_jump_by_octaves() -> None:
    pitch, clarity = tracked(real("guit_harmonics"), PitchTrack(HOP, RATE))
    clear = (clarity[1:] > CLEAR) & (clarity[:-1] > CLEAR)
    assert clear.mean() > 0.7
    leaps = np.abs(np.diff(pitch))[clear]
    assert np.mean(np.abs(leaps - 1) < 0.05) <= 0.01
