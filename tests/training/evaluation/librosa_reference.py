"""What librosa says of the loops in the test beside, kept in a file: the test needs no librosa, and
nothing that runs in it can meet numba's cache on disk.

    pip install librosa==0.11.0 && python tests/training/evaluation/librosa_reference.py

writes librosa_reference.npz. (librosa is McFee et al., ISC licence; only its results are kept.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.quality.other_loops import STYLES, render

FILE = Path(__file__).with_suffix(".npz")
RATES_HZ = (16000, 44100)
SECONDS = 3
MEL_STEP = 16  # every so many frames are kept
SEED = 5


def loops(rate_hz: int) -> dict[str, np.ndarray]:
    """One loop of each style, 16 bits deep, so that a rounding in its making does not matter."""
    made = {}
    for index, style in enumerate(STYLES):
        audio = render(SEED, index, rate_hz)[0][: SECONDS * rate_hz]
        made[style] = np.round(audio * 32767).astype(np.int16).astype(np.float32)[None] / 32768
    return made


def hops(rate_hz: int) -> tuple[int, int]:
    """Of onsets and of descriptors."""
    return round(rate_hz * 0.01), round(rate_hz / 60)


def by_librosa(audio: np.ndarray, rate_hz: int) -> dict[str, np.ndarray]:
    import librosa

    mono, (onset_hop, hop) = audio[0], hops(rate_hz)
    mel = librosa.feature.melspectrogram(y=mono, sr=rate_hz, n_fft=2048, hop_length=512, n_mels=128)
    power = np.abs(librosa.stft(mono, n_fft=2048, hop_length=512)) ** 2
    ear = librosa.A_weighting(np.maximum(librosa.fft_frequencies(sr=rate_hz, n_fft=2048), 1.0))
    window = 2 ** round(np.log2(0.064 * rate_hz))
    spectrum = np.abs(librosa.stft(mono, n_fft=window, hop_length=hop)) + 1e-10
    common = {"S": spectrum, "sr": rate_hz, "n_fft": window}
    bands = int(np.clip(np.log2(0.4 * 80), 1, 6))
    return {
        "onsets": librosa.onset.onset_detect(y=mono, sr=rate_hz, hop_length=onset_hop),
        "mel": 10 * np.log10(np.maximum(mel[:, ::MEL_STEP], 1e-5)),
        "loudness": 10 * np.log10(np.maximum(
            (power * 10 ** (ear[:, None] / 10)).sum(axis=0) / (2048**2 / 8), 1e-7)),
        "centroid": librosa.feature.spectral_centroid(**common)[0],
        "bandwidth": librosa.feature.spectral_bandwidth(**common)[0],
        "contrast": librosa.feature.spectral_contrast(
            **common, fmin=rate_hz / 80, n_bands=bands).mean(axis=0),
        "flatness": 10 * np.log10(librosa.feature.spectral_flatness(S=spectrum)[0]),
        "rolloff": librosa.feature.spectral_rolloff(**common)[0],
        "rms": librosa.feature.rms(S=spectrum, frame_length=window)[0],
        "f0": librosa.yin(mono, fmin=40, fmax=min(2000, rate_hz / 4), sr=rate_hz,
                          frame_length=2 * window, hop_length=hop),
    }


if __name__ == "__main__":
    kept = {f"{style}-{rate_hz}-{name}": values.astype(np.float32)
            for rate_hz in RATES_HZ for style, audio in loops(rate_hz).items()
            for name, values in by_librosa(audio, rate_hz).items()}
    np.savez_compressed(FILE, **kept)
    print(f"{FILE}: {FILE.stat().st_size} bytes")
