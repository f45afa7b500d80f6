"""Harmonics against sines that are summed in float64, and their phases against whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers import Harmonics, Streaming
from engine.layers.harmonics import CLARITY, FINE, TURN
from engine.layers.pitch import MIDDLE_C_HZ
from engine.players.native_model import NativeFile, NativeModel
from tests.core.native_cases import file_of
from tests.engine.layers.stacks import check_causal, check_reset, check_streaming
from tests.export.onnx.test_onnx_ops import run_graph
from tests.firmware.machines import instruction_sets

RATE, HOP, BANDS = 16000, 64, 32
FloatArray = NDArray[np.float64]
OPEN = {"crossover_hz": (1.0, 2.0)}  # all harmonics sound


def rows(pitch: FloatArray, clarity: float = 1.0, level: float = -3.0) -> Tensor:
    """Frames of a flat envelope, float32 [1, 2 + BANDS, frames]."""
    x = torch.full((1, 2 + BANDS, len(pitch)), level)
    x[0, 0], x[0, 1] = torch.from_numpy(pitch).float(), clarity
    return x


def step_of(layer: Harmonics, pitch: float) -> int:
    return int(layer._steps(torch.tensor([[pitch]]))[0, 0])


def words_of(state: tuple[Tensor, ...]) -> tuple[int, int]:
    """Phase and step after a block, of the first stream."""
    high, low, step_high, step_low = (int(v) for v in state[1][0])
    return high * FINE + low, step_high * FINE + step_low


def expected(phases: FloatArray, level: float, count: int, step: int) -> FloatArray:
    """Harmonics 1 ... count below half the sample rate, whose fade they have."""
    y = np.zeros(len(phases))
    for k in range(1, count + 1):
        fade = np.clip((0.5 - k * step / TURN) / 0.025, 0, 1)
        y += np.exp(level) * fade * np.sin(2 * np.pi * (k * phases.astype(object) % TURN / TURN
                                                        ).astype(float))
    return y


def test_a_pitch_is_volt_per_octave() -> None:
    layer = Harmonics(BANDS, HOP, RATE)
    for pitch in np.arange(-4, 4.7, 0.0371):
        wanted = MIDDLE_C_HZ * 2.0 ** np.float32(pitch)
        cents = 1200 * np.log2(step_of(layer, pitch) / TURN * RATE / wanted)
        assert abs(cents) < 0.004, "half of a step of 1 / 2^18 octave, and rounding"
    for octave in range(-3, 4):  # exactly, to the last bit of the lower one
        lower, upper = (step_of(layer, 0.3125 + octave + k) for k in range(2))
        assert abs(upper - 2 * lower) <= 2
    assert step_of(layer, 0.0) == round(TURN * MIDDLE_C_HZ / RATE)


@pytest.mark.parametrize("pitch", [torch.nan, torch.inf, -torch.inf, 99.0, -99.0])
def test_any_pitch_is_within_bounds(pitch: float) -> None:
    layer = Harmonics(BANDS, HOP, RATE)
    assert 0 < step_of(layer, pitch) <= TURN // 2
    assert torch.isfinite(layer.offline(rows(np.full(3, pitch)))).all()


def test_a_held_frame_is_a_steady_tone() -> None:
    """Nothing at the frame rate: it is the sum of its sines, to rounding."""
    layer, frames = Harmonics(BANDS, HOP, RATE, 20, **OPEN), 250
    step = step_of(layer, -0.37)
    y = layer.offline(rows(np.full(frames, -0.37)))[0, 0].double().numpy()
    wanted = expected(step * np.arange(1, frames * HOP + 1), -3.0, 20, step)
    assert np.abs(wanted).max() > 0.2
    assert np.abs(y - wanted)[HOP:].max() < 2e-6
    assert np.abs(y[:HOP] - wanted[:HOP] * np.arange(1, HOP + 1) / HOP).max() < 2e-6, "from rest"


def test_pitch_and_envelope_move_in_straight_lines() -> None:
    layer = Harmonics(BANDS, HOP, RATE, 3, **OPEN)
    x = rows(np.array([0.0, 0.25, -0.5]))
    x[0, 2:, 1:] = -1.0
    y = layer.offline(x)[0, 0].double().numpy()
    steps = np.array([step_of(layer, p) for p in (0.0, 0.25, -0.5)], dtype=float)
    times = np.arange(1, 3 * HOP + 1) / HOP
    each = np.interp(times, [1, 2, 3], steps)
    levels = np.interp(times, [0, 1, 2, 3], [0, np.exp(-3), np.exp(-1), np.exp(-1)])
    phase = 2 * np.pi * np.cumsum(each) / TURN
    wanted = levels * sum(np.sin(k * phase) for k in (1, 2, 3))
    assert np.abs(y - wanted).max() < 2e-5
    assert np.abs(np.diff(y, 2)).max() < 0.1 * np.abs(y).max(), "no corner between frames"


def test_the_envelope_is_read_at_each_frequency() -> None:
    layer, count, pitch = Harmonics(BANDS, HOP, RATE, 12, **OPEN), 12, 0.5
    x = rows(np.full(2, pitch))
    x[0, 2:] = torch.randn(BANDS, 1, generator=torch.Generator().manual_seed(0)) - 2
    _, state = layer(x, layer.init_state(1))
    hertz = step_of(layer, pitch) / TURN * RATE * np.arange(1, count + 1)
    centres = (np.arange(BANDS) + 0.5) * RATE / 2 / BANDS
    wanted = np.exp(np.interp(hertz, centres, x[0, 2:, 0].numpy()))
    frequency, line = layer.levels(x)
    assert RATE * frequency[0, 0].numpy() == pytest.approx(hertz, rel=1e-6)
    assert line.exp()[0, 0].numpy() == pytest.approx(wanted, rel=1e-5)
    assert state[0][0, :, 0].numpy() == pytest.approx(wanted, rel=1e-5)


def spectrum(layer: Streaming, x: Tensor) -> FloatArray:
    y = layer.offline(x)[0, 0, HOP:].double().numpy()
    return 2 * np.abs(np.fft.rfft(y * np.hanning(len(y)))) / len(y) * 2


def test_nothing_sounds_below_the_crossover_or_beyond_half_the_rate() -> None:
    layer, x = Harmonics(BANDS, HOP, RATE), rows(np.full(251, -1.2), level=0.0)
    amplitude = spectrum(layer, x)  # bins of 1 Hz
    assert len(amplitude) == RATE // 2 + 1
    f0 = step_of(layer, -1.2) / TURN * RATE
    assert amplitude[:750].max() < 1e-4
    partials = [amplitude[round(k * f0) - 1 : round(k * f0) + 2].max()
                for k in range(1, 65)]
    hertz = f0 * np.arange(1, 65)
    assert hertz[-1] > 7200
    full = (hertz > 1310) & (hertz < RATE / 2 - 410)
    assert min(np.array(partials)[full]) > 0.8  # of 1, between bins
    rising = np.array(partials)[(hertz > 800) & (hertz < 1400)]
    assert np.all(np.diff(rising[:4]) > 0)
    high = spectrum(layer, rows(np.full(251, 3.05), level=0.0))  # the fourth is beyond
    assert np.flatnonzero(high > 0.02).max() < 3 * MIDDLE_C_HZ * 2**3.05 + 5


def test_clarity_fades_all_of_it() -> None:
    layer = Harmonics(BANDS, HOP, RATE)
    loud = {c: layer.offline(rows(np.full(20, 0.3), c)).square().mean().sqrt().item()
            for c in (0.0, CLARITY[0], 0.7, 0.8, CLARITY[1], 1.0)}
    assert loud[0.0] == loud[CLARITY[0]] == 0
    assert 0 < loud[0.7] < loud[0.8] < loud[CLARITY[1]] == pytest.approx(loud[1.0], rel=1e-6)


def test_gradients_reach_the_envelope_and_not_the_pitch() -> None:
    x = rows(np.full(4, 0.5), 0.7).requires_grad_()
    Harmonics(BANDS, HOP, RATE).offline(x).square().sum().backward()
    assert torch.all(x.grad[0, 0] == 0)
    assert torch.all(x.grad[0, 1].abs() > 0)
    assert (x.grad[0, 2:].abs().sum(dim=1) > 0).sum() > BANDS // 2


def test_it_is_a_causal_stream_that_starts_anew() -> None:
    layer = Harmonics(5, 7, RATE, 6, (100.0, 300.0), (-1.0, 1.0))
    for dtype in (torch.float64, torch.float32):
        check_streaming(layer, [1, 5, 2, 600], 2, dtype)  # longer than one piece
    check_causal(layer, 20, 11)
    check_reset(layer, 20)


@pytest.mark.parametrize(("arguments", "said"), [
    ((1, 64, 16000), "bands=1"), ((8, 0, 16000), "ratio=0"), ((8, 64, 500), "rate_hz=500"),
    ((8, 64, 16000, 0), "count=0"), ((8, 64, 16000, 4, (9.0, 9.0)), "must rise")])
def test_what_cannot_be_is_said(arguments: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Harmonics(*arguments)


# --- phases, in every backend ---------------------------------------------------------------------


def native(layer: Harmonics, isa: str = "ref") -> NativeModel:
    return NativeModel(NativeFile.from_bytes(file_of(layer)), max_samples=64 * layer.hop, isa=isa)


STATE_AT = 64  # of the words, behind where rings stand


def native_words(model: NativeModel) -> tuple[int, int]:
    phase, step = np.frombuffer(model.save_state(), np.uint32, 2, STATE_AT)
    return int(phase), int(step)


def wild(frames: int) -> Tensor:
    rng = np.random.default_rng(5)
    return rows(np.cumsum(rng.uniform(-0.6, 0.6, frames)) + rng.uniform(-0.01, 0.01, frames))


@pytest.mark.parametrize("hop", [HOP, 1000])
def test_phases_are_the_same_number_everywhere(hop: int) -> None:
    """PyTorch in float32 and float64, ONNX Runtime and C, after a pitch that leaps about."""
    layer, x = Harmonics(BANDS, hop, RATE, 5, **OPEN), wild(60)
    y, state = layer(x, layer.init_state(1))
    wanted = words_of(state)
    assert words_of(layer(x.double(), layer.init_state(1, torch.float64))[1]) == wanted
    from tests.engine.layers.test_contract import graph_of

    played, held = run_graph(graph_of(layer), x, layer.init_state(1), {}, [1, 40, 19])
    assert tuple(held[1][0]) == tuple(state[1][0].tolist())
    assert np.abs(played - y.numpy()).max() < 1e-5
    for isa in instruction_sets():
        model = native(layer, isa)
        got = np.concatenate([model.process("forward", x[:, :, a:b].numpy())
                              for a, b in ((0, 3), (3, 35), (35, 60))], axis=2)
        assert native_words(model) == wanted, isa
        assert np.abs(got - y.numpy()).max() < 2e-6


@pytest.mark.parametrize("pitch", [-1.75, 0.1234, 2.5])
def test_half_an_hour_later_no_phase_has_drifted(pitch: float) -> None:
    """The state that whole numbers say a stream has after half an hour, put in its place."""
    layer, samples = Harmonics(BANDS, HOP, RATE, 64, **OPEN), 30 * 60 * RATE
    step = step_of(layer, pitch)
    phase = step * samples % TURN
    x = rows(np.full(2, pitch))
    level, amplitudes = -3.0, layer(x, layer.init_state(1))[1][0]
    words = torch.tensor([[phase // FINE, phase % FINE, step // FINE, step % FINE]]).float()
    y, after = layer(x, (amplitudes, words))
    wanted = expected(step * np.arange(samples + 1, samples + 2 * HOP + 1), level, 64, step)
    assert np.abs(wanted).max() > 0.1
    assert np.abs(y[0, 0].double().numpy() - wanted).max() < 1e-5
    assert words_of(after) == (step * (samples + 2 * HOP) % TURN, step)
    model = native(layer)
    model.process("forward", x.numpy())  # so that its amplitudes are there
    state = bytearray(model.save_state())
    state[STATE_AT : STATE_AT + 8] = np.array([phase, step], np.uint32).tobytes()
    model.load_state(bytes(state))
    got = model.process("forward", x.numpy())[0, 0]
    assert np.abs(got - wanted).max() < 1e-5
    assert native_words(model) == words_of(after)
