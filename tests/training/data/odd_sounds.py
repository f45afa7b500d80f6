"""Files as users have them: damaged, empty, out of scale, out of phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.training.training_helpers import RATE, loop


def without_length(path: Path) -> Path:
    """A FLAC as it comes out of a pipe: the 36 bits that say how long it is are 0."""
    data = bytearray(path.read_bytes())
    assert data[:4] == b"fLaC"
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(bytes(data))
    assert soundfile.info(path).frames > 2**60
    return path


# File and what its reason must say, for a model of one channel.
UNUSABLE = {
    "one_sample.wav": "too short",
    "three_samples.wav": "too short",
    "one_hertz.wav": "1 Hz",
    "two_gigahertz.wav": "2000000000 Hz",
    "integer_scale.wav": "integer scale",
    "opposite_phase.wav": "opposite phase",
    "dither.wav": "silent",
    "spike.wav": "beyond full scale",
    "not_numbers.wav": "no number",
    "silent.wav": "silent",
    "no_samples.wav": "no samples",
    "no_bytes.wav": "empty file",
    "text.flac": "not readable",
}


def write_unusable(folder: Path) -> None:
    """Every file of `UNUSABLE`."""
    folder.mkdir(parents=True, exist_ok=True)
    sound, rng = loop(1), np.random.default_rng(0)

    def write(name: str, audio: np.ndarray, rate_hz: int = RATE, subtype: str = "FLOAT") -> None:
        soundfile.write(folder / name, audio, rate_hz, subtype=subtype)

    write("one_sample.wav", sound[:1], 44100)
    write("three_samples.wav", sound[:3] + 0.1)
    write("one_hertz.wav", sound, 1)
    write("two_gigahertz.wav", sound, 2_000_000_000)
    write("integer_scale.wav", sound * 32767)
    write("opposite_phase.wav", np.stack([sound, -sound], 1))
    write("dither.wav", rng.integers(-1, 2, RATE) / 32768, subtype="PCM_16")
    write("spike.wav", np.where(np.arange(RATE) == 77, 1e30, sound))
    write("not_numbers.wav", np.where(np.arange(RATE) == 77, np.nan, sound))
    write("silent.wav", np.zeros(RATE))
    write("no_samples.wav", np.zeros(0))
    (folder / "no_bytes.wav").touch()
    (folder / "text.flac").write_text("not sound")
