"""Layers that draw from a distribution which the network before them gives, and the table that
turns what was drawn into rows.

Draws are made with counter-based noise (`engine/layers/noise.py`): the same seed, stream and frame
give the same number on every backend, so that what was drawn can be checked afterwards.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers.base import Attributes, Shape, State, Streaming
from engine.layers.noise import frame_numbers, noise_bits, stream_keys

if TYPE_CHECKING:
    from engine.graph import Builder, Value

LEAST_TEMPERATURE = 1e-3


class Draw(Streaming):
    """Common to both: `each` numbers for one output, attributes by name, a counter as state.

    `seed` is the layer's own; `seed_attribute` names what the player adds to it, "" for nothing."""

    op = ""
    noises = 1  # uniform numbers for each output

    def __init__(self, each: int, out_channels: int, seed: int, temperature: str,
                 seed_attribute: str) -> None:
        super().__init__(each * out_channels, out_channels)
        self.each, self.seed = each, seed
        self.temperature, self.seed_attribute = temperature, seed_attribute

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.temperature, *([self.seed_attribute] if self.seed_attribute else []))

    def state_shapes(self) -> list[Shape]:
        return [(1,)]

    def _uniforms(
        self, x: Tensor, counter: Tensor, attributes: Attributes
    ) -> tuple[Tensor, Tensor]:
        """Whole numbers below 2^32, [batch, out_channels, noises, time], and the counter after."""
        frames, counter = frame_numbers(counter, x)
        seed = attributes[self.seed_attribute] if self.seed_attribute else None
        keys = stream_keys(x.shape[0], seed, x.device)
        bits = noise_bits(frames, self.out_channels * self.noises, self.seed, keys)
        return bits.unflatten(1, (self.out_channels, self.noises)), counter

    def margins(self, x: Tensor, y: Tensor, attributes: Attributes, error: float) -> Tensor:
        """By how much, as a probability, the noise would have to be another for `y` to be drawn
        from `x` in a stream from its start: [batch, out_channels, time]. 0 where it is drawn;
        `error` is what float arithmetic may do to a number or a share."""
        raise NotImplementedError

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Log probability that `y` [batch, out_channels, time] is drawn from `x` at a temperature
        of 1: the same shape, with gradients."""
        raise NotImplementedError

    def distribution(self, x: Tensor) -> Tensor:
        """Log probabilities of all that may be drawn from `x`, at a temperature of 1: of each
        class, or of each step of the range. [batch, out_channels, classes or steps, time]."""
        raise NotImplementedError

    def _attributes(self) -> dict[str, int | float | str]:
        names: dict[str, int | float | str] = {"seed": self.seed, "temperature": self.temperature}
        if self.seed_attribute:
            names["seed_attribute"] = self.seed_attribute
        return names

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(self.op, x, channels=self.out_channels, attributes=self._attributes(),
                        state_shapes=self.state_shapes())


def _column(value: Tensor, dims: int) -> Tensor:
    """An attribute [1] or [batch, 1], ready to meet a tensor of `dims` axes."""
    return value.reshape(-1, *([1] * (dims - 1)))


def _weights(logits: Tensor, temperature: Tensor) -> Tensor:
    """exp(logits / temperature), the greatest 1: [batch, channels, classes, time]."""
    scaled = logits - logits.max(dim=2, keepdim=True)[0]
    return torch.exp(scaled / _column(temperature, 4).clamp_min(LEAST_TEMPERATURE))


def _likeliest(weights: Tensor, share: Tensor) -> Tensor:
    """Weights of the likeliest classes that together hold `share` of the whole, 0 for the others;
    equal ones stay or go together."""
    falling = weights.sort(dim=2, descending=True)[0]
    before = falling.cumsum(dim=2) - falling
    wanted = _column(share, 4) * weights.sum(dim=2, keepdim=True)
    # 2 is more than any weight; the greatest always stays.
    inside = torch.where(before < wanted, falling, torch.zeros_like(falling) + 2.0)
    least = torch.minimum(inside.min(dim=2, keepdim=True)[0], falling[:, :, :1])
    return torch.where((weights >= least) | (_column(share, 4) >= 1), weights,
                       torch.zeros_like(weights))


def _pick(weights: Tensor, u: Tensor) -> Tensor:
    """Number of the first class at which the sum of weights exceeds `u` of the whole. `u`:
    [batch, channels, time], 0 ... 1; returns int64 of that shape."""
    reached = weights.cumsum(dim=2)
    total = reached[:, :, -1:]
    chosen = (reached <= u.unsqueeze(2) * total).sum(dim=2)
    last = (reached < total).sum(dim=2)
    return torch.minimum(chosen, last)


def _logistic(bits: Tensor, dtype: torch.dtype) -> Tensor:
    """log(u / (1 - u)). 23 bits and an odd last one: u is never 0 or 1, and both are exact."""
    odd = torch.div(bits, 1 << 9, rounding_mode="floor") * 2 + 1
    return torch.log(odd.to(dtype) / ((1 << 24) - odd).to(dtype))


def _half_uniform(bits: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.div(bits, 1 << 8, rounding_mode="floor").to(dtype) * 2.0**-24


def _outside(weights: Tensor, u: Tensor) -> Tensor:
    """Distance of `u` [batch, channels, time] from the part of the whole that each class has:
    [batch, channels, classes, time]."""
    share = weights / weights.sum(dim=2, keepdim=True)
    high = share.cumsum(dim=2)
    u = u.unsqueeze(2)
    return (high - share - u).clamp_min(0) + (u - high).clamp_min(0)


class Categorical(Draw):
    """Numbers of classes, drawn by softmax(logits / temperature) from the likeliest classes that
    hold `top_p`. The channels are the logits of the first output, then those of the second, ..."""

    op = "categorical"

    def __init__(self, classes: int, out_channels: int = 1, seed: int = 3,
                 temperature: str = "temperature", top_p: str = "top_p",
                 seed_attribute: str = "seed") -> None:
        super().__init__(classes, out_channels, seed, temperature, seed_attribute)
        self.top_p = top_p

    @property
    def uses(self) -> tuple[str, ...]:
        return (*super().uses, self.top_p)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        bits, counter = self._uniforms(x, state[0], attributes)
        logits = x.unflatten(1, (self.out_channels, self.each))
        weights = _likeliest(_weights(logits, attributes[self.temperature]),
                             attributes[self.top_p])
        u = _half_uniform(bits.select(2, 0), x.dtype)
        return _pick(weights, u).to(x.dtype), (counter,)

    def margins(self, x: Tensor, y: Tensor, attributes: Attributes, error: float) -> Tensor:
        counter = torch.zeros((x.shape[0], 1), dtype=x.dtype, device=x.device)
        u = _half_uniform(self._uniforms(x, counter, attributes)[0].select(2, 0), x.dtype)
        weights = _weights(x.unflatten(1, (self.out_channels, self.each)),
                           attributes[self.temperature])
        chosen = y.round().long().unsqueeze(2)
        found = []
        for change in (0.0, -error, error):  # a class at the edge of the likeliest may be in or out
            kept = _likeliest(weights, attributes[self.top_p] + change)
            away = _outside(kept, u) + (kept == 0)
            found.append(away.gather(2, chosen).squeeze(2) + abs(change))
        exactly, *nearly = found
        return torch.where(exactly == 0, exactly, torch.stack([*nearly, exactly]).amin(dim=0))

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Log probability of the classes `y` [batch, out_channels, time] under the logits `x`, at a
        temperature of 1: the same shape."""
        logits = x.unflatten(1, (self.out_channels, self.each)).log_softmax(dim=2)
        return logits.gather(2, y.round().long().unsqueeze(2)).squeeze(2)

    def distribution(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.out_channels, self.each)).log_softmax(dim=2)

    def _attributes(self) -> dict[str, int | float | str]:
        return {**super()._attributes(), "top_p": self.top_p}


class LogisticMixture(Draw):
    """Numbers drawn from a mixture of logistic distributions, clamped to `limit`. The channels of
    each output are the logits of its parts, their means, and the logs of their scales.

    Temperature divides the logits and multiplies the scales."""

    op = "logistic_mixture"
    noises = 2  # which part, and how far from its mean
    LOG_SCALE_RANGE = (-16.0, 4.0)
    STEPS = 256  # of its range: what a distribution is told in

    def __init__(self, parts: int, out_channels: int = 1, limit: float = 1.0, seed: int = 3,
                 temperature: str = "temperature", seed_attribute: str = "seed") -> None:
        super().__init__(3 * parts, out_channels, seed, temperature, seed_attribute)
        self.parts, self.limit = parts, limit

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and logs of the scales, each [batch, out_channels, parts, time]."""
        logits, means, log_scales = x.unflatten(1, (self.out_channels, self.each)).chunk(3, dim=2)
        return logits, means, log_scales.clamp(*self.LOG_SCALE_RANGE)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        temperature = attributes[self.temperature]
        bits, counter = self._uniforms(x, state[0], attributes)
        logits, means, log_scales = self.split(x)
        part = _pick(_weights(logits, temperature), _half_uniform(bits.select(2, 0), x.dtype))
        numbers = torch.arange(self.parts, device=x.device).reshape(1, 1, -1, 1)
        chosen = numbers == part.unsqueeze(2)  # [batch, channels, parts, time]
        nothing = torch.zeros_like(means)
        mean = torch.where(chosen, means, nothing).sum(dim=2)
        log_scale = torch.where(chosen, log_scales, nothing).sum(dim=2)
        scale = _column(temperature, 3) * torch.exp(log_scale)
        drawn = mean + scale * _logistic(bits.select(2, 1), x.dtype)
        return drawn.clamp(-self.limit, self.limit), (counter,)

    def margins(self, x: Tensor, y: Tensor, attributes: Attributes, error: float) -> Tensor:
        counter = torch.zeros((x.shape[0], 1), dtype=x.dtype, device=x.device)
        temperature = attributes[self.temperature]
        bits, _ = self._uniforms(x, counter, attributes)
        logits, means, log_scales = self.split(x)
        away = _outside(_weights(logits, temperature), _half_uniform(bits.select(2, 0), x.dtype))
        scales = _column(temperature, 4) * torch.exp(log_scales)
        far = _logistic(bits.select(2, 1), x.dtype).unsqueeze(2)
        drawn = (means + scales * far).clamp(-self.limit, self.limit)
        room = error * (1 + means.abs() + (scales * far).abs())
        missed = (drawn - y.unsqueeze(2)).abs() > room
        return (away + missed).amin(dim=2)

    def log_prob(self, x: Tensor, y: Tensor, width: float = 2 / 255) -> Tensor:
        """Log probability that a draw falls within `width` around `y` [batch, out_channels, time];
        beyond the limit everything counts, for there draws are clamped."""
        return self.log_prob_between(x, y - width / 2, y + width / 2)

    def log_prob_between(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Log probability that a draw falls between `low` and `high` [batch, out_channels, time];
        edges at the limit or beyond are no edges."""
        logits, means, log_scales = self.split(x)
        inverse = torch.exp(-log_scales)
        low, high = low.unsqueeze(2), high.unsqueeze(2)
        first, last = (low - means) * inverse, (high - means) * inverse
        below = F.logsigmoid(last)  # everything up to the upper edge
        above = F.logsigmoid(-first)
        # log(cdf(last) - cdf(first)), as a product so that small differences are not lost
        inside = below + above + torch.log(-torch.expm1((first - last).clamp_max(-1e-7)))
        each = torch.where(low <= -self.limit, below,
                           torch.where(high >= self.limit, above, inside))
        return torch.logsumexp(logits.log_softmax(dim=2) + each, dim=2)

    def distribution(self, x: Tensor) -> Tensor:
        width = 2 * self.limit / (self.STEPS - 1)
        like = x[:, : self.out_channels] * 0
        return torch.stack([self.log_prob(x, like + (step * width - self.limit), width)
                            for step in range(self.STEPS)], dim=2)

    def _attributes(self) -> dict[str, int | float | str]:
        return {**super()._attributes(), "limit": self.limit}


class Embed(Streaming):
    """Row number x of a table [rows, channels]; x is rounded and held inside the table."""

    def __init__(self, rows: int, channels: int, table: Tensor | None = None) -> None:
        """`table`: fixed values; without, they are learned."""
        super().__init__(1, channels)
        self.rows = rows
        if table is None:
            self.table = nn.Parameter(torch.randn(rows, channels))
        else:
            if table.shape != (rows, channels):
                raise ValueError(f"Embed: a table of shape {[rows, channels]}, got "
                                 f"{list(table.shape)}")
            self.register_buffer("table", table.float(), persistent=False)  # known: not stored

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        number = torch.where(x >= 0, x, torch.zeros_like(x)).clamp(0, self.rows - 1) + 0.5
        rows = F.embedding(number.squeeze(1).to(torch.int64), self.table)
        return rows.transpose(1, 2), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("embed", x, channels=self.out_channels, weights={"table": self.table})


def mu_law_table(classes: int = 256) -> Tensor:
    """The audio sample of each class [classes, 1], finer near 0 (ITU-T G.711, as in WaveNet)."""
    y = torch.linspace(-1, 1, classes, dtype=torch.float64)
    mu = classes - 1
    return (y.sign() * torch.expm1(y.abs() * log(1 + mu)) / mu).float()[:, None]
