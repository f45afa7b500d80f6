"""Writes the seeds of the fuzzer: small files that together hold every kind of operation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engine.description import Attribute
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    CausalAttention,
    Control,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Embed,
    Exp,
    Film,
    GatedUnit,
    Identity,
    LayerNorm,
    LeakyReLU,
    Log,
    NoiseMultiply,
    Parallel,
    Residual,
    RMSNorm,
    Sequence,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    Streaming,
    Tanh,
)
from engine.layers.pointwise import Guard
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs, compile_programs, lower
from tests.core import control_cases, loop_cases
from tests.core.loop_cases import tiers, wavenet
from tests.core.native_cases import case, describe, graph_of, method_of, tones
from tests.core.native_quantised_cases import compiled, quantise

FOLDER = Path(__file__).with_name("corpus")
OTHER_FORMS = (("conv", "bf16w"), ("conv", "q16x8"), ("gated", "q16x8"), ("gated", "wide"),
               ("grouped", "q16x8"), ("unfused", "q16x8"), ("loop", "q16x8"), ("tiers", "q16x8"),
               ("controls", "q16x8"))


def nets() -> dict[str, Streaming]:
    torch.manual_seed(0)
    return {
        "conv": Sequence(Guard(2), Conv1d(2, 6, 3, dilation=2), LeakyReLU(6),
                         Residual(Conv1d(6, 6, 3), Snake(6)), ConvTranspose1d(6, 4, 5, 2), Tanh(4),
                         Conv1d(4, 2, 4, stride=2)),
        "grouped": Sequence(Conv1d(4, 8, 3, groups=2), ConvTranspose1d(8, 4, 4, 2, groups=2),
                            Conv1d(4, 4, 3, groups=4), ELU(4)),
        "gated": Sequence(Conv1d(1, 4, 3), Residual(Conv1d(4, 8, 2), GatedUnit(8)),
                          Parallel(Conv1d(4, 2, 1), Identity(4), combine="concat")),
        "rnn": Sequence(LSTM(1, 4), GRU(4, 3), NoiseMultiply(3)),
        "unfused": Sequence(Parallel(Identity(2), Tanh(2)), GatedUnit(2), Delay(1, 3), Sigmoid(1)),
        "shared": Sequence(Conv1d(2, 4, 2), RMSNorm(4), CausalAttention(4, 2, 5), Softplus(4),
                           Log(4), LayerNorm(4), Exp(4), Sqrt(4), Conv1d(4, 1, 1)),
        "long": Sequence(Conv1d(1, 1, 3, dilation=90), Conv1d(1, 1, 1)),
        "loop": wavenet(1, 4, 5),
        "tiers": tiers(3),
        "tones": tones(1),
        "controls": Sequence(Conv1d(1, 3, 2), Film(3, "tone", 2), Parallel(
            Identity(3), Sequence(Control(3, "class"), Embed(4, 2)), Control(3, "weights", 3),
            combine="concat"), Conv1d(8, 1, 2)),
    }


def attributes_of(net: Streaming) -> dict[str, Attribute]:
    return (control_cases if "tone" in net.uses else loop_cases).attributes_of(net)


def started(name: str, form: str = "") -> bytes:
    """A seed that starts where another one, fed silence, comes to rest."""
    net = nets()[name].eval()
    description = describe(method_of(net), attributes_of(net))
    programs = lower({"forward": graph_of(net)}, description)
    if form:
        quantise(programs["forward"], form)
    player = NativeModel(NativeFile.from_bytes(compile_programs(programs, description)))
    spec = player.methods["forward"]
    rows = 64 * spec.frame_samples // spec.in_ratio
    player.process("forward", np.zeros((1, spec.in_channels, rows), np.float32))
    return compile_programs(programs, description, {"forward": player.save_start("forward")})


def write_starts() -> None:
    """Alone too: seeds of before are not made anew."""
    (FOLDER / "rnn-start.tudor").write_bytes(started("rnn"))
    (FOLDER / "conv-q16x8-start.tudor").write_bytes(started("conv", "q16x8"))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, net in nets().items():
        graph, description = graph_of(net.eval()), describe(method_of(net), attributes_of(net))
        data = compile_graphs({"forward": graph}, description)
        (FOLDER / f"{name}.tudor").write_bytes(data)
    for name, form in OTHER_FORMS:
        net = nets()[name].eval()
        data = compiled(graph_of(net), describe(method_of(net), attributes_of(net)), form)
        (FOLDER / f"{name}-{form}.tudor").write_bytes(data)
    (FOLDER / "latents.tudor").write_bytes(case("latents"))
    write_starts()
