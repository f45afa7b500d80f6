"""Sums of convolutions as native nodes hold them: weights [taps * in, outputs] over rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from export.native.nodes import Node


def run_sums(node: Node, index: int, weight: Tensor, inputs: list[Tensor]) -> Tensor:
    """Sums of one run: `weight` [taps * in (+ side), outputs] over rows [channels, time] of the
    inputs -> [outputs, time']."""
    kernel, stride = node.params["kernel"], node.params["stride"]
    dilation, groups = node.params["dilation"], node.params["groups"]
    x, outputs = inputs[0], weight.shape[1]
    depthwise = node.kind == "depthwise"
    if not depthwise and groups > 1:
        size = len(x) // groups
        group = index // node.phases
        x = x[group * size : (group + 1) * size]
    per_tap = 1 if depthwise else len(x)
    main = weight[: kernel * per_tap].reshape(kernel, per_tap, outputs).permute(2, 1, 0)
    span = (kernel - 1) * dilation
    # the window of the first frame ends at the newest row of its group of `stride`
    padded = F.pad(x, (span - stride + 1, 0))
    y = F.conv1d(padded[None], main.contiguous(), stride=stride, dilation=dilation,
                 groups=outputs if depthwise else 1)[0]
    if len(inputs) > 1:
        y = y + weight[kernel * per_tap :].T @ inputs[1]
    return y


def run_patches(node: Node, index: int, inputs: list[Tensor], frames: Tensor) -> Tensor:
    """What the weights of a run are multiplied with at some of its frames: [taps * in (+ side),
    frames], or for a depthwise one [channels, taps, frames]."""
    kernel, stride, dilation = (node.params[key] for key in ("kernel", "stride", "dilation"))
    x = inputs[0]
    if node.kind != "depthwise" and node.params["groups"] > 1:
        size = len(x) // node.params["groups"]
        group = index // node.phases
        x = x[group * size : (group + 1) * size]
    span = (kernel - 1) * dilation
    first = frames * stride + stride - 1 - span
    padded = F.pad(x, (span, 0))
    taps = torch.stack([padded[:, first + span + tap * dilation] for tap in range(kernel)])
    if node.kind == "depthwise":
        return taps.transpose(0, 1)
    parts = [taps.flatten(0, 1)]
    if len(inputs) > 1:
        parts.append(inputs[1][:, frames])
    return torch.cat(parts)


def joined(node: Node, runs: list[Tensor]) -> Tensor:
    """The runs of a node side by side: phases in time, groups in channels."""
    phases, groups = node.phases, node.params["groups"]
    if node.kind == "depthwise" or (groups == 1 and phases == 1):
        return runs[0]
    if groups > 1:
        y = torch.stack(runs).unflatten(0, (groups, phases))  # [groups, phases, size, time]
        y = y.transpose(1, 2).flatten(0, 1)  # [channels, phases, time]
    else:
        y = runs[0].unflatten(0, (phases, -1)).transpose(0, 1)
    return y.transpose(1, 2).flatten(1)
