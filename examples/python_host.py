"""A host in Python: a sound file through a model in blocks of any size.

    python python_host.py MODEL IN.wav OUT.wav [attribute=value]...

MODEL is a .tudor, .onnx or .ts file, a preset or a run directory. A .tudor file or a preset needs
neither PyTorch nor ONNX Runtime. IN is at the model's rate; OUT is as long as IN and late by the
printed latency.
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile

import nn_tudor

BLOCK_SAMPLES = 480  # 10 ms at 48 kHz; need not be a multiple of the model's frame


def main(model: str, source: str, out: str, *settings: str) -> None:
    player = nn_tudor.load(model)
    for setting in settings:
        name, _, value = setting.partition("=")
        player.set(name, [float(value)])

    audio, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)  # [samples, channels]
    if rate_hz != player.sample_rate_hz:
        raise nn_tudor.AudioError(f"{source} is at {rate_hz} Hz, {model} at "
                                  f"{player.sample_rate_hz} Hz")
    host = nn_tudor.Host(player, block=BLOCK_SAMPLES)
    if audio.shape[1] != host.spec.in_channels:
        raise nn_tudor.AudioError(f"{source} has {audio.shape[1]} channels, {model} takes "
                                  f"{host.spec.in_channels}")

    samples = len(audio)
    audio = np.pad(audio, ((0, -samples % BLOCK_SAMPLES), (0, 0)))  # the last block ends in silence
    played = []
    for start in range(0, samples, BLOCK_SAMPLES):  # this would be the audio callback
        block = audio[start : start + BLOCK_SAMPLES].T  # [channels, samples]
        played.append(host.process(block))
    result = np.concatenate(played, axis=1)[:, :samples]
    soundfile.write(out, result.T, rate_hz, subtype="FLOAT")
    print(f"{out}: {samples} samples by {player.backend}, late by {host.latency_samples}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python_host.py MODEL IN.wav OUT.wav [attribute=value]...")
    try:
        main(*sys.argv[1:])
    except nn_tudor.TudorError as error:
        sys.exit(str(error))
