"""Bare nets as native files in every number format."""

from __future__ import annotations

import torch

from engine.layers.base import Streaming
from export.native.export import compile_programs, lower
from export.native.nodes import CONVS
from export.quantise.scales import cast, find_scales, find_weights
from tests.core.native_cases import describe, graph_of, method_of, noise


def file_in(net: Streaming, dtype: str) -> bytes:
    """`net` alone in float32, bf16w or q16x8, calibrated with noise."""
    method = method_of(net)
    description = describe(method)
    programs = lower({"forward": graph_of(net)}, description)
    if dtype == "bf16w":
        for node in programs["forward"].nodes:
            node.dtype = "bfloat16" if node.kind in CONVS else node.dtype
    if dtype == "q16x8":
        cast(programs)
        signals = {"forward": torch.from_numpy(noise(net.in_channels, method.in_frames * 64)[0])}
        find_weights(programs, {}, signals, find_scales(programs, {}, signals))
    return compile_programs(programs, description)
