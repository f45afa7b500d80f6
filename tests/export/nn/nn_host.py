"""Drives a `.ts` file exactly as nn~ 1.6 does, mistakes included; written from its behaviour.

What is peculiar and therefore imitated: only the number of output samples is checked; for a method
of in_ratio r the last of each r samples is handed over; output frames are held for out_ratio
samples; an error of the model leaves the last good buffer playing; attributes travel as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

FLOAT_TEXT = "%f"  # attributes are shown with six decimals


class NnHost:
    """One nn~ object: a file, a method, a buffer size, a number of batches."""

    def __init__(self, path: Path, method: str = "forward", buffer: int = 4096,
                 batch: int = 1) -> None:
        self.module: Any = torch.jit.load(str(path))
        self.module.eval()
        self.module.to(torch.device("cpu"))
        self.methods = self.module.get_methods()
        assert method in self.methods
        self.method, self.batch = method, batch
        self.in_channels, self.in_ratio, self.out_channels, self.out_ratio = self.params(method)
        largest = max(max(self.params(name)[1::2]) for name in self.methods)
        self.buffer = largest
        while self.buffer < buffer:
            self.buffer *= 2
        self.last = np.zeros((batch, self.out_channels, self.buffer), np.float32)
        self.errors: list[str] = []
        self.console: list[str] = []  # what nn~ prints of setters

    def params(self, method: str) -> list[int]:
        tensor = getattr(self.module, f"{method}_params")
        return [int(tensor[index].item()) for index in range(4)]

    def perform(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """One buffer: [batch, in_channels, buffer] -> [batch, out_channels, buffer]."""
        assert signal.shape == (self.batch, self.in_channels, self.buffer)
        with torch.inference_mode():
            # nn~ gathers channel by channel and permutes, so the batch axis is not contiguous.
            x = torch.from_numpy(np.ascontiguousarray(signal.transpose(1, 0, 2)))
            x = x.reshape(self.in_channels, self.batch, -1, self.in_ratio)
            x = x.select(-1, -1).permute(1, 0, 2)
            try:
                y = getattr(self.module, self.method)(x)
                y = y.repeat_interleave(self.out_ratio).reshape(self.batch, self.out_channels, -1)
            except RuntimeError as error:
                self.errors.append(str(error))
                return self.last
            if y.shape[2] == self.buffer:
                self.last = y.numpy().copy()
        return self.last

    def play(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """[batch, in_channels, samples], whole buffers -> [batch, out_channels, samples]."""
        assert signal.shape[2] % self.buffer == 0
        blocks = np.split(signal, signal.shape[2] // self.buffer, axis=2)
        return np.concatenate([self.perform(block) for block in blocks], axis=2)

    def attributes(self) -> list[str]:
        return [name for name in self.module.get_attributes() if name != "none"]

    def get(self, name: str) -> str:
        """The attribute as nn~ prints it."""
        codes = getattr(self.module, f"{name}_params").tolist()
        values = list(getattr(self.module, f"get_{name}")())
        assert len(values) >= len(codes)
        shown = {1: lambda v: str(int(v)), 2: lambda v: FLOAT_TEXT % v}
        return " ".join(shown[code](value) for code, value in zip(codes, values, strict=False))

    def set(self, name: str, text: str) -> bool:
        """The message `set name a b c`; False when nn~ would report a failure."""
        codes = getattr(self.module, f"{name}_params").tolist()
        words = text.split()
        if len(words) != len(codes):
            return False
        parse = {1: lambda w: int(float(w)), 2: float}
        values = [parse[code](word) for code, word in zip(codes, words, strict=True)]
        try:
            return getattr(self.module, f"set_{name}")(*values) == 0
        except torch.jit.Error as error:
            self.console.append(f"setter for {name} failed : {error}")
            return False
