"""Pitch and harmonics in ONNX: what `engine/layers/pitch.py` and `harmonics.py` say, phases bit by
bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from engine.graph import Op
from export.onnx.writer import ALL, Writer

# As in engine/layers/pitch.py and harmonics.py.
LEAST_LAG, FLOOR, TINY = 2, 1e-7, 1e-20
DOUBLE_SHARE, BEND_SHARE, DOUBLE_REACH = 0.5, 0.2, 2
PITCH_RANGE, PITCH_STEPS = (-10.0, 8.0), 2**18
EXP2 = (1073741824, 744266013, 257869054, 59934846, 9654009, 2017902)
TURN, FINE = 2**32, 2**16
LOG_RANGE, NYQUIST_FADE = (-16.0, 4.0), 0.025

Sizes = dict[str, Any]  # attributes of an operation


def _int(w: Writer, value: object) -> str:
    return w.const(value, np.int64, "int")


def _length(w: Writer, x: str, axis: int) -> str:
    return str(w.node("Squeeze", w.node("Shape", x, start=axis, end=axis + 1), w.ints(0)))


def _range(w: Writer, count: str) -> str:
    return str(w.node("Range", _int(w, 0), count, _int(w, 1)))


def _windows(w: Writer, x: str, frames: str, hop: int, first: int, size: int) -> str:
    """x[:, f * hop + first ... + size] of frames f: [batch, frames, size, ...]."""
    start = w.node("Unsqueeze", w.node("Mul", _range(w, frames), _int(w, hop)), w.ints(1))
    return str(w.node("Gather", x, w.node("Add", start, _int(w, first + np.arange(size))), axis=1))


def _square_sum(w: Writer, x: str, axis: int) -> str:
    return str(w.node("ReduceSum", w.node("Mul", x, x), w.ints(axis), keepdims=0))


def pitch_track(w: Writer, op: Op, x: str) -> str:
    a = op.attributes
    taps, hop = a["taps"], a["ratio"]
    frames = w.node("Div", _length(w, x, 2), _int(w, hop))
    both = w.remember(x, 1, a["window"] - hop)
    rise = np.minimum(np.arange(taps), np.arange(taps)[::-1]) + 1.0
    smooth = w.const((rise / (taps // 2 + 1) ** 2)[None, None], name="smooth")
    sound = w.node("Squeeze", w.node("Conv", both, smooth, kernel_shape=[taps]), w.ints(1))
    at, depth, clear = _dip(w, a, _normal_difference(w, a, sound, frames))
    octaves, loud, sane = _refined(w, a, sound, at, frames)
    clear = w.node("And", w.node("And", clear, loud), sane)
    held = w.state((1,))
    count = w.node("CumSum", w.node("Cast", clear, to=TensorProto.INT64), _int(w, 1))
    # The k-th clear frame into place k, all others into one that nobody reads.
    spare = w.node("Add", frames, _int(w, 1))
    places = w.node("ScatterElements", w.node("Concat", held, octaves, held, axis=1),
                    w.node("Where", clear, count, spare), octaves, axis=1)
    pitch = w.node("GatherElements", places, count, axis=1)
    w.keep(w.slice(pitch, -1, ALL, 1))
    clarity = w.node("Clip", w.node("Sub", w.const(1.0), depth), w.const(0.0), w.const(1.0))
    clarity = w.node("Where", loud, clarity, w.const(0.0))
    rows = [w.node("Unsqueeze", part, w.ints(1)) for part in (pitch, clarity)]
    return str(w.node("Concat", *rows, axis=1))


def _normal_difference(w: Writer, a: Sizes, sound: str, frames: str) -> str:
    lags, hops, step = a["lags"], a["hops"], a["step"]
    hop = a["ratio"] // step
    coarse = w.node("Slice", sound, w.ints(step - 1), w.ints(ALL), w.ints(1), w.ints(step))
    kept = w.node("Add", frames, _int(w, hops - 1))
    rows = _windows(w, coarse, w.node("Mul", kept, _int(w, hop)), 1, 0, lags + 1)
    away = w.node("Sub", w.slice(rows, lags, ALL, 2), w.slice(rows, 0, lags, 2))
    parts = _square_sum(w, w.node("Reshape", away, w.ints(0, -1, hop, lags)), 2)
    sums = w.node("ReduceSum", _windows(w, parts, frames, 1, 0, hops), w.ints(2), keepdims=0)
    rising = w.node("Slice", sums, w.ints(-1), w.ints(-ALL), w.ints(2), w.ints(-1))
    total = w.node("Max", w.node("CumSum", rising, _int(w, 2)), w.const(TINY))
    return str(w.node("Div", w.node("Mul", rising, w.const(np.arange(1.0, lags + 1), name="lag")),
                      total))


def _dip(w: Writer, a: Sizes, normal: str) -> tuple[str, str, str]:
    count = a["lags"] - LEAST_LAG
    before, here, after = (w.slice(normal, LEAST_LAG - 2 + k, LEAST_LAG - 2 + k + count, 2)
                           for k in range(3))
    dips = w.node("And", w.node("Less", here, before), w.node("LessOrEqual", here, after))
    zero, one, axis = w.const(0.0), w.const(1.0), w.ints(2)
    bend = w.node("Add", w.node("Sub", before, w.node("Mul", w.const(2.0), here)), after)
    slant = w.node("Sub", before, after)
    bend = w.node("Where", dips, bend, one)
    lower = w.node("Div", w.node("Mul", slant, slant), bend)
    depth = w.node("Max", w.node("Sub", here, w.node("Mul", lower, w.const(0.125))), zero)
    depth = w.node("Where", dips, depth, one)
    least = w.node("ReduceMin", depth, axis, keepdims=1)
    enough = w.node("Less", depth, w.const(a["threshold"]))
    places = w.const(np.arange(count, 0, -1), np.int64, "places")
    first = w.node("ReduceMax", w.node("Where", enough, places, _int(w, 0)), axis, keepdims=1)
    clear = w.node("Greater", first, _int(w, 0))
    index = w.node("Where", clear, w.node("Sub", _int(w, count), first), _int(w, LEAST_LAG))
    found = w.node("Where", clear, w.node("GatherElements", depth, index, axis=2), least)
    at = w.node("Add", index, _int(w, LEAST_LAG))
    if a["octave_check"]:
        at, found = _doubled(w, count, depth, bend, at, found, clear)
    return at, *(w.node("Squeeze", value, axis) for value in (found, clear))


def _doubled(w: Writer, count: int, depth: str, bend: str, at: str, found: str, clear: str
             ) -> tuple[str, str]:
    first = w.node("Sub", at, _int(w, LEAST_LAG))
    near = np.arange(LEAST_LAG - DOUBLE_REACH, LEAST_LAG + DOUBLE_REACH + 1)
    places = w.node("Add", w.node("Mul", first, _int(w, 2)), _int(w, near))
    inside = w.node("Less", places, _int(w, count))
    tried = w.node("GatherElements", depth, w.node("Min", places, _int(w, count - 1)), axis=2)
    tried = w.node("Where", inside, tried, w.const(1.0))
    least = w.node("ReduceMin", tried, w.ints(2), keepdims=1)
    which = w.node("ArgMin", tried, axis=2, keepdims=1)
    sharp = w.node("Mul", w.node("GatherElements", bend, first, axis=2), w.const(BEND_SHARE))
    better = w.node("And", w.node("Greater", found, sharp),
                    w.node("Less", least, w.node("Mul", found, w.const(DOUBLE_SHARE))))
    better = w.node("And", better, clear)
    twice = w.node("Add", w.node("GatherElements", places, which, axis=2), _int(w, LEAST_LAG))
    return str(w.node("Where", better, twice, at)), str(w.node("Where", better, least, found))


def _refined(w: Writer, a: Sizes, sound: str, at: str, frames: str
             ) -> tuple[str, str, str]:
    """`at`: int64 [batch, frames, 1]."""
    step, hop, axis = a["step"], a["ratio"], w.ints(2)
    size, reach = a["hops"] * hop, a["lags"] * step
    newest = _windows(w, sound, frames, hop, reach, size)
    loud = w.node("GreaterOrEqual", _square_sum(w, newest, 2), w.const(FLOOR * size))
    start = w.node("Unsqueeze", w.node("Mul", _range(w, frames), _int(w, hop)), w.ints(1))
    start = w.node("Sub", start, w.node("Mul", at, _int(w, step)))
    sums = []
    for offset in range(-step, step + 1):
        places = w.node("Add", start, _int(w, np.arange(size) + reach - offset))
        past = w.node("GatherElements", sound, w.node("Reshape", places, w.ints(0, -1)), axis=1)
        past = w.node("Reshape", past, w.ints(0, -1, size))
        sums.append(w.node("Unsqueeze", _square_sum(w, w.node("Sub", newest, past), 2), axis))
    table = w.node("Concat", *sums, axis=2)
    below = w.node("ArgMin", w.slice(table, 1, -1, 2), axis=2, keepdims=1)
    before, here, after = (
        w.node("GatherElements", table, w.node("Add", below, _int(w, k)), axis=2) for k in range(3))
    bend = w.node("Add", w.node("Sub", before, w.node("Mul", w.const(2.0), here)), after)
    shift = w.node("Mul", w.const(0.5), w.node("Sub", before, after))
    shift = w.node("Div", shift, w.node("Max", bend, w.const(TINY)))
    shift = w.node("Clip", shift, w.const(-0.5), w.const(0.5))
    shift = w.node("Where", w.node("Greater", bend, w.const(0.0)), shift, w.const(0.0))
    whole = w.node("Add", w.node("Mul", at, _int(w, step)), w.node("Sub", below, _int(w, step - 1)))
    lag = w.node("Add", w.node("Cast", whole, to=TensorProto.FLOAT), shift)
    lag = w.node("Squeeze", lag, axis)
    sane = w.node("GreaterOrEqual", lag, w.const(1.0))
    octaves = w.node("Mul", w.node("Log", w.node("Where", sane, lag, w.const(1.0))),
                     w.const(-1.0 / np.log(2.0)))
    return w.node("Add", octaves, w.const(a["octaves"])), loud, sane


def harmonics(w: Writer, op: Op, x: str) -> str:
    a = op.attributes
    hop, count = a["ratio"], a["count"]
    earlier, words = w.state((count, 1)), w.state((4,))
    words = w.node("Cast", words, to=TensorProto.INT64)
    phase, last = (_joined(w, words, first) for first in (0, 2))
    steps = _steps(w, a, w.node("Squeeze", w.slice(x, 0, 1, 1), w.ints(1)))  # [batch, frames]
    first = w.node("Where", w.node("Greater", last, _int(w, 0)), last, w.slice(steps, 0, 1, 1))
    before = w.node("Concat", first, w.slice(steps, 0, -1, 1), axis=1)
    phases = _phases(w, hop, phase, before, steps)
    amplitudes = _amplitudes(w, a, steps, x)  # [batch, frames, count]
    over = w.node("Transpose", amplitudes, perm=[0, 2, 1])
    w.keep(w.slice(over, -1, ALL, 2))
    earlier = w.node("Concat", w.node("Transpose", earlier, perm=[0, 2, 1]),
                     w.slice(amplitudes, 0, -1, 1), axis=1)
    halves = [half for word in (phases, steps) for half in _split(w, w.slice(word, -1, ALL, 1))]
    w.keep(w.node("Cast", w.node("Concat", *halves, axis=1), to=TensorProto.FLOAT))
    number = _int(w, np.arange(1, count + 1)[:, None])
    turned = w.node("BitwiseAnd", w.node("Mul", w.node("Unsqueeze", phases, w.ints(1)), number),
                    _int(w, TURN - 1))
    upper = w.node("Where", w.node("GreaterOrEqual", turned, _int(w, TURN // 2)), _int(w, TURN),
                   _int(w, 0))
    angle = w.node("Mul", w.node("Cast", w.node("Sub", turned, upper), to=TensorProto.FLOAT),
                   w.const(2 * np.pi / TURN))
    waves = w.node("Reshape", w.node("Sin", angle), w.ints(0, count, -1, hop))
    waves = w.node("Transpose", waves, perm=[0, 2, 3, 1])  # [batch, frames, ratio, count]
    up, down = (w.node("Squeeze", w.node("MatMul", waves, w.node("Unsqueeze", part, w.ints(3))),
                       w.ints(3)) for part in (amplitudes, earlier))
    rise = np.arange(1, hop + 1, dtype=np.float32) / np.float32(hop)
    y = w.node("Add", w.node("Mul", up, w.const(rise, name="rise")),
               w.node("Mul", down, w.const(1 - rise, name="fall")))
    return str(w.node("Reshape", y, w.ints(0, 1, -1)))


def _joined(w: Writer, words: str, first: int) -> str:
    upper, lower = (w.slice(words, first + k, first + k + 1, 1) for k in range(2))
    return str(w.node("Add", w.node("Mul", upper, _int(w, FINE)), lower))


def _split(w: Writer, word: str) -> tuple[str, str]:
    return (w.node("Div", word, _int(w, FINE)), w.node("BitwiseAnd", word, _int(w, FINE - 1)))


def _steps(w: Writer, a: Sizes, pitch: str) -> str:
    low, high = PITCH_RANGE
    pitch = w.node("Where", w.node("GreaterOrEqual", pitch, w.const(low)), pitch, w.const(low))
    pitch = w.node("Min", pitch, w.const(high))
    number = w.node("Round", w.node("Mul", pitch, w.const(float(PITCH_STEPS))))
    number = w.node("Cast", w.node("Add", number, w.const(-low * PITCH_STEPS)),
                    to=TensorProto.INT64)
    part = w.node("BitwiseAnd", number, _int(w, PITCH_STEPS - 1))
    factor = _int(w, EXP2[-1])
    for coefficient in EXP2[-2::-1]:
        factor = w.node("Div", w.node("Mul", factor, part), _int(w, PITCH_STEPS))
        factor = w.node("Add", factor, _int(w, coefficient))
    base = w.node("Gather", w.const(a["octave_steps"], np.int64, "octave_steps"),
                  w.node("Div", number, _int(w, PITCH_STEPS)))
    steps = w.node("Div", w.node("Mul", factor, base), _int(w, 2**30))
    # Not Min: ONNX Runtime 1.31 finds that 2^31 is less than 5.
    half = _int(w, TURN // 2)
    return str(w.node("Where", w.node("Less", steps, half), steps, half))


def _phases(w: Writer, hop: int, phase: str, before: str, steps: str) -> str:
    fine = _int(w, FINE)
    slope = w.node("Div", w.node("Mul", w.node("Sub", steps, before), fine), _int(w, hop))
    slope, before = (w.node("Unsqueeze", value, w.ints(2)) for value in (slope, before))
    each = w.node("Add", w.node("Mul", before, fine),
                  w.node("Mul", slope, _int(w, np.arange(1, hop + 1))))
    each = w.node("Reshape", w.node("Div", each, fine), w.ints(0, -1))
    each = w.node("Add", phase, w.node("CumSum", each, _int(w, 1)))
    return str(w.node("BitwiseAnd", each, _int(w, TURN - 1)))


def _amplitudes(w: Writer, a: Sizes, steps: str, x: str) -> str:
    bands, count = a["bands"], a["count"]
    zero, one, axis = w.const(0.0), w.const(1.0), w.ints(2)
    base = w.node("Mul", w.node("Cast", steps, to=TensorProto.FLOAT), w.const(1.0 / TURN))
    frequency = w.node("Mul", w.node("Unsqueeze", base, axis), w.const(np.arange(1.0, count + 1)))
    place = w.node("Sub", w.node("Mul", frequency, w.const(2.0 * bands)), w.const(0.5))
    place = w.node("Unsqueeze", w.node("Clip", place, zero, w.const(bands - 1.0)), w.ints(3))
    near = w.node("Abs", w.node("Sub", place, w.const(np.arange(bands, dtype=np.float32))))
    weight = w.node("Max", w.node("Sub", one, near), zero)
    envelope = w.node("Transpose", w.slice(x, 2, ALL, 1), perm=[0, 2, 1])
    line = w.node("MatMul", weight, w.node("Unsqueeze", envelope, w.ints(3)))
    line = w.node("Squeeze", line, w.ints(3))
    clarity = w.node("Transpose", w.slice(x, 1, 2, 1), perm=[0, 2, 1])  # [batch, frames, 1]
    gain = w.node("Mul", _smooth(w, frequency, a["crossover"]), _smooth(w, clarity, a["clear"]))
    fade = w.node("Mul", w.node("Sub", w.const(0.5), frequency), w.const(1.0 / NYQUIST_FADE))
    gain = w.node("Mul", gain, w.node("Clip", fade, zero, one))
    level = w.node("Exp", w.node("Clip", line, *(w.const(limit) for limit in LOG_RANGE)))
    return str(w.node("Mul", level, gain))


def _smooth(w: Writer, x: str, between: tuple[float, float]) -> str:
    low, high = between
    x = w.node("Mul", w.node("Sub", x, w.const(low)), w.const(1.0 / (high - low)))
    x = w.node("Clip", x, w.const(0.0), w.const(1.0))
    rest = w.node("Sub", w.const(3.0), w.node("Mul", w.const(2.0), x))
    return str(w.node("Mul", w.node("Mul", x, x), rest))
