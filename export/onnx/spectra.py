"""Spectra in ONNX: what `engine/layers/spectrum.py` and `transform.py` say, phases bit by bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.graph import Op
from export.onnx import draws
from export.onnx.writer import ALL, Writer

# As in engine/layers/spectrum.py; here nothing is imported that needs PyTorch.
LOG_RANGE, LEVELS, QUIET_LEVELS = (-16.0, 4.0), 256, 1768
TURN, HALF_WORD = 2**32, 2**16
PER_BIN, PER_FRAME = 171192, 2603019
NOISE_SCALE = (0.5 / ((256**2 - 1) / 3)) ** 0.5


def _int(w: Writer, value: object) -> str:
    return w.const(value, np.int64, "int")


def _angle(rows: int, columns: int, turn: int) -> NDArray[np.float64]:
    return 2 * np.pi * np.outer(np.arange(rows), np.arange(columns)) / turn


def _pair(w: Writer, angle: NDArray[np.float64]) -> tuple[str, str]:
    """Cosines and sines as constants."""
    return w.const(np.cos(angle), name="cos"), w.const(np.sin(angle), name="sin")


def _rotated(w: Writer, re: str, im: str, cos: str, sin: str) -> tuple[str, str]:
    """Times cos + i sin, number by number."""
    return (w.node("Sub", w.node("Mul", re, cos), w.node("Mul", im, sin)),
            w.node("Add", w.node("Mul", re, sin), w.node("Mul", im, cos)))


def _split(size: int) -> tuple[int, int]:
    columns = 2 ** (int(np.log2(size)) // 2)
    return size // columns, columns


def _window(size: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def spectrum(w: Writer, op: Op, x: str) -> str:
    size, hop = op.attributes["fft"], op.attributes["ratio"]
    rows, columns = _split(size)
    both = w.remember(x, 1, size - 1 - hop)
    frames = w.node("Div", w.node("Shape", x, start=2, end=3), w.ints(hop))
    start = w.node("Mul", w.node("Range", _int(w, 0), w.node("Squeeze", frames, w.ints(0)),
                                 _int(w, 1)), _int(w, hop))
    places = w.node("Add", w.node("Unsqueeze", start, w.ints(1)), _int(w, np.arange(size - 1)))
    windows = w.node("Gather", w.node("Squeeze", both, w.ints(1)), places, axis=1)
    windows = w.node("Mul", windows, w.const(_window(size)[1:], name="window"))
    windows = w.node("Pad", windows, w.ints(0, 0, 1, 0, 0, 0))  # the window begins with 0
    windows = w.node("Reshape", windows, w.ints(0, 0, rows, columns))
    cos, sin = _pair(w, -_angle(rows, rows, rows))
    re, im = w.node("MatMul", cos, windows), w.node("MatMul", sin, windows)
    re, im = _rotated(w, re, im, *_pair(w, -_angle(rows, columns, size)))
    cos, sin = _pair(w, -_angle(columns, columns, columns))
    parts = (w.node("Sub", w.node("MatMul", re, cos), w.node("MatMul", im, sin)),
             w.node("Add", w.node("MatMul", re, sin), w.node("MatMul", im, cos)))
    squares = [w.node("Mul", part, part) for part in parts]
    power = w.node("Transpose", w.node("Add", *squares), perm=[0, 1, 3, 2])
    power = w.slice(w.node("Reshape", power, w.ints(0, 0, -1)), 0, size // 2 + 1, 2)
    power = w.node("Mul", power, w.const((2.0 / size) ** 2))
    power = w.node("Max", power, w.const(op.attributes["floor"] ** 2))
    logs = w.node("Mul", w.node("Log", power), w.const(0.5))
    return str(w.node("Transpose", logs, perm=[0, 2, 1]))


def resynth(w: Writer, op: Op, x: str) -> str:
    size, hop = op.attributes["fft"], op.attributes["ratio"]
    bins, overlap = size // 2 + 1, size // hop
    # States in the order of the layer's: the first is the noise's counter.
    bits = draws.noise_bits(w, op, x, 2 * bins)
    levels = _levels(w, x)
    tones = w.remember(w.slice(levels, 0, bins, 1), bins, 2)
    noises = w.remember(w.slice(levels, bins, ALL, 1), bins, 1)
    one, two = w.slice(bits, 0, bins, 1), w.slice(bits, bins, ALL, 1)
    phases = _phases(w, tones, w.node("BitwiseXor", one, two), w.state((2, bins)), bins, overlap)
    upper = w.node("Where", w.node("GreaterOrEqual", phases, _int(w, TURN // 2)), _int(w, TURN),
                   _int(w, 0))
    angle = w.node("Mul", w.node("Cast", w.node("Sub", phases, upper), to=TensorProto.FLOAT),
                   w.const(2 * np.pi / TURN))
    tone = _amplitudes(w, w.slice(tones, 1, -1, 2))
    noise = w.node("Mul", _amplitudes(w, w.slice(noises, 0, -1, 2)),
                   w.const(NOISE_SCALE * overlap**0.5))
    re, im = (w.node("Add", w.node("Mul", tone, w.node(kind, angle)),
                     w.node("Mul", noise, _byte_sums(w, word)))
              for kind, word in (("Cos", one), ("Sin", two)))
    return _overlap_add(w, _windows(w, re, im, size), size, hop)


def _levels(w: Writer, x: str) -> str:
    low, high = (w.const(limit) for limit in LOG_RANGE)
    held = w.node("Where", w.node("GreaterOrEqual", x, low), x, low)
    held = w.node("Round", w.node("Mul", w.node("Min", held, high), w.const(float(LEVELS))))
    return str(w.node("Sub", held, w.const(LOG_RANGE[0] * LEVELS)))


def _amplitudes(w: Writer, levels: str) -> str:
    logs = w.node("Add", w.node("Mul", levels, w.const(1 / LEVELS)), w.const(LOG_RANGE[0]))
    heard = w.node("Greater", levels, w.const(0.0))
    return str(w.node("Where", heard, w.node("Exp", logs), w.const(0.0)))


def _byte_sums(w: Writer, bits: str) -> str:
    total = _int(w, -510)
    for place in (1, 2**8, 2**16, 2**24):
        byte = w.node("BitwiseAnd", w.node("Div", bits, _int(w, place)), _int(w, 255))
        total = w.node("Add", total, byte)
    return str(w.node("Cast", total, to=TensorProto.FLOAT))


def _phases(w: Writer, tones: str, others: str, words: str, bins: int, overlap: int) -> str:
    """Whole numbers below 2^32, [batch, bins, frames]."""
    levels = w.node("Cast", tones, to=TensorProto.INT64)
    before, here, after = (w.slice(levels, k, k - 2 or ALL, 2) for k in range(3))
    rise = w.node("Sub", after, before)
    rise = w.node("Add", w.slice(rise, 1, ALL, 1), w.slice(rise, 0, -1, 1))
    along = w.node("Mul", w.node("CumSum", rise, _int(w, 1)), _int(w, -PER_BIN * overlap))
    along = _padded(w, along, 1, 0)
    sums = w.node("Add", here, before)
    slope = w.node("Sub", w.slice(sums, 2, ALL, 1), w.slice(sums, 0, -2, 1))
    slope = w.node("Mul", _padded(w, slope, 1, 1), _int(w, PER_FRAME // overlap))
    advance = np.arange(bins)[:, None] * (TURN // overlap)
    step = w.node("Sub", w.node("Add", slope, _int(w, advance)), along)
    peaks = _peaks(w, here, bins)
    step = w.node("Add", w.node("GatherElements", step, peaks, axis=1), along)
    step = w.node("BitwiseAnd", step, _int(w, TURN - 1))
    loudest = w.node("ReduceMax", w.node("Where", w.node("Less", here, before), before, here),
                     w.ints(1), keepdims=1)
    goes_on = w.node("Greater", here, w.node("Sub", loudest, _int(w, QUIET_LEVELS)))
    step = w.node("Where", goes_on, step, others)
    whole = w.node("Cast", words, to=TensorProto.INT64)
    upper, lower = (w.node("Squeeze", w.slice(whole, k, k + 1, 1), w.ints(1)) for k in range(2))
    phase = w.node("Add", w.node("Mul", upper, _int(w, HALF_WORD)), lower)
    keeps = w.node("Cast", goes_on, to=TensorProto.INT64)
    last, phases = _run(w, phase, peaks, step, keeps)
    halves = (w.node("Div", last, _int(w, HALF_WORD)),
              w.node("BitwiseAnd", last, _int(w, HALF_WORD - 1)))
    both = [w.node("Unsqueeze", half, w.ints(1)) for half in halves]
    w.keep(w.node("Cast", w.node("Concat", *both, axis=1), to=TensorProto.FLOAT))
    return phases


def _padded(w: Writer, x: str, first: int, last: int) -> str:
    """Zeros before and after the bins."""
    return str(w.node("Pad", x, w.ints(0, first, 0, 0, last, 0)))


def _peaks(w: Writer, here: str, bins: int) -> str:
    """The peak that each bin belongs to."""
    one = _int(w, 1)
    rises = w.node("GreaterOrEqual", w.slice(here, 1, ALL, 1), w.slice(here, 0, -1, 1))
    rises = w.node("Cast", rises, to=TensorProto.INT64)
    up = w.node("Pad", rises, w.ints(0, 1, 0, 0, 0, 0), one)
    peak = w.node("Mul", up, w.node("Sub", one, _padded(w, rises, 0, 1)))
    start = w.node("Mul", w.node("Sub", one, w.slice(up, 0, -1, 1)), w.slice(up, 1, ALL, 1))
    region = _padded(w, w.node("CumSum", start, _int(w, 1)), 1, 0)
    # The peak of region r into place r, all other bins into one that nobody reads.
    place = w.node("Where", w.node("Greater", peak, _int(w, 0)), region, _int(w, bins))
    numbers = w.node("Add", w.node("Mul", place, _int(w, 0)), _int(w, np.arange(bins)[:, None]))
    spare = w.node("Pad", w.node("Mul", region, _int(w, 0)), w.ints(0, 0, 0, 0, 1, 0))
    table = w.node("ScatterElements", spare, place, numbers, axis=1)
    return str(w.node("GatherElements", table, region, axis=1))


def _run(w: Writer, phase: str, peaks: str, step: str, keeps: str) -> tuple[str, str]:
    """Frame after frame: the last phases [batch, bins] and all of them, [batch, bins, frames]."""
    kind = TensorProto.INT64
    nodes = [
        helper.make_node("GatherElements", ["scan_phase", "scan_peaks"], ["scan_before"], axis=1),
        helper.make_node("Mul", ["scan_before", "scan_keeps"], ["scan_kept"]),
        helper.make_node("Add", ["scan_kept", "scan_step"], ["scan_sum"]),
        helper.make_node("BitwiseAnd", ["scan_sum", _int(w, TURN - 1)], ["scan_after"]),
        helper.make_node("Identity", ["scan_after"], ["scan_out"]),
    ]
    info = [helper.make_tensor_value_info(f"scan_{name}", kind, ["batch", "bins"])
            for name in ("phase", "peaks", "step", "keeps", "after", "out")]
    body = helper.make_graph(nodes, "scan", info[:4], info[4:])
    return tuple(w.node("Scan", phase, peaks, step, keeps, outputs=2, body=body,
                        num_scan_inputs=3, scan_input_axes=[2, 2, 2], scan_output_axes=[2]))


def _windows(w: Writer, re: str, im: str, size: int) -> str:
    """Complex values [batch, bins, frames] to samples under the window, [batch, frames, size]."""
    rows, columns = _split(size)
    bins, used = size // 2 + 1, rows // 2 + 1
    # A bin stands for two, but for the first and the last; phases are those of the middle.
    weight = np.where(np.arange(bins) % (bins - 1) == 0, 1.0, 2.0) * (1 - 2 * (np.arange(bins) % 2))
    parts = []
    for part in (re, im):
        part = w.node("Mul", w.node("Transpose", part, perm=[0, 2, 1]), w.const(weight, name="bin"))
        part = w.node("Pad", part, w.ints(0, 0, 0, 0, 0, columns - 1))
        parts.append(w.node("Reshape", part, w.ints(0, 0, used, columns)))
    re, im = parts
    cos, sin = _pair(w, _angle(rows, used, rows))
    re, im = (w.node("Sub", w.node("MatMul", cos, re), w.node("MatMul", sin, im)),
              w.node("Add", w.node("MatMul", cos, im), w.node("MatMul", sin, re)))
    re, im = _rotated(w, re, im, *_pair(w, _angle(rows, columns, size)))
    cos, sin = _pair(w, _angle(columns, columns, columns))
    y = w.node("Sub", w.node("MatMul", re, cos), w.node("MatMul", im, sin))
    return str(w.node("Reshape", w.node("Transpose", y, perm=[0, 1, 3, 2]), w.ints(0, 0, -1)))


def _overlap_add(w: Writer, windows: str, size: int, hop: int) -> str:
    overlap, later = size // hop, size // hop - 1
    gain = 0.5 / (0.375 * overlap)
    windows = w.node("Mul", windows, w.const(_window(size) * gain, name="window"))
    parts = w.node("Reshape", windows, w.ints(0, 0, overlap, hop))
    before = w.node("Reshape", w.state((size - hop,)), w.ints(0, later, hop))
    each = [w.node("Squeeze", w.slice(parts, k, k + 1, 2), w.ints(2)) for k in range(overlap)]
    y = w.node("Concat", before, w.node("Mul", each[0], w.const(0.0)), axis=1)
    for k, part in enumerate(each):
        y = w.node("Add", y, w.node("Pad", part, w.ints(0, k, 0, 0, later - k, 0)))
    w.keep(w.node("Reshape", w.slice(y, -later, ALL, 1), w.ints(0, -1)))
    return str(w.node("Reshape", w.slice(y, 0, -later, 1), w.ints(0, 1, -1)))
