"""Weights as the kernels of the native runtime read them: engine/core/kernels.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.players import native_format as fmt

FloatArray = NDArray[np.float32]
Bytes = NDArray[np.uint8]
INT_STRIP = 32  # outputs side by side in weights that are whole numbers


def pack_dense(weight: FloatArray, bias: FloatArray | None) -> FloatArray:
    """[taps * in, outputs] and [outputs]:

    bias, rounded up to 16 | strips of 16 outputs, each [taps * in][16]; the last is narrower."""
    return np.concatenate([_head(bias, weight.shape[1]), _strips(weight)])


def bfloat16(values: FloatArray) -> FloatArray:
    """float32 rounded to the nearest bfloat16, ties to even: its upper 16 bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def pack_bfloat16(weight: FloatArray, bias: FloatArray | None) -> Bytes:
    """As `pack_dense`, but of the weights only the upper halves, rounded to nearest even."""
    upper = (bfloat16(_strips(weight)).view(np.uint32) >> np.uint32(16)).astype("<u2")
    return np.concatenate([_bytes(_head(bias, weight.shape[1])), _bytes(upper)])


def pack_integers(planes: Sequence[NDArray[np.int8]], step: FloatArray, bias: NDArray[np.int32],
                  taps: Sequence[int]) -> Bytes:
    """Whole weights of a convolution: planes[0] + 256 * planes[1] if there are two, each int8
    [rows, outputs]. `step` [outputs]: real value of one unit of the sum; `bias` [outputs] in such
    units. `taps`: channels of each tap in order, those of a side input last."""
    if sum(taps) != len(planes[0]):
        raise ValueError(f"taps hold {sum(taps)} channels, weights {len(planes[0])} rows")
    parts = [_integer_head(step, bias)]
    for plane in planes:
        padded = _whole_pairs(plane, taps)  # [2 * pairs, outputs]
        for first in range(0, plane.shape[1], INT_STRIP):
            strip = padded[:, first : first + INT_STRIP]
            half = -(-strip.shape[1] // 2)
            strip = np.pad(strip, ((0, 0), (0, 2 * half - strip.shape[1])))
            # [pairs, first or second of the pair, half of the strip, output] -> words of four
            words = strip.reshape(-1, 2, 2, half).transpose(0, 3, 1, 2)
            parts.append(_bytes(np.ascontiguousarray(words)))
    return np.concatenate(parts)


def pack_integer_depthwise(planes: Sequence[NDArray[np.int8]], step: FloatArray,
                           bias: NDArray[np.int32]) -> Bytes:
    """Whole weights of a depthwise convolution: planes [kernel, channels]."""
    return np.concatenate([_integer_head(step, bias), *map(_bytes, planes)])


def _head(values: NDArray[np.generic] | None, outputs: int) -> FloatArray:
    """One number per output, rounded up to whole vectors."""
    head = np.zeros(-(-outputs // 16) * 16, np.float32)
    if values is not None:
        head[:outputs] = values
    return head


def _strips(weight: FloatArray) -> FloatArray:
    count, outputs = weight.shape
    strip, parts = fmt.constants()["STRIP"], []
    for first in range(0, outputs, strip):
        part = weight[:, first : first + strip]
        width = -(-part.shape[1] // 4) * 4
        padded = np.zeros((count, width), np.float32)
        padded[:, : part.shape[1]] = part
        parts.append(padded.reshape(-1))
    return np.concatenate(parts)


def _integer_head(step: FloatArray, bias: NDArray[np.int32]) -> Bytes:
    padded = np.zeros(-(-len(bias) // 16) * 16, np.int32)
    padded[: len(bias)] = bias
    return np.concatenate([_bytes(_head(step, len(step))), _bytes(padded)])


def _whole_pairs(plane: NDArray[np.int8], taps: Sequence[int]) -> NDArray[np.int8]:
    """[rows, outputs] with each tap's channels padded to pairs by a zero weight."""
    parts, at = [], 0
    for channels in taps:
        parts.append(np.pad(plane[at : at + channels], ((0, channels % 2), (0, 0))))
        at += channels
    return np.concatenate(parts)


def _bytes(values: NDArray[np.generic]) -> Bytes:
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    return np.frombuffer(little.tobytes(), np.uint8)
