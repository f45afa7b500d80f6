"""Counted instructions of a frame of spectra on an emulated Cortex-M7: few, and never many more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.layers import Resynth, Spectrum, Streaming
from firmware.host.build import TARGETS
from firmware.host.play import Tally, play
from tests.core.core_build import need
from tests.core.native_cases import file_of

FRAMES, RATE_HZ = 48, 16000
WORST_SHARE = 1.1  # of the mean


def counted(layer: Streaming, x: np.ndarray) -> Tally:
    played = play(TARGETS["m7"], file_of(layer), x, count="ops")
    assert played.unit == "instructions"
    (tally,) = played.ops.values()
    assert tally.calls == FRAMES
    return tally


def hits(count: int) -> torch.Tensor:
    """Bursts of noise over a low tone, with silence between: few frames are alike."""
    generator = torch.Generator().manual_seed(0)
    n = torch.arange(count)
    burst = torch.randn(count, generator=generator) * torch.exp(-(n % 3000) / 300.0)
    tone = torch.sin(2 * np.pi * 110 * n / RATE_HZ) * (n % 6000 < 3000)
    return (0.3 * burst + 0.3 * tone).reshape(1, 1, -1)


@pytest.mark.parametrize(("fft", "hop", "most_back", "most_there"), [
    (512, 128, 90_000, 50_000), (1024, 256, 180_000, 100_000)])
def test_a_frame_stays_within_its_instructions(
    fft: int, hop: int, most_back: int, most_there: int, capsys: pytest.CaptureFixture[str]
) -> None:
    need("qemu-system-arm")
    need("arm-none-eabi-gcc")
    x = hits(FRAMES * hop)
    logs = Spectrum(fft, hop).offline(x)
    there = counted(Spectrum(fft, hop), x[0].numpy())
    back = counted(Resynth(fft, hop), torch.cat((logs, logs - 1.0), dim=1)[0].numpy())
    for name, tally, most in (("resynth", back, most_back), ("spectrum", there, most_there)):
        mean = tally.total / tally.calls
        with capsys.disabled():
            print(f"\n{name} {fft}/{hop}: {mean:.0f} instructions a frame, {tally.worst} at most")
        assert 0.2 * most < mean <= most
        assert tally.worst <= WORST_SHARE * mean
