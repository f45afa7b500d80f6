"""How alike two collections of strokes are: by a classifier that learnt real ones, and by what it
hears in them.

    stroke -> log-mel picture -> convolutions -> features -> which class

A network that no model was trained against; it needs no weights from elsewhere. All figures are
worked out on sound; those of features stand in `points.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn import functional as F

from training.evaluation.picture_classifier import PictureClassifier
from training.evaluation.points import distances
from training.evaluation.spectra import decibels, mel_power

FloatArray = NDArray[np.float32]
SECONDS = 1.0  # of a stroke from its onset on
BANDS, FRAMES = 48, 64
WINDOW_S = 0.032
FLOOR, RANGE_DB = 1e-12, 80.0  # of a power
STEPS, BATCH, RATE = 500, 64, 2e-3
BINS, STROKES_A_BIN, LEVEL = 50, 10, 1.96  # of `different_bins`


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


def classifier(x: Tensor, labels: Tensor, classes: int, seed: int = 0,
               steps: int = STEPS) -> PictureClassifier:
    """Trained on pictures `x` with `labels` [strokes], every class as often as the others; noise
    and other levels are added. The same seed gives the same network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PictureClassifier((BANDS, FRAMES), classes)
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
