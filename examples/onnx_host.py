"""A host of an ONNX file, with NumPy and ONNX Runtime alone: nothing of tudor is imported.

    python onnx_host.py MODEL.onnx IN.wav OUT.wav [attribute=value]...

IN is a 16-bit WAV at the model's rate. OUT, 16 bits too, is as long as IN and late by the printed
latency. Whoever ports this to another language finds everything that a host must know here: the
metadata, the state that goes round, and that attributes may be left out.
"""

from __future__ import annotations

import json
import sys
import wave
from base64 import b64decode

import numpy as np
import onnxruntime as ort

BLOCK_SAMPLES = 512


class Model:
    """A session and the state between its blocks."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # small blocks gain nothing from more
        options.log_severity_level = 3  # it warns of optional inputs, which attributes are
        self.session = ort.InferenceSession(path, options)
        said = self.session.get_modelmeta().custom_metadata_map
        self.sample_rate_hz = int(said["sample_rate_hz"])
        self.latency_samples = int(said["latency_samples"])
        self.channels = int(said["in_channels"])
        self.unit_samples = int(said["ratio"])  # blocks are multiples of this
        self.state = {
            value.name: np.zeros([1, *value.shape[1:]], np.float32)
            for value in self.session.get_inputs() if value.name.startswith("state_in_")
        }
        for name, text in json.loads(said.get("start", "{}")).items():  # what silence leaves behind
            numbers = np.frombuffer(b64decode(text), "<f4")
            self.state[name] = numbers.reshape(self.state[name].shape)
        self.attributes: dict[str, np.ndarray] = {}  # what is not set here has its default

    def set(self, name: str, value: float) -> None:
        """An attribute of one number, from the next block on."""
        self.attributes[f"attribute_{name}"] = np.array([[value]], np.float32)

    def process(self, block: np.ndarray) -> np.ndarray:
        """[channels, samples] to [channels, samples]; the state goes on."""
        y, *state = self.session.run(None, {"x": block[None], **self.state, **self.attributes})
        self.state = dict(zip(self.state, state, strict=True))
        return y[0]


def read_wav(path: str) -> tuple[np.ndarray, int]:
    """float32 [channels, samples] and the rate."""
    with wave.open(path, "rb") as file:
        if file.getsampwidth() != 2:
            sys.exit(f"{path} holds {8 * file.getsampwidth()} bits per sample, wanted 16")
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        audio = data.reshape(-1, file.getnchannels()).T.astype(np.float32) / 32768
        return audio, file.getframerate()


def write_wav(path: str, audio: np.ndarray, rate_hz: int) -> None:
    """16 bits; beyond full scale is held there."""
    with wave.open(path, "wb") as file:
        file.setnchannels(audio.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.clip(np.rint(audio.T * 32768), -32768, 32767).astype("<i2").tobytes())


def main(path: str, source: str, out: str, *settings: str) -> None:
    model = Model(path)
    for setting in settings:
        name, _, value = setting.partition("=")
        model.set(name, float(value))
    audio, rate_hz = read_wav(source)
    if (audio.shape[0], rate_hz) != (model.channels, model.sample_rate_hz):
        sys.exit(f"{source}: {audio.shape[0]} channels at {rate_hz} Hz; {path} takes "
                 f"{model.channels} at {model.sample_rate_hz} Hz")
    block = -(-BLOCK_SAMPLES // model.unit_samples) * model.unit_samples
    samples = audio.shape[1]
    audio = np.pad(audio, ((0, 0), (0, -samples % block)))  # the last block ends in silence
    played = [model.process(audio[:, start : start + block])  # this would be the audio callback
              for start in range(0, samples, block)]
    write_wav(out, np.concatenate(played, axis=1)[:, :samples], rate_hz)
    print(f"{out}: {samples} samples, late by {model.latency_samples}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: onnx_host.py MODEL.onnx IN.wav OUT.wav [attribute=value]...")
    main(*sys.argv[1:])
