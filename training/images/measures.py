"""Figures of networks of pictures, each with what is reached without training and what real
pictures reach. Features and classes are those of a classifier that learnt the same set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.evaluation.judges.findings import Column
from training.evaluation.measures import plain
from training.evaluation.picture_classifier import Heard
from training.evaluation.points import Points, frechet, precision_recall
from training.images.networks import Autoencoder, Generator, PictureJudge
from training.images.objectives import Code, cross_entropy
from training.images.runs import as_tensor
from training.images.sets import PictureSet
from training.objectives.losses import kl_per_dimension
from training.objectives.regularisers import Regulariser, WAEConfig, mmd

Figures = dict[str, float | None]
COLUMNS = (Column("accuracy", "class", "higher"), Column("nats", "nats"),
           Column("cross_entropy", "cross-entropy"), Column("kl", "KL", ""),
           Column("mmd", "MMD"), Column("frechet", "Fréchet"),
           Column("inception", "inception", "higher"), Column("precision", "precision", "higher"),
           Column("recall", "recall", "higher"), Column("thousand_steps", "1000 steps", ""),
           Column("minutes", "minutes", ""))
SUBJECTS = {"real": "real (ceiling)", "untrained": "unlearnt (floor)"}
MOST = 2000  # samples, and held-out pictures that they are compared with
AT_ONCE = 500  # pictures, or memory would grow with their number
DRAW_SEED = 1000


@dataclass(frozen=True)
class Standard:
    """What samples are compared with: a classifier, held-out pictures, and their features."""

    judge: PictureJudge
    pictures: PictureSet
    features: Points

    @classmethod
    def of(cls, judge: PictureJudge, pictures: PictureSet) -> Standard:
        held = as_tensor(pictures.held[:MOST])
        return cls(judge, pictures, seen(judge, held, np.zeros(len(held), np.int64)).features)

    def figures(self, samples: Tensor) -> Figures:
        """How like real pictures samples [count, 1, side, side] are."""
        found = seen(self.judge, samples, np.zeros(len(samples), np.int64))
        precision, recall = precision_recall(self.features, found.features)
        return {"frechet": plain(frechet(self.features, found.features)),
                "inception": plain(inception(probabilities(self.judge, samples))),
                "precision": precision, "recall": recall}


def seen(judge: PictureJudge, x: Tensor, labels: np.ndarray[Any, Any]) -> Heard:
    """What the classifier sees in pictures."""
    parts = [judge.net.hear(part) for part in x.split(AT_ONCE)]
    classes, features = (np.concatenate(side) for side in zip(*parts, strict=True))
    return Heard(labels, classes, features)


@torch.no_grad()
def probabilities(judge: PictureJudge, x: Tensor) -> Points:
    """Of each class, [pictures, classes]."""
    parts = [judge.net(part)[0].softmax(dim=1) for part in x.split(AT_ONCE)]
    return torch.cat(parts).double().numpy()


def inception(p: Points) -> float:
    """exp of the mean divergence of each picture's classes from those of all (Salimans et al.
    2016), by a classifier of this set: 1 to the number of classes."""
    p = np.maximum(p, 1e-12)
    return float(np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean()))


# --- kinds of networks ---------------------------------------------------------------------------


def of_classifier(model: PictureJudge, pictures: PictureSet) -> Figures:
    """Share of held-out pictures whose class is seen."""
    found = seen(model, as_tensor(pictures.held), pictures.held_labels)
    return {"accuracy": float((found.heard == found.labels).mean())}


@torch.no_grad()
def of_autoencoder(model: Autoencoder, objective: Code, standard: Standard) -> Figures:
    """On held-out pictures, with one draw of the latents each, and on samples of the prior."""
    x = as_tensor(standard.pictures.held)
    generator = torch.Generator().manual_seed(DRAW_SEED)
    nats, kl, latents = 0.0, 0.0, []
    for part in x.split(AT_ONCE):
        mean, log_std = model.distribution(part)
        z = mean + torch.exp(log_std) * torch.randn(mean.shape, generator=generator)
        nats += float(cross_entropy(model.logits(z), part).sum())
        kl += len(part) * float(kl_per_dimension(mean, log_std).sum())
        latents.append(z[..., 0])
    regulariser = objective.regulariser
    found: Figures = {"cross_entropy": nats / len(x), "mmd": to_prior(
        torch.cat(latents)[:MOST], regulariser)}
    if regulariser.config.kind == "kl":  # others do not minimise the bound
        found = {"nats": (nats + kl) / len(x), "kl": kl / len(x), **found}
    return {**found, **standard.figures(sampled(model, regulariser, MOST))}


@torch.no_grad()
def of_generator(model: Generator, standard: Standard) -> Figures:
    """All classes asked for equally often."""
    samples, labels = asked(model, MOST, len(standard.pictures.classes))
    found = standard.figures(samples)
    if not model.config.classes:
        return found
    right = seen(standard.judge, samples, labels)
    return {"accuracy": right.accuracy(), **found}


@torch.no_grad()
def sampled(model: Autoencoder, regulariser: Regulariser, count: int) -> Tensor:
    """Pictures of latents that are drawn from the prior, which is normal where there is none."""
    shape, generator = (count, model.config.latents), torch.Generator().manual_seed(DRAW_SEED)
    z = regulariser.prior(*shape, generator)
    if z is None:
        z = torch.randn(shape, generator=generator)
    return torch.cat([torch.sigmoid(model.logits(part[..., None])) for part in z.split(AT_ONCE)])


@torch.no_grad()
def asked(model: Generator, count: int, classes: int) -> tuple[Tensor, np.ndarray[Any, Any]]:
    """Pictures and the classes that were asked for, in turn."""
    labels = torch.arange(count) % classes
    z = torch.randn(count, model.config.latents, generator=torch.Generator().manual_seed(DRAW_SEED))
    parts = [model.made(*pair) for pair in zip(z.split(AT_ONCE), labels.split(AT_ONCE),
                                               strict=True)]
    return torch.cat(parts), labels.numpy()


def to_prior(z: Tensor, regulariser: Regulariser) -> float | None:
    """Squared MMD of latents [count, latents] to as many draws from the prior, by the kernel of the
    regulariser or an inverse multiquadric."""
    config = regulariser.config
    kernel = config.kernel if isinstance(config, WAEConfig) else "imq"
    other = regulariser.prior(len(z), z.shape[1], torch.Generator().manual_seed(DRAW_SEED))
    return None if other is None else plain(float(mmd(z, other, kernel)))


# --- floors and ceilings -------------------------------------------------------------------------


def baselines(standard: Standard) -> dict[str, Figures]:
    """Of real pictures, and of what knows nothing but the mean picture."""
    pictures = standard.pictures
    learn, held = as_tensor(pictures.learn), as_tensor(pictures.held)
    rng = np.random.default_rng(0)
    some = learn[rng.permutation(len(learn))[:MOST]]
    mean = learn.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    pixels = torch.stack([learn.flatten(1)[rng.integers(len(learn), size=MOST), place]
                          for place in range(pictures.side**2)], dim=1)
    count = standard.judge.config.latents
    two = [torch.randn(MOST, count, generator=torch.Generator().manual_seed(seed))
           for seed in (1, 2)]
    real = seen(standard.judge, held, pictures.held_labels)
    return {
        "real": {**standard.figures(some), "accuracy": float((real.heard == real.labels).mean()),
                 "cross_entropy": float(cross_entropy(torch.logit(held, 1e-6), held).mean()),
                 "mmd": plain(float(mmd(two[0], two[1], "imq")))},
        "untrained": {**standard.figures(pixels.view(-1, 1, pictures.side, pictures.side)),
                      "accuracy": float(np.bincount(pictures.held_labels).max() / len(held)),
                      "nats": float(cross_entropy(torch.logit(mean).expand_as(held), held).mean())}}
