"""Small models for the instrument's tests, exported when they are needed."""

from __future__ import annotations

from functools import cache
from math import log, pi

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import Attribute, Description, Method
from engine.graph import Builder, Graph
from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    Exp,
    Fixed,
    LeakyReLU,
    Parallel,
    Sequence,
    Streaming,
)
from engine.layers.fixed import FixedSnake
from engine.layers.pointwise import Guard
from engine.models.raw_vae import RawVAE
from engine.models.raw_vae_config import RawVAEConfig
from engine.models.registry import build
from export.native.export import compile_graphs

FloatArray = NDArray[np.float32]


def _graph(name: str, channels: int, *nets: Streaming) -> Graph:
    build = Builder(name, channels)
    x = Guard(channels).lower(build, build.input)
    for net in nets:
        x = net.lower(build, x)
    return build.finish(x)


def _file(name: str, rate_hz: int, methods: dict[str, tuple[Method, Graph]],
          *attributes: Attribute) -> bytes:
    description = Description(name, "test", rate_hz, {k: m for k, (m, _) in methods.items()},
                              {a.name: a for a in attributes})
    return compile_graphs({k: g for k, (_, g) in methods.items()}, description)


@cache
def wire(frame: int = 16, rate_hz: int = 48000, gain: float = 1.0, channels: int = 1,
         name: str = "forward") -> bytes:
    """An effect hands audio through, times `gain`, in frames of `frame` samples."""
    conv = Conv1d(channels, channels, 1, bias=False)
    conv.requires_grad_(False)
    conv.weight.copy_(gain * torch.eye(channels)[:, :, None])
    names = tuple("lr"[:channels])
    method = Method(name, channels, 1, channels, 1, names, names, granularity_samples=frame)
    return _file("wire", rate_hz, {name: (method, _graph(name, channels, conv))})


def _blocks(latents: int, ratio: int) -> tuple[Streaming, Streaming]:
    """An encoder and a decoder that invert each other: the first rows of an orthogonal matrix."""
    basis = torch.linalg.qr(torch.randn(ratio, ratio, generator=torch.manual_seed(1)))[0]
    encoder, decoder = Conv1d(1, latents, ratio, stride=ratio, bias=False), ConvTranspose1d(
        latents, 1, ratio, ratio, bias=False)
    for net, weights in ((encoder, basis[:latents][:, None, :]), (decoder, basis[:latents])):
        net.requires_grad_(False)
        net.weight.copy_(weights.reshape(net.weight.shape))
    return encoder, decoder


@cache
def coder(latents: int = 4, ratio: int = 16, rate_hz: int = 48000,
          ranges: tuple[float, float] | None = None, last: str | None = None) -> bytes:
    """`encode` and `decode`, linear; with `ranges` in its description. `last`: the last latent's
    label, if it is another."""
    encoder, decoder = _blocks(latents, ratio)
    names = tuple(f"latent {i + 1}" for i in range(latents))
    names = names if last is None else (*names[:-1], last)
    methods = {
        "encode": (Method("encode", 1, 1, latents, ratio, ("audio",), names),
                   _graph("encode", 1, encoder)),
        "decode": (Method("decode", latents, ratio, 1, 1, names, ("audio",)),
                   _graph("decode", latents, decoder)),
    }
    data = _file("coder", rate_hz, methods)
    if ranges is None:
        return data
    import json

    from engine.players.native_model import NativeFile
    from export.native.export import with_metadata

    metadata = json.loads(NativeFile.from_bytes(data).metadata)
    metadata["latent_ranges"] = [list(ranges)] * latents
    return with_metadata(data, json.dumps(metadata))


@cache
def generator(labels: tuple[str, ...] = ("a", "b", "c"), ratio: int = 32,
              rate_hz: int = 48000) -> bytes:
    """`generate` alone: latents in, audio out."""
    torch.manual_seed(3)
    net = Sequence(Conv1d(len(labels), 8, 1), LeakyReLU(8), ConvTranspose1d(8, 1, ratio, ratio))
    net.requires_grad_(False)
    method = Method("generate", len(labels), ratio, 1, 1, labels, ("audio",))
    return _file("generator", rate_hz, {
        "generate": (method, _graph("generate", len(labels), net))})


@cache
def vae(rate_hz: int = 16000, compression: int = 64, seed: int = 0, channels: int = 1) -> bytes:
    """A small autoencoder of the family that is trained, untrained, with all three methods."""
    torch.manual_seed(seed)
    model = RawVAE(RawVAEConfig(sample_rate_hz=rate_hz, latents=6, compression=compression,
                                bands=8, widths=(12, 16, 20)[: 2 if compression <= 32 else 3],
                                channels=channels, shared_noise=channels == 2))
    model = model.eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(1.4)  # untrained nets are quiet
    description = Description("vae", "raw_vae", rate_hz, model.methods, model.attributes)
    return compile_graphs({m: model.graph(m) for m in model.methods}, description)


@cache
def composer(latents: int = 4, ratio: int = 16, inputs: int = 3, kind: str = "chained",
             called: tuple[str, str, str] = ("generate", "encode", "decode")) -> bytes:
    """A coder with a method that makes latents for its decoder; kind "fused": one that makes the
    same audio by itself; "unfit": one that makes a latent less than wanted. `called`: the names of
    generator, encoder and decoder, who have these roles whatever they are called."""
    make, take, play = called
    encoder, decoder = _blocks(latents, ratio)
    torch.manual_seed(5)
    made = latents - (kind == "unfit")
    net = Sequence(Conv1d(inputs, 8, 1), LeakyReLU(8), Conv1d(8, made, 3))
    net.requires_grad_(False)
    labels = tuple(f"mood {i + 1}" for i in range(inputs))
    names = tuple(f"latent {i + 1}" for i in range(latents))
    if kind == "fused":
        method = Method(make, inputs, ratio, 1, 1, labels, ("audio",), role="generate")
        graph = _graph(make, inputs, net, Guard(latents), decoder)
        return _file("composer", 48000, {make: (method, graph)})
    return _file("composer", 48000, {
        make: (Method(make, inputs, ratio, made, ratio, labels, names[:made], role="generate"),
               _graph(make, inputs, net)),
        take: (Method(take, 1, 1, latents, ratio, ("audio",), names, role="encode"),
               _graph(take, 1, encoder)),
        play: (Method(play, latents, ratio, 1, 1, names, ("audio",), role="decode"),
               _graph(play, latents, decoder)),
    })


LOOP_RATE, COMPRESSION, CHUNK = 16000, 128, 8  # 125 latent rows a second, 64 ms for a chunk


@cache
def loops(seed: int = 0) -> bytes:
    """A small flow of loops with random weights and a coder without noise: all of its methods."""
    torch.manual_seed(seed)
    shape = {"latents": 4, "compression": COMPRESSION}
    model = build("latent_flow", {
        **shape, "sample_rate_hz": LOOP_RATE, "chunk": CHUNK, "codes": 3, "levels": 2, "width": 12,
        "layers": 1, "window_width": 6, "history_width": 8, "history": 2, "flow_width": 8,
        "styles": ["a", "b"], "coder": {
            **shape, "family": "raw_vae", "sample_rate_hz": LOOP_RATE, "bands": 8,
            "strides": [4, 4], "widths": [6, 8, 10], "noise": False}})
    model = model.eval().requires_grad_(False)
    for parameter in model.parameters():
        scale = parameter.abs().mean().clamp_min(0.05)
        parameter.add_(0.2 * scale * torch.randn(parameter.shape))
    for parameter in model.windows.heads[2].parameters():
        parameter.mul_(6)  # codes all over their range
    next(model.plan.parameters())[:, -3:].mul_(8)  # which are heard
    return compile_graphs({m: model.graph(m) for m in model.methods}, model.describe("loops"))


@cache
def beats(chunk: int = CHUNK) -> bytes:
    """Makes a click where the bar's quarters are, by `phase` and `tempo` alone; its latents are the
    place in the bar at each row and what it moves in a thousand samples. `code 1` is the level."""
    said, latents = ("phase", "tempo", "code 1"), ("place", "speed", "level")
    speed = Sequence(Fixed(torch.tensor([[[0.0], [log(2)], [0.0]]]),
                           torch.tensor([log(1000 * 128 / 240 / LOOP_RATE)])), Exp(1))
    told = Parallel(Fixed(torch.tensor([[[1.0], [0.0], [0.0]]])), speed,
                    Fixed(torch.tensor([[[0.0], [0.0], [1.0]]])), combine="concat")
    rows = ConvTranspose1d(3, 3, chunk, chunk, bias=False)
    samples = ConvTranspose1d(3, 2, COMPRESSION, COMPRESSION, bias=False)
    for net in (rows, samples):
        net.requires_grad_(False)
        net.weight.zero_()
    rows.weight[:] = torch.eye(3)[:, :, None]
    rows.weight[1, 0] = torch.arange(chunk) * COMPRESSION / 1000
    samples.weight[0, 0] = 8 * pi
    samples.weight[1, 0] = 8 * pi * torch.arange(COMPRESSION) / 1000
    samples.weight[2, 1] = 1.0
    cosine = Parallel(Fixed(torch.tensor([[[1.0], [0.0]]])), Sequence(
        Fixed(torch.tensor([[[1.0], [0.0]]])), FixedSnake(1)), combine="concat")
    click = Sequence(cosine, Fixed(torch.tensor([[[200.0], [-200.0]]]), torch.tensor([0.4])),
                     LeakyReLU(1, 0.0))
    level = Fixed(torch.tensor([[[0.0], [1.0]]]))
    methods = {
        "generate": (Method("generate", 3, chunk * COMPRESSION, 3, COMPRESSION, said, latents,
                            role="generate"), _graph("generate", 3, told, rows)),
        "decode": (Method("decode", 3, COMPRESSION, 1, 1, latents, ("audio",)),
                   _graph("decode", 3, samples, Parallel(click, level))),
    }
    return _file("beats", LOOP_RATE, methods)
