"""Counter-based noise in ONNX, and the operations that draw with it: bit by bit the whole numbers
of `engine/layers/noise.py` and `engine/layers/draw.py`."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from engine.graph import Op
from export.onnx.writer import ALL, Writer

HASH_MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)  # as in engine/layers/noise.py
HASH_SHIFTS = (16, 15, 15)
MASK32 = 0xFFFFFFFF
COUNTER_PERIOD = 2**24
LEAST_TEMPERATURE = 1e-3  # as in engine/layers/draw.py
LOG_SCALE_RANGE = (-16.0, 4.0)


def _whole(w: Writer, value: int) -> str:
    return w.const(value, np.int64, "int")


def _hash(w: Writer, n: str, key: str = "") -> str:
    """Scrambled whole numbers below 2^32; `key` joins after the first product."""
    for shift, multiplier in zip(HASH_SHIFTS, (*HASH_MULTIPLIERS, None), strict=True):
        # ONNX shifts unsigned integers only; numbers here are positive, so division does it.
        n = w.node("BitwiseXor", n, w.node("Div", n, _whole(w, 1 << shift)))
        if multiplier:
            n = w.node("BitwiseAnd", w.node("Mul", n, _whole(w, multiplier)), _whole(w, MASK32))
            n, key = (w.node("BitwiseXor", n, key) if key else n), ""
    return n


def _stream_keys(w: Writer, op: Op, x: str) -> str:
    """Key of each stream of the batch, int64 [batch, 1, 1]."""
    batch = w.node("Squeeze", w.node("Shape", x, start=0, end=1), w.ints(0))
    streams = w.node("Range", _whole(w, 0), batch, _whole(w, 1))
    n = w.node("Mul", streams, _whole(w, HASH_MULTIPLIERS[0]))
    seed = op.attributes.get("seed_attribute")
    if seed in w.attributes:
        whole = w.node("Cast", w.attribute(seed), to=TensorProto.INT64)  # [1 or batch, 1]
        n = w.node("Add", n, w.node("Squeeze", _hash(w, whole), w.ints(1)))
    keys = _hash(w, w.node("BitwiseAnd", n, _whole(w, MASK32)))
    return str(w.node("Unsqueeze", keys, w.ints(1, 2)))


def noise_bits(w: Writer, op: Op, x: str, lanes: int) -> str:
    """Whole numbers below 2^32, [batch, lanes, time], for an operation with a seed and a counter
    of its own."""
    time = w.node("Squeeze", w.node("Shape", x, start=2, end=3), w.ints(0))
    count = w.node("Cast", w.state((1,)), to=TensorProto.INT64)  # [batch, 1] frames played so far
    period = _whole(w, COUNTER_PERIOD)
    after = w.node("Mod", w.node("Add", count, time), period)
    w.keep(w.node("Cast", after, to=TensorProto.FLOAT))
    frames = w.node("Range", _whole(w, 0), time, _whole(w, 1))
    frames = w.node("Mod", w.node("Add", count, frames), period)
    return _bits(w, op, x, w.node("Unsqueeze", frames, w.ints(1)), lanes)


def _bits(w: Writer, op: Op, x: str, numbers: str, lanes: int) -> str:
    """Whole numbers below 2^32, [batch, lanes, time], of whole `numbers` [batch, 1, time]."""
    n = w.node("Mul", numbers, _whole(w, lanes))
    places = np.arange(lanes)[:, None] + op.attributes["seed"]
    n = w.node("Add", n, w.const(places, np.int64, "lanes"))
    return _hash(w, w.node("BitwiseAnd", n, _whole(w, MASK32)), _stream_keys(w, op, x))


def numbered_bits(w: Writer, op: Op, x: str, lanes: int) -> str:
    """The same of the nearest whole numbers that a counter may be, in place of a counter."""
    # NaN compares false, so it becomes 0.
    held = w.node("Where", w.node("GreaterOrEqual", x, w.const(0.0)), x, w.const(0.0))
    held = w.node("Min", held, w.const(float(COUNTER_PERIOD - 1)))
    whole = w.node("Floor", held)
    above = w.node("GreaterOrEqual", w.node("Sub", held, whole), w.const(0.5))
    number, one = (w.node("Cast", v, to=TensorProto.INT64) for v in (whole, above))
    return _bits(w, op, x, w.node("Add", number, one), lanes)


def uniform(w: Writer, bits: str) -> str:
    """24 bits as a number in [-1, 1)."""
    top = w.node("Cast", w.node("Div", bits, _whole(w, 1 << 8)), to=TensorProto.FLOAT)
    return str(w.node("Sub", w.node("Mul", top, w.const(2.0**-23)), w.const(1.0)))


def _half_uniform(w: Writer, bits: str) -> str:
    top = w.node("Cast", w.node("Div", bits, _whole(w, 1 << 8)), to=TensorProto.FLOAT)
    return str(w.node("Mul", top, w.const(2.0**-24)))


def _weights(w: Writer, op: Op, logits: str) -> str:
    """exp(logits / temperature), the greatest 1: [batch, channels, classes, time]."""
    temperature = w.node("Max", w.attribute(op.attributes["temperature"], 4),
                         w.const(LEAST_TEMPERATURE))
    scaled = w.node("Sub", logits, w.node("ReduceMax", logits, w.ints(2), keepdims=1))
    return str(w.node("Exp", w.node("Div", scaled, temperature)))


def _likeliest(w: Writer, weights: str, classes: int, share: str) -> str:
    """Weights of the likeliest classes that together hold `share`, 0 for the others."""
    falling, _ = w.node("TopK", weights, w.ints(classes), outputs=2, axis=2)
    axis = w.const(2, np.int64, "axis")
    before = w.node("Sub", w.node("CumSum", falling, axis), falling)
    total = w.node("ReduceSum", weights, w.ints(2), keepdims=1)
    inside = w.node("Where", w.node("Less", before, w.node("Mul", total, share)), falling,
                    w.const(2.0))
    least = w.node("Min", w.node("ReduceMin", inside, w.ints(2), keepdims=1),
                   w.slice(falling, 0, 1, 2))
    kept = w.node("Or", w.node("GreaterOrEqual", weights, least),
                  w.node("GreaterOrEqual", share, w.const(1.0)))
    return str(w.node("Where", kept, weights, w.const(0.0)))


def _pick(w: Writer, weights: str, u: str) -> str:
    """Number of the first class whose sum exceeds `u` of the whole: int64 [batch, channels,
    time]."""
    reached = w.node("CumSum", weights, w.const(2, np.int64, "axis"))
    total = w.slice(reached, -1, ALL, 2)
    wanted = w.node("Mul", total, w.node("Unsqueeze", u, w.ints(2)))

    def count(true: str) -> str:
        return str(w.node("ReduceSum", w.node("Cast", true, to=TensorProto.INT64), w.ints(2),
                          keepdims=0))

    chosen = count(w.node("LessOrEqual", reached, wanted))
    return str(w.node("Min", chosen, count(w.node("Less", reached, total))))


def _parts(w: Writer, op: Op, x: str, noises: int) -> tuple[str, list[str]]:
    """The channels as [batch, out_channels, each, time], and `noises` arrays of bits."""
    out = op.output.channels
    each = op.inputs[0].channels // out
    bits = noise_bits(w, op, x, out * noises)
    bits = w.node("Reshape", bits, w.ints(0, out, noises, -1))
    split = [w.node("Squeeze", w.slice(bits, i, i + 1, 2), w.ints(2)) for i in range(noises)]
    return w.node("Reshape", x, w.ints(0, out, each, -1)), split


def categorical(w: Writer, op: Op, x: str) -> str:
    logits, (bits,) = _parts(w, op, x, 1)
    weights = _likeliest(w, _weights(w, op, logits), op.inputs[0].channels // op.output.channels,
                         w.attribute(op.attributes["top_p"], 4))
    chosen = _pick(w, weights, _half_uniform(w, bits))
    return str(w.node("Cast", chosen, to=TensorProto.FLOAT))


def logistic_mixture(w: Writer, op: Op, x: str) -> str:
    all_parts, (which, bits) = _parts(w, op, x, 2)
    logits, means, log_scales = w.node("Split", all_parts, axis=2, num_outputs=3, outputs=3)
    part = w.node("Unsqueeze", _pick(w, _weights(w, op, logits), _half_uniform(w, which)),
                  w.ints(2))
    mean = w.node("GatherElements", means, part, axis=2)
    low, high = (w.const(limit) for limit in LOG_SCALE_RANGE)
    log_scale = w.node("Clip", w.node("GatherElements", log_scales, part, axis=2), low, high)
    mean, log_scale = (w.node("Squeeze", v, w.ints(2)) for v in (mean, log_scale))
    odd = w.node("Div", bits, _whole(w, 1 << 9))
    odd = w.node("Add", w.node("Mul", odd, _whole(w, 2)), _whole(w, 1))
    rest = w.node("Sub", _whole(w, 1 << 24), odd)
    ratio = w.node("Div", w.node("Cast", odd, to=TensorProto.FLOAT),
                   w.node("Cast", rest, to=TensorProto.FLOAT))
    scale = w.node("Mul", w.attribute(op.attributes["temperature"], 3), w.node("Exp", log_scale))
    drawn = w.node("Add", mean, w.node("Mul", scale, w.node("Log", ratio)))
    limit = float(op.attributes["limit"])
    return str(w.node("Clip", drawn, w.const(-limit), w.const(limit)))


def embed(w: Writer, op: Op, x: str) -> str:
    table = op.weights["table"]
    last = w.const(float(len(table) - 1))
    # NaN compares false, so it becomes the first row.
    whole = w.node("Where", w.node("GreaterOrEqual", x, w.const(0.0)), x, w.const(0.0))
    number = w.node("Add", w.node("Min", whole, last), w.const(0.5))
    index = w.node("Cast", w.node("Squeeze", number, w.ints(1)), to=TensorProto.INT64)
    rows = w.node("Gather", w.const(table, name="table"), index)  # [batch, time, channels]
    return str(w.node("Transpose", rows, perm=[0, 2, 1]))
