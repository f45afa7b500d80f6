"""How the instrument spreads a frame's work over callbacks: what firmware/common/schedule.c and
player.c do, stated a second time for `tudor fit`. A test holds both to the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from engine.errors import ConfigError

FRAME_LIMIT_SAMPLES = 65536
PERIOD_LIMIT = 131072  # callbacks until callback, frame and rates meet again
SLICES_LIMIT = 512
JOINED_SAMPLES = 256  # as many frames are played at once where a callback holds several
RATE_LIMIT = 4096  # of the reduced ratio


@dataclass(frozen=True)
class Schedule:
    """A frame is cut into `slices`; a callback runs `most` of them at most."""

    frame_samples: int  # played at once
    slices: int
    most: int
    prime_samples: int  # of silence, at the model's rate, that the output starts with


def reduced(model_hz: int, board_hz: int) -> tuple[int, int]:
    """The model's rate : the board's."""
    common = gcd(model_hz, board_hz)
    return model_hz // common, board_hz // common


def filter_taps(up: int, down: int, quality: int) -> int:
    """Taps of each phase of the filter that converts down : up; `quality` at the lower rate."""
    taps = -(-quality * down // up) if down > up else quality
    return taps + taps % 2


def joined(frame: int, block: int, up: int, down: int) -> int:
    """Several frames at once where a callback holds several, and no rate is converted."""
    if up != down or block % frame:
        return frame
    counts = [n for n in range(JOINED_SAMPLES // frame, 1, -1) if block // frame % n == 0]
    return frame * counts[0] if counts else frame


def schedule(frame: int, block: int, up: int, down: int) -> Schedule:
    """Plan `frame` samples of a model in callbacks of `block` samples; rates are up : down.

    The output's delay is found by walking through one period, as the firmware finds it."""
    frame = joined(frame, block, up, down)
    frame_time, block_time = frame * down, block * up
    common = gcd(frame_time, block_time)
    period = frame_time // common
    if frame > FRAME_LIMIT_SAMPLES or period > PERIOD_LIMIT:
        raise ConfigError(f"callbacks of {block} samples and frames of {frame} meet too seldom")
    slices = _cut(frame_time, block_time)
    step = block_time * slices
    delay = max([0, *(_late(c, step, frame_time, block, up, down, frame, slices)
                      for c in range(1, period + 1))])
    prime = 0
    for c in range(1, 2 * period + 1):
        done = max(0, c * step // frame_time - delay) // slices * frame
        prime = max(prime, (c * block - 1) * up // down + 1 - done)
    return Schedule(frame, slices, -(-step // frame_time), prime)


def _cut(frame_time: int, block_time: int) -> int:
    common = gcd(frame_time, block_time)
    exact = frame_time // common
    if exact <= 64 or (exact <= SLICES_LIMIT and block_time // common <= 4):
        return exact
    return min(max(1, -(-4 * frame_time // block_time)), SLICES_LIMIT)


def _late(callback: int, step: int, unit: int, block: int, up: int, down: int, frame: int,
          slices: int) -> int:
    """Slices that would be due before their frame has come in."""
    complete = -(-callback * block * up // down) // frame * slices
    return callback * step // unit - complete
