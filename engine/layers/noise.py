"""Counter-based noise: the same numbers in every backend, from integers alone.

Sample n of channel c is a 32-bit hash of n * channels + c (+ seed), so noise has no sequence to
follow: any block of it can be computed from the frame counter, which is the only state. All
products stay below 2^63, so that int64 arithmetic (TorchScript, ONNX) and uint32 arithmetic (C)
agree.

Each stream of a batch (voice) has a key, which enters in the middle of the hash: the sequences are
scrambled against each other, not shifted. The player's attribute `seed` gives all of them others.
The first stream with seed 0 has key 0, which changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.layers.base import Attributes, Shape, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value

# Two rounds of multiply and xor-shift; multipliers found by C. Wellons' hash prospector. Both are
# odd and below 2^31, which keeps 32-bit * 31-bit products inside int64.
MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
COUNTER_PERIOD = 2**24  # float32 counts exactly up to here; 37 hours of frames at 125 Hz
MASK = 0xFFFFFFFF
SEED = "seed"  # the attribute: a whole number
SEED_LIMIT = 2**24 - 1  # float32 holds it exactly
ROUNDS = 4  # uniforms of a number that is close to normal


def hash32(n: Tensor, key: Tensor | None = None) -> Tensor:
    """Scramble int64 values in [0, 2^32) into int64 values in [0, 2^32); 0 stays 0."""
    # Division stands for the right shift: ONNX shifts unsigned integers only.
    n = n ^ torch.div(n, 1 << 16, rounding_mode="floor")
    n = (n * MULTIPLIERS[0]) & MASK
    if key is not None:
        n = n ^ key
    n = n ^ torch.div(n, 1 << 15, rounding_mode="floor")
    n = (n * MULTIPLIERS[1]) & MASK
    return n ^ torch.div(n, 1 << 15, rounding_mode="floor")


def unhash32(n: Tensor) -> Tensor:
    """The inverse of `hash32` without a key."""
    for multiplier in reversed(MULTIPLIERS):
        n = n ^ (n >> 15) ^ (n >> 30)
        inverse = pow(multiplier, -1, 1 << 32)  # in halves: a product of both would not fit
        n = (n * (inverse & 0xFFFF) + ((n * (inverse >> 16)) & 0xFFFF) * 0x10000) & MASK
    return n ^ (n >> 16)


def frame_numbers(counter: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Frame index of each frame of `x` and the counter after it.

    `counter`: [batch, 1] float, frames played so far. Returns int64 [batch, 1, time] and the new
    counter, both modulo `COUNTER_PERIOD`."""
    # A cumulative sum counts the frames of a block whose length an exported graph does not know.
    steps = torch.cumsum(torch.ones_like(x[:1, :1, :], dtype=torch.int64), dim=2)  # 1 ... time
    after = torch.remainder(counter.to(torch.int64).unsqueeze(2) + steps, COUNTER_PERIOD)
    before = torch.remainder(after + (COUNTER_PERIOD - 1), COUNTER_PERIOD)
    return before, after[:, :, -1].to(counter.dtype)


def stream_keys(
    batch: int, seed: Tensor | None, device: torch.device, first: int = 0
) -> Tensor:
    """Key of each stream, int64 [batch, 1, 1]; `seed`: the attribute, float [1], or
    [batch, 1] where streams differ; `first`: number of the first, where a batch is part of one."""
    streams = torch.arange(batch, device=device)
    if first:  # never in a trace, which would keep an operation for it
        streams = streams + first
    streams = streams * MULTIPLIERS[0]
    if seed is not None:
        streams = streams + hash32(seed.to(torch.int64)).reshape(-1)  # of all, or of each
    return hash32(streams & MASK).reshape(-1, 1, 1)


def seeds_alike(batch: int, seed: int) -> Tensor:
    """Values of the attribute `seed`, int64 [batch, 1], with which every stream of a batch draws
    what the first one draws with `seed`: batches in which nothing but the input differs."""
    first = hash32(torch.tensor(seed))
    return unhash32((first - torch.arange(batch) * MULTIPLIERS[0]) & MASK).reshape(-1, 1)


def noise_bits(frames: Tensor, channels: int, seed: int, keys: Tensor | None = None) -> Tensor:
    """Scrambled whole numbers below 2^32, int64 [batch, channels, time]. `frames`: int64 [batch, 1,
    time]; `seed`: the layer's own."""
    lanes = torch.arange(channels, device=frames.device).reshape(1, channels, 1)
    return hash32((frames * channels + lanes + seed) & MASK, keys)


def uniform(
    frames: Tensor, channels: int, seed: int, dtype: torch.dtype, keys: Tensor | None = None
) -> Tensor:
    """Uniform noise in [-1, 1) with 24 bits. `frames`: int64 [batch, 1, time]."""
    bits = noise_bits(frames, channels, seed, keys)
    return torch.div(bits, 1 << 8, rounding_mode="floor").to(dtype) * 2.0**-23 - 1.0


def normal(
    frames: Tensor, channels: int, seed: int, dtype: torch.dtype, keys: Tensor | None = None
) -> Tensor:
    """Noise close to normal, of the numbers `frames`."""
    u = uniform(frames, channels * ROUNDS, seed, dtype, keys)  # [batch, rounds * channels, time]
    return sum_of_uniforms(*u.chunk(ROUNDS, dim=1))


def sum_of_uniforms(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Close to normal: the sum of four uniforms over -1 ... 1 (variance 4/3), scaled to variance 1.
    """
    return ((a + b) + (c + d)) * 0.75**0.5


def whole_numbers(x: Tensor) -> Tensor:
    """The nearest whole numbers that a frame counter may be, int64; what is no number is 0."""
    held = torch.where(x >= 0, x, torch.zeros_like(x)).clamp(max=float(COUNTER_PERIOD - 1))
    whole = held.to(torch.int64)  # of held + 0.5 it would be too much from 2^23 on
    return whole + (held - whole >= 0.5).to(torch.int64)


class NoiseMultiply(Streaming):
    """x * uniform noise in [-1, 1): turns a positive envelope into noise of that envelope."""

    def __init__(self, channels: int, seed: int = 1) -> None:
        super().__init__(channels, channels)
        self.seed = seed
        self.first_stream = 0  # training on several processes shares a batch

    def state_shapes(self) -> list[Shape]:
        return [(1,)]

    @property
    def may_use(self) -> tuple[str, ...]:
        return (SEED,)

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        frames, counter = frame_numbers(state[0], x)
        keys = stream_keys(x.shape[0], (attributes or {}).get(SEED), x.device,
                           self.first_stream)
        return x * uniform(frames, self.in_channels, self.seed, x.dtype, keys), (counter,)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("noise_multiply", x, attributes={"seed": self.seed, "seed_attribute": SEED},
                        state_shapes=self.state_shapes())


class LatentSample(Streaming):
    """mean + temperature * exp(log_std) * g: a latent drawn around the encoder's mean.

    The input stacks mean and log_std, [batch, 2 * latents, time]. g is close to normal.
    `temperature` is an attribute."""

    LOG_STD_RANGE = (-10.0, 2.0)
    ATTRIBUTE = "temperature"

    def __init__(self, latents: int, seed: int = 2) -> None:
        super().__init__(2 * latents, latents)
        self.seed = seed

    def state_shapes(self) -> list[Shape]:
        return [(1,)]

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.ATTRIBUTE,)

    @property
    def may_use(self) -> tuple[str, ...]:
        return (SEED,)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        temperature = attributes[self.ATTRIBUTE]
        if temperature.dim() == 2:  # one per stream
            temperature = temperature.unsqueeze(2)
        mean, log_std = x.chunk(2, dim=1)
        frames, counter = frame_numbers(state[0], x)
        keys = stream_keys(x.shape[0], attributes.get(SEED), x.device)
        g = normal(frames, self.out_channels, self.seed, x.dtype, keys)
        return mean + temperature * torch.exp(log_std.clamp(*self.LOG_STD_RANGE)) * g, (counter,)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("latent_sample", x, channels=self.out_channels,
                        attributes={"seed": self.seed, "seed_attribute": SEED,
                                    "temperature": self.ATTRIBUTE},
                        state_shapes=self.state_shapes())


class KeyedNoise(Streaming):
    """A number [batch, 1, time] -> noise of that number [batch, channels, time], close to normal.

    The same number gives the same noise whenever it comes, so a loop of numbers is a loop of noise;
    each stream, and another attribute `seed`, gives other noise. Numbers are rounded to the nearest
    whole one and held from 0 to 2^24 - 1; what is no number counts as 0. Nothing is remembered."""

    def __init__(self, channels: int, seed: int = 3) -> None:
        super().__init__(1, channels)
        self.seed = seed

    @property
    def may_use(self) -> tuple[str, ...]:
        return (SEED,)

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        keys = stream_keys(x.shape[0], (attributes or {}).get(SEED), x.device)
        return normal(whole_numbers(x), self.out_channels, self.seed, x.dtype, keys), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("keyed_noise", x, channels=self.out_channels,
                        attributes={"seed": self.seed, "seed_attribute": SEED})
