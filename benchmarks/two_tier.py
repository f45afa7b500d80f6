"""A network of two rates that generates (after SampleRNN, Mehri et al. 2017, made of convolutions):
`ar-two-tier/64`. Frames of 16 samples go through dilated gated layers, and what they say is read by
a perceptron for each sample, from which the next one is drawn. Shapes only, random weights.

    16 samples -> 48 channels -> 8 gated layers, dilations 1 ... 128 -> 16 rows    once a frame
    the last 16 samples -> 48 channels <--------------------------------+          every sample
                              -> gated 48 -> a mixture of 4 logistics
"""

from __future__ import annotations

from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    GatedUnit,
    LogisticMixture,
    Loop,
    Parallel,
    Past,
    Residual,
    Sequence,
    Tanh,
)

FRAME = 16
LAYERS = 8
PARTS = 4  # of the mixture


def two_tier(width: int = 48, inner: int = 48, layers: int = LAYERS) -> Loop:
    """From how long to go on (one channel that is not read) to samples."""
    stack = [Residual(Conv1d(width, 2 * width, 2, dilation=2**i), GatedUnit(2 * width),
                      Conv1d(width, width, 1)) for i in range(layers)]
    slow = Sequence(Conv1d(1, width, FRAME, stride=FRAME), *stack,
                    ConvTranspose1d(width, inner, FRAME, FRAME), Past(inner, FRAME - 1))
    net = Sequence(Parallel(slow, Conv1d(1, inner, FRAME)), Tanh(inner),
                   Conv1d(inner, 2 * inner, 1), GatedUnit(2 * inner),
                   Conv1d(inner, 3 * PARTS, 1))
    return Loop(net, LogisticMixture(PARTS))
