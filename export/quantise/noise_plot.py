"""Where the noise of a quantised file sits, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.description import Method
from engine.files import atomic_write

WINDOW = 4096
THIRD = 2 ** (1 / 6)  # half a third of an octave up and down
LOWEST_HZ = 31.25
SIGNAL, ERROR = "#2563eb", "#dc2626"


def plot_noise(path: Path, title: str, rate_hz: int, methods: Mapping[str, Method],
               exact: Mapping[str, Tensor], played: Mapping[str, Tensor]) -> None:
    """One panel per method: audio by third of an octave, latents and what is drawn from one by
    one; the float32 output and what the quantised one adds to it, in dB."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(methods), figsize=(1 + 4.6 * len(methods), 4.4),
                                squeeze=False, layout="constrained")
    for axis, (name, spec) in zip(axes[0], methods.items(), strict=True):
        whole, error = exact[name].numpy(), (played[name] - exact[name]).numpy()
        if len(whole) != spec.out_channels:
            _bars(axis, whole, error)
            axis.set_xlabel("number that the output is drawn from")
        elif spec.out_ratio == 1:
            _spectrum(axis, whole, error, rate_hz)
        else:
            _bars(axis, whole, error)
        axis.set_title(name, loc="left", fontsize=10)
        axis.grid(True, axis="y", color="#e2e8f0", lw=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_axisbelow(True)
    axes[0][0].set_ylabel("power / dB")
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False)
    try:
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=130, format="png", metadata=None)
    finally:
        plt.close(figure)


def third_octaves(signal: NDArray[Any], rate_hz: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centre frequencies in Hz and power in dB of `signal` [channels, samples] per third of an
    octave, as far down as the window resolves and up to half the rate."""
    size = min(WINDOW, signal.shape[1])
    starts = range(0, signal.shape[1] - size + 1, size // 2)
    window = np.hanning(size)
    power = np.mean([np.abs(np.fft.rfft(signal[:, at : at + size] * window)) ** 2
                     for at in starts], axis=(0, 1))
    power *= 2 / (size * np.square(window).sum())
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    centres = LOWEST_HZ * 2 ** (np.arange(60) / 3)
    centres = centres[(centres * THIRD < rate_hz / 2) & (centres > rate_hz / size)]
    sums = [power[(hz >= c / THIRD) & (hz < c * THIRD)].sum() for c in centres]
    return centres, 10 * np.log10(np.maximum(sums, 1e-20))


def _spectrum(axis: Any, whole: NDArray[Any], error: NDArray[Any], rate_hz: int) -> None:
    for signal, colour, label in ((whole, SIGNAL, "float32 output"),
                                  (error, ERROR, "error of the quantised one")):
        hz, level = third_octaves(signal, rate_hz)
        shown = level > -150
        axis.step(hz[shown], level[shown], where="mid", color=colour, lw=1.8, label=label)
    axis.set_xscale("log")
    axis.set_xlabel("Hz, thirds of an octave")


def _bars(axis: Any, whole: NDArray[Any], error: NDArray[Any]) -> None:
    at = np.arange(1, len(whole) + 1)
    for signal, colour, label in ((whole, SIGNAL, "float32 output"),
                                  (error, ERROR, "error of the quantised one")):
        power = 10 * np.log10(np.maximum(np.square(signal.astype(np.float64)).mean(axis=1), 1e-15))
        axis.plot(at, power, "o", ms=4, color=colour, label=label)
    axis.set_xlabel("output channel")
