"""A small classifier of pictures, whether of sound (log-mel) or of anything else, and what it hears
in a collection of them. It needs no weights from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.evaluation.points import Points


class PictureClassifier(nn.Module):
    """Three strided convolutions and two layers: logits and the 64 features before them, of
    pictures [batch, 1, *size]."""

    def __init__(self, size: tuple[int, int], classes: int, width: int = 16) -> None:
        super().__init__()
        sizes = (1, width, 2 * width, 4 * width)
        left = -(-size[0] // 8) * -(-size[1] // 8)
        self.body = nn.Sequential(*(
            layer for before, after in pairwise(sizes)
            for layer in (nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())))
        self.features = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(4 * width * left, 64), nn.ReLU())
        self.out = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        heard = self.features(self.body(x).flatten(1))
        return self.out(heard), heard

    @torch.no_grad()
    def hear(self, x: Tensor) -> tuple[NDArray[np.int64], Points]:
        """Numbers of the classes and features of pictures."""
        logits, heard = self(x)
        return logits.argmax(dim=1).numpy(), heard.double().numpy()


@dataclass(frozen=True)
class Heard:
    """A collection: labels that were asked for, what was heard, and features [examples, 64]."""

    labels: NDArray[np.int64]
    heard: NDArray[np.int64]
    features: Points

    @classmethod
    def of(cls, net: PictureClassifier, x: Tensor, labels: Tensor) -> Heard:
        return cls(labels.numpy(), *net.hear(x))

    def where(self, chosen: NDArray[np.bool_]) -> Heard:
        """A part of the collection."""
        return Heard(self.labels[chosen], self.heard[chosen], self.features[chosen])

    def accuracy(self) -> float:
        """Share that is heard as what was asked for, each class counting the same."""
        right = self.heard == self.labels
        return float(np.mean([right[self.labels == c].mean() for c in np.unique(self.labels)]))
