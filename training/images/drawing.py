"""What is drawn of networks of pictures: samples, reconstructions, ways through the latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluation.judges.findings import Plot
from training.images.measures import asked, sampled
from training.images.networks import Autoencoder, Generator
from training.images.objectives import Code
from training.images.runs import Trained, as_tensor
from training.images.sets import PictureSet

COLUMNS, SHOWN = 10, 100
SPREADS = 2.5  # a traversal goes so far from the middle of a latent, in spreads of the prior
TRAVERSED = 8  # latents
SCATTERED = 2000
Draw = Callable[[Any], None]


def tiles(pictures: Tensor, columns: int = COLUMNS) -> NDArray[np.float32]:
    """Pictures [count, 1, side, side] side by side, with a line of grey between them."""
    rows = -(-len(pictures) // columns)
    side = pictures.shape[-1]
    sheet = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), 0.5, np.float32)
    for place, picture in enumerate(pictures):
        y, x = (side + 1) * (place // columns), (side + 1) * (place % columns)
        sheet[y : y + side, x : x + side] = picture[0].numpy()
    return sheet


def sheet(name: str, what: str, pictures: Tensor, caption: str, columns: int = COLUMNS) -> Plot:
    """A picture of many."""
    found = tiles(pictures, columns)

    def draw(axis: Any) -> None:
        axis.imshow(found, vmin=0, vmax=1, cmap="gray", interpolation="nearest")
        axis.set_axis_off()

    high, wide = found.shape
    return Plot(f"{name}_{what}.png", f"{name}: {caption}", draw, (6.0, 6.0 * high / wide))


def curves(name: str, trained: Trained) -> Plot:
    """Terms of the loss over steps."""
    def draw(axis: Any) -> None:
        for term, values in trained.curves.items():
            if term != "loss" or len(trained.curves) == 1:
                scale = max(np.abs(values).max(), 1e-12)
                axis.plot(trained.at, np.array(values) / scale, label=f"{term} / {scale:.3g}",
                          linewidth=1)
        axis.set_xlabel("steps")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)

    return Plot(f"{name}_curves.png", f"{name}: terms of the loss, each over its greatest value",
                draw, (6.0, 3.0))


@torch.no_grad()
def of_autoencoder(name: str, model: Autoencoder, objective: Code,
                   pictures: PictureSet) -> list[Plot]:
    """Reconstructions, samples, traversals, interpolations, and where classes lie."""
    held = as_tensor(pictures.held[: max(SCATTERED, 2 * COLUMNS)])
    mean, log_std = model.distribution(held)

    def shown(z: Tensor) -> Tensor:
        return torch.sigmoid(model.logits(z))

    pairs = torch.stack((held[: 3 * COLUMNS], shown(mean[: 3 * COLUMNS])), dim=0)
    lines = pairs.unflatten(1, (3, COLUMNS)).transpose(0, 1).flatten(0, 2)
    used = most_used(mean, log_std)
    found = [
        sheet(name, "reconstructions", lines, "held-out pictures, and below each what comes out "
              "of the mean of its latents"),
        sheet(name, "samples", sampled(model, objective.regulariser, SHOWN),
              "draws from the prior")]
    steps = torch.linspace(-SPREADS, SPREADS, COLUMNS + 1)
    ways = []
    for latent in used[:TRAVERSED]:
        z = mean[:1].repeat(len(steps), 1, 1)
        z[:, latent, 0] = steps
        ways.append(shown(z))
    found.append(sheet(name, "traversals", torch.cat(ways),
                       f"one latent of a picture from -{SPREADS} to {SPREADS}; above the one that "
                       "differs most between pictures", len(steps)))
    share = torch.linspace(0, 1, COLUMNS)[:, None, None]
    paths = [shown((1 - share) * mean[2 * row] + share * mean[2 * row + 1])
             for row in range(TRAVERSED)]
    found.append(sheet(name, "interpolations", torch.cat(paths), "straight lines between latents "
                       "of two held-out pictures"))
    return [*found, Plot(f"{name}_latents.png", f"{name}: held-out pictures by class, along the "
                         "two directions in which their latents differ most",
                         scattered(mean[..., 0], pictures))]


def most_used(mean: Tensor, log_std: Tensor) -> list[int]:
    """Numbers of the latents, the one that tells most about pictures first."""
    told = mean[..., 0].var(dim=0) / torch.exp(2 * log_std[..., 0]).mean(dim=0)
    order: list[int] = told.argsort(descending=True).tolist()
    return order


def scattered(z: Tensor, pictures: PictureSet) -> Draw:
    """Latents [pictures, latents] along their first two principal directions."""
    middle = z - z.mean(dim=0)
    points = (middle @ torch.linalg.svd(middle, full_matrices=False).Vh[:2].T).numpy()
    labels = pictures.held_labels[: len(points)]

    def draw(axis: Any) -> None:
        for number, name in enumerate(pictures.classes):
            own = points[labels == number]
            axis.scatter(own[:, 0], own[:, 1], s=4, label=name)
        axis.set(xlabel="first direction", ylabel="second direction")
        axis.legend(fontsize=7, markerscale=2)

    return draw


@torch.no_grad()
def of_generator(name: str, model: Generator, classes: Sequence[str]) -> list[Plot]:
    """Samples, a column for each class, and lines between two z of one class."""
    count = len(classes)
    samples, _ = asked(model, 10 * count, count)
    columns = count if model.config.classes else COLUMNS
    words = f"one column for each class: {', '.join(classes)}" if model.config.classes else "draws"
    z = torch.randn(2, count, model.config.latents, generator=torch.Generator().manual_seed(1))
    share = torch.linspace(0, 1, COLUMNS)[:, None]
    lines = []
    for number in range(count):
        # Along the sphere on which normal vectors lie: a straight line passes below it.
        one, two = z[0, number], z[1, number]
        way = torch.cos(share * torch.pi / 2) * one + torch.sin(share * torch.pi / 2) * two
        lines.append(model.made(way, torch.full((COLUMNS,), number)))
    return [sheet(name, "samples", samples, words, columns),
            sheet(name, "interpolations", torch.cat(lines), "from one z to another, one row for "
                  "each class" if model.config.classes else "from one z to another")]
