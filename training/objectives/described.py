"""Latents that follow descriptors of the sound: the first one loudness, then brightness and
noisiness, as far as there are so many.

After Pati and Lerch 2020 (Attribute-based regularization of latent spaces): of two frames, the
one that is louder should have the larger latent. What is learnt is an order, not a scale; how far
latents reach is left to the regulariser, and the sound to the distance. Differences of latents
count in units of their own spread, so that rescaling them changes nothing.

Training always has these latents in the first places. `arrange` puts them there when a run begins
from other weights; when weights are saved, `follows` says which latents do follow
(`objectives/latents.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.models.coded import Coded
from training.evaluation.measures import LOUDNESS_FLOOR
from training.objectives.controls import Grid, loudness

WINDOW_SECONDS = 0.032  # of spectra, at least two latent frames
QUIET = -6.0  # in bels: what is quieter is neither bright nor noisy
FLOOR = 1e-7  # of magnitudes
PAIRED = 256  # frames of a batch that are compared with each other
PART = 8  # crops that are encoded at a time
FOLLOWS = 0.5  # rank correlation from which a latent is named after its descriptor
PROBE_SECONDS, PROBES, PROBE_STEPS = 1.0, 8, 16  # length, count, and parts of each


def brightness(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Octaves of the spectral centroid above 1 Hz of each frame of `x` [batch, samples], and
    whether the frame is loud enough to have one: each [batch, frames]."""
    magnitude, known = _spectra(x, grid)
    hertz = torch.linspace(0, grid.rate_hz / 2, magnitude.shape[-1], device=x.device, dtype=x.dtype)
    return ((magnitude @ hertz) / magnitude.sum(dim=-1)).clamp_min(1.0).log2(), known


def noisiness(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Spectral flatness in bels, 0 for white noise: see `brightness`."""
    magnitude, known = _spectra(x, grid)
    power = magnitude.square()
    return power.log10().mean(dim=-1) - power.mean(dim=-1).log10(), known


def _spectra(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Magnitudes [batch, frames, bins] above a floor, and which frames are loud enough."""
    size = max(2 * round(WINDOW_SECONDS * grid.rate_hz / 2), 2 * grid.ratio)
    window = torch.hann_window(size, device=x.device, dtype=x.dtype)
    found = torch.fft.rfft(grid.windows(x, size) * (window / window.sum())).abs()
    level = (2 * found.square().sum(dim=-1)).clamp_min(LOUDNESS_FLOOR).log10()
    return found + FLOOR, level > QUIET


# Name, how it is measured, and the difference that counts as nearly a whole one.
DESCRIPTORS: dict[str, tuple[Callable[[Tensor, Grid], tuple[Tensor, Tensor]], float]] = {
    "loudness": (loudness, 0.3),  # 3 dB
    "brightness": (brightness, 0.25),  # a quarter of an octave
    "noisiness": (noisiness, 0.3),
}


def wanted(model: Coded) -> tuple[str, ...]:
    """The descriptor of each of the first latents; what a control says needs no latent."""
    return tuple(name for name in DESCRIPTORS if name not in model.controls)[: model.latent_count]


def grid_of(model: Coded) -> Grid:
    assert model.coder is not None
    return Grid.of(model.sample_rate_hz, model.coder[0])


def disorder(
    names: tuple[str, ...], grid: Grid, mean: Tensor, audio: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """How far the first latents of `mean` [batch, latents, frames] are from the order of what is
    measured in `audio` [batch, channels, samples]: 0 ... 2, the mean over `names`; and the share
    of pairs in the right order."""
    with torch.autocast(audio.device.type, enabled=False):
        mean, mono = mean.float(), audio.mean(dim=1).float()
        losses, figures = [], {}
        for index, name in enumerate(names):
            measure, whole = DESCRIPTORS[name]
            with torch.no_grad():
                values, known = measure(mono, grid)
            latent, values, known = (_some(part) for part in (mean[:, index], values, known))
            spread = latent.detach().std().clamp_min(1e-3)
            apart = (latent[:, None] - latent) / spread
            order = torch.tanh((values[:, None] - values) / whole)
            both = known[:, None] & known
            count = both.sum().clamp_min(1)
            losses.append(torch.where(both, (torch.tanh(apart) - order).abs(), 0).sum() / count)
            right = both & ((apart.detach() > 0) == (order > 0))
            figures[f"{name}_order"] = right.sum() / count
    return torch.stack(losses).mean() if losses else mean.new_zeros(()), figures


def _some(frames: Tensor) -> Tensor:
    """[batch, frames] -> at most `PAIRED` of them, evenly spread."""
    flat = frames.flatten()
    return flat[:: -(-len(flat) // PAIRED)]


@torch.no_grad()
def correlations(names: tuple[str, ...], grid: Grid, mean: Tensor, audio: Tensor) -> Tensor:
    """Rank correlation of every latent of `mean` [batch, latents, frames] with every descriptor of
    `audio` [batch, channels, samples]: [names, latents], 0 where one of both stands still."""
    mono, rows = audio.mean(dim=1).float(), []
    flat = mean.float().transpose(0, 1).flatten(1)
    for name in names:
        values, known = DESCRIPTORS[name][0](mono, grid)
        at = known.flatten()
        rows.append(_spearman(flat[:, at], values.flatten()[at]))
    return torch.stack(rows) if rows else flat.new_zeros(0, len(flat))


def _spearman(latents: Tensor, values: Tensor) -> Tensor:
    """[latents, frames] with [frames] -> [latents]."""
    if values.numel() < 3:
        return latents.new_zeros(len(latents))
    other = _ranks(values)
    return torch.stack([_ranks(row) @ other for row in latents]).to(latents)


def _ranks(x: Tensor) -> Tensor:
    """Ranks of a row less their mean, of unit length; 0 where all are equal. Ties share theirs."""
    _, place, count = x.unique(return_inverse=True, return_counts=True)
    ranks = (count.cumsum(0).double() - 0.5 * count)[place]
    ranks -= ranks.mean()
    return ranks / ranks.norm().clamp_min(1e-9)


def probes(rate_hz: int, channels: int, ratio: int) -> Tensor:
    """Sound in which loudness, brightness and noisiness change by themselves, the same at every
    call: [PROBES, channels, samples]."""
    generator = torch.Generator().manual_seed(0)
    part = -(-round(PROBE_SECONDS * rate_hz / PROBE_STEPS) // ratio) * ratio
    size, shape = part * PROBE_STEPS, (PROBES, PROBE_STEPS, 1)
    level = 10 ** (-2.5 * torch.rand(shape, generator=generator))
    centre = 60 * (0.4 * rate_hz / 60) ** torch.rand(shape, generator=generator)
    noisy = torch.rand(shape, generator=generator)
    hertz = torch.fft.rfftfreq(part, 1 / rate_hz)
    noise = torch.randn(PROBES, PROBE_STEPS, part, generator=generator)
    below = torch.fft.irfft(torch.fft.rfft(noise) / (1 + (hertz / centre).square()), part)
    tone = torch.sin(2 * torch.pi * centre * torch.arange(part) / rate_hz)
    mixed = noisy * below / below.std(dim=2, keepdim=True) + (1 - noisy) * tone
    return (0.3 * level * mixed).clamp(-1, 1).reshape(PROBES, 1, size).expand(-1, channels, -1)


@torch.no_grad()
def arrange(model: Coded) -> None:
    """Put the latents that follow descriptors, or come nearest to it, into the first places, turned
    the right way round. No sound changes. The same in every process."""
    names, device = wanted(model), next(model.parameters()).device
    follows = {latent.follows: i for i, latent in enumerate(model.latents) if latent.follows}
    audio = probes(model.sample_rate_hz, model.main.in_channels, model.ratio).to(device)
    mean, _ = model.distribution(audio)
    found = correlations(names, grid_of(model), mean[:, : model.latent_count], audio)
    free, order = found.abs(), []
    for name in sorted(names, key=lambda name: name not in follows):  # those known first
        row = names.index(name)
        at = follows.get(name, int(free[row].argmax()))
        free[:, at] = -1
        order.append((row, at))
    first = [at for _, at in sorted(order)]
    turned = torch.ones(model.latent_count, device=device)
    for row, at in enumerate(first):
        if found[row, at] < 0 and names[row] not in follows:
            turned[at] = -1
    model.rescale_latents(turned)
    rest = [i for i in range(model.latent_count) if i not in first]
    model.permute_latents(torch.tensor([*first, *rest], device=device))


@torch.no_grad()
def following(model: Coded, crops: Tensor) -> tuple[str, ...]:
    """What each latent of a trained model follows on `crops` [count, channels, samples], "" where
    nothing."""
    device, names, grid = next(model.parameters()).device, wanted(model), grid_of(model)
    crops = crops.to(device)
    mean = torch.cat([model.distribution(part)[0] for part in crops.split(PART)])
    found = correlations(names, grid, mean[:, : model.latent_count], crops)
    said = [name if found[i, i] >= FOLLOWS else "" for i, name in enumerate(names)]
    return (*said, *[""] * (model.latent_count - len(said)))
