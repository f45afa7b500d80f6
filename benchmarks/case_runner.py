"""What the shapes suite asks of each backend."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class CaseRunner(ABC):
    """A case, ready to play. `outputs` gives each segment's last block, for comparing backends."""

    backend = ""
    dtype = "float32"

    @abstractmethod
    def play(self, index: int) -> object:
        """One block of every segment."""

    @abstractmethod
    def outputs(self) -> list[FloatArray]:
        """[out_channels, frames] of each segment, from the block played last."""
