"""Small networks for small grey pictures. They are models of the house, so that its loop, its
averages and its objectives take them; none has a method that could be streamed or exported.

    PictureJudge   picture -> class            the judges' own classifier
    Autoencoder    picture -> latents -> picture, by layers over all pixels or by convolutions
    Generator      z, class -> picture         as in DCGAN (Radford et al. 2016)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from training.evaluation.picture_classifier import PictureClassifier
from training.objectives.discriminators import SLOPE, Build, Opinion


class ImageConfig(ModelConfig):
    """Shape of a network of pictures."""

    side: int = 28  # of a picture, a multiple of 4
    classes: int = 10  # 0: nothing is asked for
    latents: int = 20
    width: int = 32
    convolutions: bool = False  # of an autoencoder, in place of layers over all pixels


class ImageModel(Model):
    """Base: a model without methods."""

    config: ImageConfig

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config

    def chains(self) -> dict[str, Chain]:
        return {}


class PictureJudge(ImageModel):
    """Logits of classes, and features."""

    family = "picture_judge"

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.net = PictureClassifier((config.side, config.side), config.classes, config.width)


class Autoencoder(ImageModel):
    """Latents of pictures [batch, 1, side, side] of 0 to 1, and pictures of latents."""

    family = "picture_autoencoder"

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        width, latents, quarter = config.width, config.latents, config.side // 4
        if config.convolutions:
            flat = 2 * width * quarter**2
            self.encoder = nn.Sequential(
                nn.Conv2d(1, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 4, 2, 1),
                nn.ReLU(), nn.Flatten(), nn.Linear(flat, 2 * latents))
            self.decoder = nn.Sequential(
                nn.Linear(latents, flat), nn.ReLU(), nn.Unflatten(1, (2 * width, quarter, quarter)),
                nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.ReLU(),
                nn.ConvTranspose2d(width, 1, 4, 2, 1))
            return
        pixels = config.side**2
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(),
                                     nn.Linear(width, 2 * latents))
        self.decoder = nn.Sequential(nn.Linear(latents, width), nn.ReLU(),
                                     nn.Linear(width, pixels),
                                     nn.Unflatten(1, (1, config.side, config.side)))

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the spread of the latents, each [batch, latents, 1]: regularisers
        know latents by frames, and a picture is one."""
        mean, log_std = self.encoder(x)[..., None].chunk(2, dim=1)
        return mean, log_std.clamp(-7, 3)

    def logits(self, z: Tensor) -> Tensor:
        """Pictures of latents [batch, latents, 1] before the sigmoid: [batch, 1, side, side]."""
        return self.decoder(z[..., 0])


class ClassNorm(nn.Module):
    """Batch normalisation with a scale and a shift for each class (Dumoulin et al. 2017); one for
    all where there are none."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        self.asked = nn.Linear(classes, 2 * channels, bias=False) if classes else None
        if self.asked is not None:
            with torch.no_grad():
                self.asked.weight.zero_()[:channels] = 1

    def forward(self, x: Tensor, told: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self.asked is None or told is None:
            return x
        scale, shift = self.asked(told)[..., None, None].chunk(2, dim=1)
        return scale * x + shift


class Generator(ImageModel):
    """Pictures of 0 to 1 from a normal z and, where there are classes, which one is asked for."""

    family = "picture_generator"

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        width, quarter = config.width, config.side // 4
        self.first = nn.Sequential(
            nn.Linear(config.latents + config.classes, 4 * width * quarter**2),
            nn.Unflatten(1, (4 * width, quarter, quarter)))
        self.norms = nn.ModuleList(ClassNorm(size * width, config.classes) for size in (4, 2))
        self.layers = nn.ModuleList((nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
                                     nn.ConvTranspose2d(2 * width, 1, 4, 2, 1)))

    def told(self, labels: Tensor) -> Tensor | None:
        """What is asked for, [batch, classes]; None where nothing is."""
        classes = self.config.classes
        return F.one_hot(labels, classes).float() if classes else None

    def made(self, z: Tensor, labels: Tensor) -> Tensor:
        """[batch, latents], [batch] -> [batch, 1, side, side]."""
        told = self.told(labels)
        x = self.first(z if told is None else torch.cat((z, told), dim=1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(F.relu(norm(x, told)))
        return torch.sigmoid(x)


class PictureDiscriminator(nn.Module):
    """Strided convolutions with a spectral norm (Miyato et al. 2018), one score for a picture
    [batch, 1, side, side], and a projection on what was asked for (Miyato and Koyama 2018)."""

    def __init__(self, side: int, width: int, conditions: int) -> None:
        super().__init__()
        size = 4 * width
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in (
            nn.Conv2d(1, width, 4, 2, 1), nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.Conv2d(2 * width, size, 3, 2, 1)))
        left = -(-side // 8)
        self.score = spectral_norm(nn.Linear(size * left**2, 1))
        # Without that norm: it would bind all classes together to what one of them may weigh.
        self.asked = nn.Linear(conditions, size * left**2, bias=False) if conditions else None
        if self.asked is not None:
            nn.init.normal_(self.asked.weight, 0.0, (size * left**2) ** -0.5)

    def forward(self, seen: Tensor, told: Tensor | None = None) -> Opinion:
        x, features = 2 * seen - 1, []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        h = x.flatten(1)
        scores = self.score(h)
        if self.asked is not None and told is not None:
            scores = scores + (h * self.asked(told)).sum(dim=1, keepdim=True)
        return Opinion(scores, tuple(features))


# By side of a picture, width, and how many conditions are told beside it.
PICTURE_DISCRIMINATORS: dict[str, Build] = {
    "strided": lambda side, width, conditions: [PictureDiscriminator(side, width, conditions)]}
