"""How alike two collections of strokes are: by a classifier that learnt real ones, and by what it
hears in them.

    stroke -> log-mel picture -> convolutions -> features -> which class

A network that no model was trained against; it needs no weights from elsewhere. All figures are
worked out on sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn import functional as F

from training.evaluation.spectra import decibels, mel_power

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
SECONDS = 1.0  # of a stroke from its onset on
BANDS, FRAMES = 48, 64
WINDOW_S = 0.032
FLOOR, RANGE_DB = 1e-12, 80.0  # of a power
STEPS, BATCH, RATE = 500, 64, 2e-3
BINS, STROKES_A_BIN, LEVEL = 50, 10, 1.96  # of `different_bins`
NEIGHBOURS = 3  # of precision and recall


def pictures(strokes: list[FloatArray], rate_hz: int) -> Tensor:
    """Levels in mel bands [strokes, 1, BANDS, FRAMES] of strokes [samples] that begin with their
    onset: -1 where it is `RANGE_DB` below the loudest, 1 there."""
    window = 2 ** round(np.log2(WINDOW_S * rate_hz))
    hop = max(1, round(SECONDS * rate_hz / FRAMES))
    found = np.zeros((len(strokes), 1, BANDS, FRAMES), np.float32)
    for row, stroke in zip(found, strokes, strict=True):
        x = np.zeros(hop * FRAMES, np.float32)
        part = stroke[: len(x)]
        x[: len(part)] = part
        level = decibels(mel_power(x, rate_hz, window, hop, BANDS)[:, :FRAMES], FLOOR, RANGE_DB)
        row[0] = 1 + 2 * (level - level.max()) / RANGE_DB
    return torch.from_numpy(found)


class StrokeClassifier(nn.Module):
    """Three strided convolutions and two layers: logits and the 64 features before them."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        sizes = (1, width, 2 * width, 4 * width)
        self.body = nn.Sequential(*(
            layer for before, after in pairwise(sizes)
            for layer in (nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())))
        self.features = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(4 * width * (BANDS // 8) * (FRAMES // 8), 64), nn.ReLU())
        self.out = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        heard = self.features(self.body(x).flatten(1))
        return self.out(heard), heard

    @torch.no_grad()
    def hear(self, x: Tensor) -> tuple[NDArray[np.int64], Points]:
        """Numbers of the classes and features of pictures."""
        logits, heard = self(x)
        return logits.argmax(dim=1).numpy(), heard.double().numpy()


def classifier(x: Tensor, labels: Tensor, classes: int, seed: int = 0,
               steps: int = STEPS) -> StrokeClassifier:
    """Trained on pictures `x` with `labels` [strokes], every class as often as the others; noise
    and other levels are added. The same seed gives the same network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = StrokeClassifier(classes)
        optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
        weights = 1.0 / torch.bincount(labels, minlength=classes).clamp_min(1)[labels]
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * max(0.05, 1 - step / steps)
            chosen = torch.multinomial(weights, min(BATCH, 4 * len(x)), replacement=True)
            heard = x[chosen] + 0.05 * torch.randn_like(x[chosen])
            heard = heard + 0.2 * torch.randn(len(chosen), 1, 1, 1)
            loss = F.cross_entropy(net(heard)[0], labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


@dataclass(frozen=True)
class Heard:
    """A collection: labels that were asked for, what was heard, and features [strokes, 64]."""

    labels: NDArray[np.int64]
    heard: NDArray[np.int64]
    features: Points

    @classmethod
    def of(cls, net: StrokeClassifier, x: Tensor, labels: Tensor) -> Heard:
        return cls(labels.numpy(), *net.hear(x))

    def where(self, chosen: NDArray[np.bool_]) -> Heard:
        """A part of the collection."""
        return Heard(self.labels[chosen], self.heard[chosen], self.features[chosen])

    def accuracy(self) -> float:
        """Share that is heard as what was asked for, each class counting the same."""
        right = self.heard == self.labels
        return float(np.mean([right[self.labels == c].mean() for c in np.unique(self.labels)]))


def frechet(real: Points, made: Points) -> float:
    """Distance of two Gaussians (Dowson and Landau 1982; Heusel et al. 2017) that features are
    taken for, over the trace of the real covariance."""
    one, two = np.cov(real.T), np.cov(made.T)
    values = np.linalg.eigvals(one @ two).real.clip(0)
    between = np.square(real.mean(axis=0) - made.mean(axis=0)).sum()
    return float((between + np.trace(one) + np.trace(two) - 2 * np.sqrt(values).sum())
                 / max(np.trace(one), 1e-12))


def precision_recall(real: Points, made: Points) -> tuple[float, float]:
    """Share of what is made that lies among what is real, and the other way round (Kynkäänniemi et
    al. 2019): within the distance to the third neighbour of any point."""
    between = distances(real, made)
    near_real, near_made = (np.sort(distances(x, x), axis=1)[:, min(NEIGHBOURS, len(x) - 1)]
                            for x in (real, made))
    return (float((between <= near_real[:, None]).any(axis=0).mean()),
            float((between <= near_made[None]).any(axis=1).mean()))


def diversity(points: Points, labels: NDArray[np.int64]) -> float:
    """Mean distance of two strokes of one class."""
    found = []
    for label in np.unique(labels):
        own = points[labels == label]
        if len(own) > 1:
            found.append(distances(own, own).sum() / (len(own) * (len(own) - 1)))
    return float(np.mean(found)) if found else float("nan")


def nearest(points: Points, learnt: Points) -> float:
    """Median distance to the nearest that was learnt."""
    return float(np.median(distances(points, learnt).min(axis=1)))


def distances(a: Points, b: Points) -> Points:
    """Of all pairs [a, b]."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def different_bins(real: Tensor, made: Tensor) -> float:
    """Share of bins that hold another part of what is made than of what is real, at a level of 5 %
    (NDB/K: Richardson and Weiss 2018): the bins are cells of k-means of real pictures, up to
    `BINS` of them."""
    one, two = (F.avg_pool2d(x, 4).flatten(1).double().numpy() for x in (real, made))
    count = max(2, min(BINS, len(one) // STROKES_A_BIN))
    centres, places = kmeans2(one, count, minit="++", rng=np.random.default_rng(0))
    shares = [np.bincount(place, minlength=count) / len(place)
              for place in (places, distances(two, centres).argmin(axis=1))]
    whole = (len(one) * shares[0] + len(two) * shares[1]) / (len(one) + len(two))
    error = np.sqrt(whole * (1 - whole) * (1 / len(one) + 1 / len(two)))
    return float((np.abs(shares[0] - shares[1]) > LEVEL * error).mean())
