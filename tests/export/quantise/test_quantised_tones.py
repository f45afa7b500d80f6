"""Pitch and harmonics in a quantised model: they stay float32, and so does the pitch between."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.layers import (
    Channels,
    Conv1d,
    ConvTranspose1d,
    Harmonics,
    LeakyReLU,
    Parallel,
    PitchTrack,
    PQMFSynthesis,
    Sequence,
    Streaming,
    Tanh,
)
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs, lower
from export.native.nodes import Program, outermost
from export.quantise.scales import cast, find_scales, find_weights
from tests.core.native_cases import describe, file_of, graph_of, method_of
from tests.engine.layers.test_pitch import tone

RATE, HOP, LATENTS, BANDS = 16000, 64, 4, 8
CODE = LATENTS + 2
FloatArray = NDArray[np.float32]


def encoder(loud_by: float = 1.0) -> Streaming:
    loud = Conv1d(12, LATENTS, 8, stride=4)
    loud.weight.data *= loud_by
    convs = Sequence(Conv1d(1, 12, 16, stride=16), LeakyReLU(12), loud)
    return Parallel(convs, PitchTrack(HOP, RATE), combine="concat")


def tones() -> Streaming:
    return Sequence(levels(), Harmonics(BANDS, HOP, RATE, 20))


def decoder() -> Streaming:
    plain = Sequence(Conv1d(CODE, 12, 3), LeakyReLU(12), ConvTranspose1d(12, 16, 8, 4),
                     PQMFSynthesis(16))
    return Sequence(Parallel(plain, tones()), Tanh(1))


def glide() -> FloatArray:
    time = np.arange(2 * RATE) / RATE
    return tone(220 * 2.0 ** np.sin(2 * time), "saw").astype(np.float32)[None]


def quantised(net: Streaming, x: FloatArray) -> tuple[bytes, Program]:
    description = describe(method_of(net))
    programs = lower({"forward": graph_of(net)}, description)
    cast(programs)
    signals = {"forward": torch.from_numpy(x)}
    find_weights(programs, {}, signals, find_scales(programs, {}, signals))
    return compile_programs(programs, description), programs["forward"]


def played(data: bytes, x: FloatArray) -> FloatArray:
    y: FloatArray = NativeModel(NativeFile.from_bytes(data)).process("forward", x[None])[0]
    return y


def net_of(*layers: Streaming) -> Streaming:
    torch.manual_seed(0)
    return Sequence(*layers).eval().requires_grad_(False)


def levels() -> Streaming:
    """Pitch and clarity, and an envelope made of all latents: what harmonics are made from."""
    envelope = Sequence(Conv1d(CODE, 12, 3), LeakyReLU(12), Conv1d(12, BANDS, 1))
    return Parallel(Channels(CODE, LATENTS, CODE), envelope, combine="concat")


def test_a_pitch_arrives_as_it_was_tracked() -> None:
    """Not in the steps of the latents beside it, which convolutions read."""
    x, net = glide(), net_of(encoder(400.0), levels())  # steps of several cents
    data, program = quantised(net, x)
    steps = [root.scale for node in program.nodes for root, _ in [outermost(node.out)]
             if root.channels == CODE]
    assert 1200 * max(steps) > 3, "cents"
    got, wanted = played(data, x), played(file_of(net), x)
    assert got.shape == wanted.shape == (2 + BANDS, x.shape[1] // HOP)
    assert np.ptp(wanted[0]) > 1.5
    assert np.array_equal(got[:2], wanted[:2])
    assert 0 < np.abs(got[2:] - wanted[2:]).max() < 0.1 * np.ptp(wanted[2:])


def test_all_of_a_model_but_tones_is_whole_numbers() -> None:
    """What plays a model with pitch: convolutions of int16 rows around operations of float32."""
    x, net = glide(), net_of(encoder(), decoder())
    data, program = quantised(net, x)
    table = NativeFile.from_bytes(data).ops("forward")
    assert all(op.dtype >= 2 for op in table if op.kind == "conv")
    for node in program.nodes:
        if node.kind in ("pitch_track", "harmonics"):
            assert not any(root.scale for root in (outermost(node.out)[0],
                                                   outermost(node.inputs[0].root)[0]))
    got, wanted = played(data, x), played(file_of(net), x)
    assert wanted.std() > 0.01
    assert (got - wanted).std() < 0.05 * wanted.std()
    tone_alone = played(quantised(net_of(encoder(), tones()), x)[0], x)
    assert tone_alone.std() > 0.003, "harmonics sound"


def test_a_decoder_reads_the_pitch_it_is_given() -> None:
    """Alone its input is float32: convolutions read a copy in whole numbers."""
    code = np.concatenate((np.random.default_rng(0).normal(0, 40, (LATENTS, 200)),
                           np.linspace(-1, 1, 200)[None], np.full((1, 200), 0.9)))
    code = code.astype(np.float32)
    net = net_of(levels())
    got, wanted = played(quantised(net, code)[0], code), played(file_of(net), code)
    assert np.array_equal(got[:2], wanted[:2])
