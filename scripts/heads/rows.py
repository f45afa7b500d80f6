"""The rows of the table."""

from __future__ import annotations

from scripts.heads.inversion import Inverted
from scripts.heads.models import SHORT, LongBankWaveform, Pitched, Row, SnakeWaveform, Waveform
from scripts.heads.oscillators import Banded
from scripts.heads.pitches import one, several, told

ROWS: dict[str, Row] = {
    "plain": Row("waveform and noise (as `techno-tiny`)", Waveform),
    "frames64": Row("frames of 64: 16 by 250 latents a second", lambda: Waveform(**SHORT)),
    "latents32": Row("32 latents", lambda: Waveform(latents=32)),
    "kernel7": Row("kernels of 7 for 3", lambda: Waveform(kernel_size=7)),
    "bank12": Row("filter bank of 12 taps a band for 6", LongBankWaveform),
    "snake": Row("snake for leaky ReLU", SnakeWaveform),
    "pitch1": Row("one tracked pitch (as the product)", lambda: Pitched(1, one)),
    "pitch2": Row("two tracked pitches", lambda: Pitched(2, several)),
    "pitch3": Row("three tracked pitches", lambda: Pitched(3, several)),
    "told3": Row("three pitches, told: what a perfect tracker could reach",
                 lambda: Pitched(3, told)),
    "oscillators": Row("an oscillator per band", Banded),
    "inversion": Row("streaming inversion of log-magnitudes", Inverted),
}
