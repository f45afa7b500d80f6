"""How each operation of `engine/graph.py` is written in ONNX: one function per kind.

The exported graph is made from the same flat list that the native compiler reads, node by node, so
it holds nothing but the arithmetic: weights are folded by `lower`, a GRU is one GRU node for any
number of frames, and a convolution is Concat (cache, block), Slice (new cache), Conv.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from engine.description import Attribute
from engine.errors import TudorError
from engine.graph import Graph, Op
from engine.ops import KINDS
from export.onnx import draws, notes, spectra, tones
from export.onnx.loop import write_loop
from export.onnx.writer import ALL, Writer

INPUT_LIMIT = 8.0  # of the guard, as in engine/layers/pointwise.py
EXP_LIMIT = 88.0
NOISE_ROUNDS = 4
LOG_STD_RANGE = (-10.0, 2.0)


# --- one function per operation: (writer, operation, input names) -> output name ----------------


def guard(w: Writer, op: Op, x: str) -> str:
    # NaN compares false and infinity exceeds the largest float32: one test finds both.
    largest = w.const(np.finfo(np.float32).max)
    finite = w.node("LessOrEqual", w.node("Abs", x), largest)
    clean = w.node("Where", finite, x, w.const(0.0))
    return w.node("Clip", clean, w.const(-INPUT_LIMIT), w.const(INPUT_LIMIT))


def conv1d(w: Writer, op: Op, x: str) -> str:
    a = op.attributes
    span = (a["kernel_size"] - 1) * a["dilation"] + 1
    cache = span - a["stride"]
    if cache > 0:
        x = w.remember(x, op.inputs[0].channels, cache)
    elif cache < 0:  # kernel shorter than stride: the oldest frames of each group are not seen
        x = w.slice(x, -cache, ALL, 2)
    return w.node("Conv", x, *_weights(w, op), strides=[a["stride"]], group=a["groups"],
                  dilations=[a["dilation"]], kernel_shape=[a["kernel_size"]])


def conv_transpose1d(w: Writer, op: Op, x: str) -> str:
    a = op.attributes
    kernel, stride = a["kernel_size"], a["stride"]
    cache = -(-kernel // stride) - 1
    if cache:
        x = w.remember(x, op.inputs[0].channels, cache)
    # Padding of a transposed convolution cuts: what rang before the block, what is incomplete.
    return w.node("ConvTranspose", x, *_weights(w, op), strides=[stride], group=a["groups"],
                  kernel_shape=[kernel], pads=[cache * stride, kernel - stride])


def _weights(w: Writer, op: Op) -> list[str]:
    return [w.const(op.weights[k], name=k) for k in ("weight", "bias") if k in op.weights]


def _gates(matrix: NDArray[np.float32], order: tuple[int, ...]) -> NDArray[np.float32]:
    """Rows of PyTorch's gates in ONNX's order, with a leading axis for the one direction."""
    parts = np.split(matrix, len(order))
    return np.concatenate([parts[i] for i in order])[None]


def _recurrent(w: Writer, op: Op, x: str, kind: str, order: tuple[int, ...], states: int,
               **extra: int) -> str:
    hidden = op.attributes["hidden"]
    weights = [_gates(op.weights[k], order) for k in ("weight_ih", "weight_hh")]
    biases = [_gates(op.weights[k], order) for k in ("bias_ih", "bias_hh")]
    axis0, axis1 = w.ints(0), w.ints(1)
    past = [w.node("Unsqueeze", w.state((hidden,)), axis0) for _ in range(states)]
    y, *after = w.node(
        kind, w.node("Transpose", x, perm=[2, 0, 1]),  # [time, batch, in]
        *(w.const(m, name="weight") for m in weights),
        w.const(np.concatenate(biases, axis=1), name="bias"), "", *past,
        outputs=1 + states, hidden_size=hidden, **extra,
    )
    for value in after:
        w.keep(w.node("Squeeze", value, axis0))
    y = w.node("Squeeze", y, axis1)  # [time, 1, batch, hidden] -> [time, batch, hidden]
    return str(w.node("Transpose", y, perm=[1, 2, 0]))


def gru(w: Writer, op: Op, x: str) -> str:
    # r z n in PyTorch, z r n in ONNX; PyTorch resets after the hidden product.
    return _recurrent(w, op, x, "GRU", (1, 0, 2), 1, linear_before_reset=1)


def lstm(w: Writer, op: Op, x: str) -> str:
    return _recurrent(w, op, x, "LSTM", (0, 3, 1, 2), 2)  # i f g o -> i o f g


def leaky_relu(w: Writer, op: Op, x: str) -> str:
    return w.node("LeakyRelu", x, alpha=float(op.attributes["slope"]))


def snake(w: Writer, op: Op, x: str) -> str:
    alpha = op.weights["alpha"][:, None]
    wave = w.node("Sin", w.node("Mul", x, w.const(alpha, name="alpha")))
    bump = w.node("Div", w.node("Mul", wave, wave), w.const(alpha, name="alpha"))
    return w.node("Add", x, bump)


def exp(w: Writer, op: Op, x: str) -> str:
    return w.node("Exp", w.node("Min", x, w.const(EXP_LIMIT)))


def _floored(kind: str) -> Callable[..., str]:
    """An operation of max(x, floor)."""

    def write(w: Writer, op: Op, x: str) -> str:
        return str(w.node(kind, w.node("Max", x, w.const(op.attributes["floor"]))))

    return write


def norm(w: Writer, op: Op, x: str) -> str:
    axis = w.ints(1)
    if op.attributes["centre"]:
        x = w.node("Sub", x, w.node("ReduceMean", x, axis, keepdims=1))
    square = w.node("ReduceMean", w.node("Mul", x, x), axis, keepdims=1)
    size = w.node("Sqrt", w.node("Add", square, w.const(op.attributes["epsilon"])))
    y = w.node("Mul", w.node("Div", x, size), w.const(op.weights["weight"][:, None], name="weight"))
    if "bias" not in op.weights:
        return str(y)
    return str(w.node("Add", y, w.const(op.weights["bias"][:, None], name="bias")))


def attention(w: Writer, op: Op, x: str) -> str:
    heads, window, channels = op.attributes["heads"], op.attributes["window"], op.output.channels
    size = channels // heads
    one, time = w.ints(1), w.node("Squeeze", w.node("Shape", x, start=2, end=3), w.ints(0))
    steps = w.node("Range", w.const(0, np.int64), time, w.const(1, np.int64))  # [time]
    q = w.node("Reshape", w.slice(x, 0, channels, 1), w.ints(0, heads, size, -1, 1))
    both = w.remember(w.slice(x, channels, 3 * channels, 1), 2 * channels, window - 1)
    places = w.node("Add", w.node("Unsqueeze", steps, one), w.const(np.arange(window), np.int64))
    rows = w.node("Gather", both, places, axis=2)  # [batch, 2 * channels, time, window]
    k, v = (w.node("Reshape", w.slice(rows, at, at + channels, 1),
                   w.ints(0, heads, size, -1, window)) for at in (0, channels))
    count = w.state((1,))  # [batch, 1] frames in the state
    there = w.node("Add", count, w.node("Cast", steps, to=TensorProto.FLOAT))  # [batch, time]
    valid = w.node("LessOrEqual", w.const(np.arange(window)[::-1]),
                   w.node("Unsqueeze", there, w.ints(1, 3)))  # [batch, 1, time, window]
    after = w.node("Add", count, w.node("Cast", time, to=TensorProto.FLOAT))
    w.keep(w.node("Min", after, w.const(window - 1)))
    scores = w.node("ReduceSum", w.node("Mul", q, k), w.ints(2), keepdims=0)
    scores = w.node("Mul", scores, w.const(size**-0.5))
    weight = w.node("Softmax", w.node("Where", valid, scores, w.const(-1e30)), axis=-1)
    v = w.node("Where", w.node("Unsqueeze", valid, one), v, w.const(0.0))
    y = w.node("ReduceSum", w.node("Mul", w.node("Unsqueeze", weight, w.ints(2)), v),
               w.ints(4), keepdims=0)
    return str(w.node("Reshape", y, w.ints(0, channels, -1)))


def gated(w: Writer, op: Op, x: str) -> str:
    a, b = w.node("Split", x, axis=1, num_outputs=2, outputs=2)
    if op.attributes["activation"] == "tanh":
        a = w.node("Tanh", a)
    return w.node("Mul", a, w.node("Sigmoid", b))


def channel_slice(w: Writer, op: Op, x: str) -> str:
    return w.slice(x, op.attributes["start"], op.attributes["stop"], 1)


def fractional_delay(w: Writer, op: Op, x: str, lag: str) -> str:
    """As `engine/layers/fractional_delay.py` says."""
    least, most, ahead = (op.attributes[key] for key in ("least", "most", "ahead"))
    before = most - ahead + 1
    past = w.remember(x, 1, before)
    one, low = w.const(1.0), w.const(float(least))
    lag = w.node("Where", w.node("GreaterOrEqual", lag, one), lag, one)  # not a number: 1
    times = w.node("Add", w.node("Floor", w.node("Div", low, lag)), one)
    lag = w.node("Mul", lag, w.node("Where", w.node("Less", lag, low), times, one))
    back = w.node("Max", w.node("Sub", w.node("Min", lag, w.const(float(most))),
                                w.const(float(ahead))), w.const(0.0))
    whole = w.node("Floor", back)
    time = w.node("Squeeze", w.node("Shape", x, start=2, end=3), w.ints(0))
    newest = w.node("Range", w.const(0, np.int64), time, w.const(1, np.int64))
    place = w.node("Sub", w.node("Add", newest, w.ints(before)),
                   w.node("Cast", whole, to=TensorProto.INT64))
    late = w.node("GatherElements", past, place, axis=2)
    early = w.node("GatherElements", past, w.node("Sub", place, w.ints(1)), axis=2)
    slope = w.node("Mul", w.node("Sub", back, whole), w.node("Sub", early, late))
    return str(w.node("Add", late, slope))


def delay(w: Writer, op: Op, x: str) -> str:
    frames = op.attributes["frames"]
    return w.slice(w.remember(x, op.inputs[0].channels, frames), 0, -frames, 2)


def affine(w: Writer, op: Op, x: str) -> str:
    scale, bias = (w.attribute(op.attributes[name], 3) for name in ("scale", "bias"))
    return w.node("Add", w.node("Mul", x, scale), bias)


def control(w: Writer, op: Op, x: str) -> str:
    batch, time = (w.node("Shape", x, start=axis, end=axis + 1) for axis in (0, 2))
    shape = w.node("Concat", batch, w.ints(op.output.channels), time, axis=0)
    return str(w.node("Expand", w.attribute(op.attributes["attribute"], 3), shape))


def noise_multiply(w: Writer, op: Op, x: str) -> str:
    return w.node("Mul", x, draws.uniform(w, draws.noise_bits(w, op, x, op.output.channels)))


def _normal(w: Writer, op: Op, x: str, noise_bits: Callable[..., str]) -> str:
    u = draws.uniform(w, noise_bits(w, op, x, op.output.channels * NOISE_ROUNDS))
    a, b, c, d = w.node("Split", u, axis=1, num_outputs=NOISE_ROUNDS, outputs=NOISE_ROUNDS)
    g = w.node("Add", w.node("Add", a, b), w.node("Add", c, d))
    return str(w.node("Mul", g, w.const(0.75**0.5)))


def keyed_noise(w: Writer, op: Op, x: str) -> str:
    return _normal(w, op, x, draws.numbered_bits)


def latent_sample(w: Writer, op: Op, x: str) -> str:
    mean, log_std = w.node("Split", x, axis=1, num_outputs=2, outputs=2)
    g = _normal(w, op, x, draws.noise_bits)
    low, high = (w.const(limit) for limit in LOG_STD_RANGE)
    spread = w.node("Exp", w.node("Clip", log_std, low, high))
    spread = w.node("Mul", w.attribute(op.attributes["temperature"], 3), spread)
    return w.node("Add", mean, w.node("Mul", spread, g))


def _plain(kind: str, **attributes: int) -> Callable[..., str]:
    """An operation that ONNX has under another name."""

    def write(w: Writer, op: Op, *inputs: str) -> str:
        return str(w.node(kind, *inputs, **attributes))

    return write


EMIT: dict[str, Callable[..., str]] = {
    "guard": guard, "conv1d": conv1d, "conv_transpose1d": conv_transpose1d, "gru": gru,
    "lstm": lstm, "leaky_relu": leaky_relu, "elu": _plain("Elu"), "tanh": _plain("Tanh"),
    "sigmoid": _plain("Sigmoid"), "snake": snake, "gated": gated, "add": _plain("Add"),
    "exp": exp, "log": _floored("Log"), "sqrt": _floored("Sqrt"), "softplus": _plain("Softplus"),
    "norm": norm, "attention": attention,
    "mul": _plain("Mul"), "concat": _plain("Concat", axis=1), "slice": channel_slice,
    "fractional_delay": fractional_delay, "delay": delay, "affine": affine,
    "noise_multiply": noise_multiply, "keyed_noise": keyed_noise,
    "latent_sample": latent_sample, "categorical": draws.categorical,
    "logistic_mixture": draws.logistic_mixture, "embed": draws.embed, "control": control,
    "pitch_track": tones.pitch_track, "harmonics": tones.harmonics,
    "note": notes.note, "spectrum": spectra.spectrum, "resynth": spectra.resynth,
}
IN_LOOPS = ("feed",)  # what only a loop knows how to write


def write_graph(graph: Graph, attributes: dict[str, Attribute]) -> tuple[Writer, str]:
    """All operations of `graph`; returns the writer and the name of its output (input: "x")."""
    writer = Writer(attributes)
    names = {graph.input.index: "x"}
    for op in graph.ops:
        if op.kind not in EMIT and op.kind not in IN_LOOPS:
            raise TudorError(f"operation {op.kind!r} ({op.name}) has no ONNX form yet")
        if op.loop:
            if op is graph.loop[0]:
                names.update(write_loop(writer, graph, names, EMIT))
            continue
        inputs = [names[value.index] for value in op.inputs]
        names[op.output.index] = EMIT[op.kind](writer, op, *inputs)
        if KINDS[op.kind].is_convolution:
            writer.layers[op.name] = writer.nodes[-1].name
    return writer, names[graph.output.index]
