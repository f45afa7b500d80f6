"""Loops by tokens: a plan as in `latent_vae`, and frames of latents spelt in codebooks.

    conditions -> features -> plan -> a row for each frame of the chunk
    frames before -+-> gated layers, dilations 1, 2, 4, ... -> token, token, ...  ->  a frame

Codebooks are residual (van den Oord et al. 2017; Zeghidour et al. 2021): each spells what those
before it leave over. Tokens of a frame are drawn one after the other, each knowing those before.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from engine.description import Attribute
from engine.layers import (
    Categorical,
    Conv1d,
    ConvTranspose1d,
    Embed,
    GatedStack,
    Guard,
    Identity,
    LeakyReLU,
    Loop,
    Parallel,
    Sequence,
    State,
    Streaming,
)
from engine.layers.base import Attributes, Shape
from engine.layers.noise import SEED
from engine.models.base import Model
from engine.models.chain import Link
from engine.models.loops import LoopModel
from engine.models.loops_config import LoopConfig, Width
from engine.models.loops_parts import TEMPERATURE

if TYPE_CHECKING:
    from engine.graph import Builder, Value

TOP_P = "top_p"
MEMORY = 0.98  # of how often entries were used, over the last batches
RARE = 0.02  # of the mean use: an entry that is used less takes the place of a frame


class TokensConfig(LoopConfig):
    """Shape of a prior over tokens and of its plan."""

    history_width: Width = 48
    history: Annotated[int, Field(ge=1, le=12)] = 6  # layers, dilations 1, 2, 4, ... frames
    books: Annotated[int, Field(ge=1, le=16)] = 8
    entries: Annotated[int, Field(ge=2, le=1024)] = 64  # of each book


class Entries(Embed):
    """A codebook. It follows what it is to spell, and is no weight of the network."""

    used: Tensor

    def __init__(self, entries: int, channels: int) -> None:
        super().__init__(entries, channels, torch.zeros(entries, channels))
        self.register_buffer("table", torch.zeros(entries, channels))  # stored, unlike a known one
        self.register_buffer("used", torch.zeros(entries))

    @torch.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """Which entry is nearest to each of `z` [..., channels]."""
        return (self.table.square().sum(dim=1) - 2 * z @ self.table.T).argmin(dim=-1)

    @torch.no_grad()
    def learn(self, z: Tensor) -> None:
        """Entries follow the mean of what is nearest to them (k-means, a batch [frames, channels]
        at a time); rare ones begin anew at a frame."""
        rare = self.used < RARE * self.used.mean().clamp_min(1.0)
        self.table[rare] = z[torch.randint(len(z), (int(rare.sum()),), device=z.device)]
        self.used[rare] = self.used.mean().clamp_min(1.0)
        token = self.nearest(z)
        sums = torch.zeros_like(self.table).index_add_(0, token, z)
        total = MEMORY * self.used[:, None] * self.table + (1 - MEMORY) * sums
        self.used.lerp_(torch.bincount(token, minlength=self.rows).to(z.dtype), 1 - MEMORY)
        self.table.copy_(total / self.used.clamp_min(1e-6)[:, None])


class Tokens(Streaming):
    """What the network heard [width] -> a frame [latents], token after token."""

    def __init__(self, width: int, latents: int, books: int, entries: int) -> None:
        super().__init__(width, latents)
        self.active = LeakyReLU(width)
        self.heads = nn.ModuleList(Conv1d(width, entries, 1) for _ in range(books))
        self.draws = nn.ModuleList(Categorical(entries, seed=book) for book in range(books))
        self.books = nn.ModuleList(Entries(entries, latents) for _ in range(books))
        self.known = nn.ModuleList(Embed(entries, width) for _ in range(books - 1))
        for embed in self.known:
            nn.init.normal_(embed.table, std=0.1)  # type: ignore[arg-type]

    @property
    def uses(self) -> tuple[str, ...]:
        return (TEMPERATURE, TOP_P, SEED)

    def state_shapes(self) -> list[Shape]:
        return [(1,)] * len(self.draws)

    def macs_per_frame(self) -> float:
        return sum(head.macs_per_frame() for head in self.heads)  # type: ignore[operator, misc]

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        y, after = torch.zeros_like(x[:, :1]), []
        for book, (head, draw, entries) in enumerate(self._each()):
            token, new = draw(head(self.active(x, ())[0], ())[0], (state[book],), attributes)
            after += new
            y = y + entries(token, ())[0]
            if book < len(self.known):
                x = x + self.known[book](token, ())[0]
        return y, tuple(after)

    def lower(self, build: Builder, x: Value) -> Value:
        rows = []
        for book, (head, draw, entries) in enumerate(self._each()):
            with build.scope(f"book{book}"):
                token = draw.lower(build, head.lower(build, self.active.lower(build, x)))
                rows.append(entries.lower(build, token))
                if book < len(self.known):
                    x = build.op("add", x, self.known[book].lower(build, token))  # type: ignore[operator]
        return reduce(lambda a, b: build.op("add", a, b), rows)

    def _each(self) -> Iterable[tuple[Any, Any, Any]]:
        return zip(self.heads, self.draws, self.books, strict=True)

    # --- what training asks for -------------------------------------------------------------

    def nats(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Of a frame, in the mean: `x` [batch, width, time], `tokens` [batch, books, time]."""
        found = []
        for book, head in enumerate(self.heads):
            token = tokens[:, book : book + 1]
            found.append(F.cross_entropy(head(self.active(x, ())[0], ())[0], token[:, 0]))
            if book < len(self.known):
                x = x + self.known[book](token, ())[0]
        return torch.stack(found).sum()

    def spelt(self, z: Tensor, learning: bool = False) -> tuple[Tensor, Tensor]:
        """Tokens [batch, books, time] of frames [batch, latents, time], and what they spell."""
        left, tokens = z.transpose(1, 2), []  # [batch, time, latents]
        for entries in self.books:
            if learning:
                entries.learn(left.flatten(0, 1))  # type: ignore[operator]
            tokens.append(entries.nearest(left))  # type: ignore[operator]
            left = left - entries.table[tokens[-1]]  # type: ignore[index]
        return torch.stack(tokens, dim=1), z - left.transpose(1, 2)


class LoopTokens(LoopModel):
    """Methods as of `latent_vae`; nothing is exported of it."""

    family: ClassVar[str] = "loop_tokens"
    config: TokensConfig

    def __init__(self, config: TokensConfig, codec: Model | None = None) -> None:
        super().__init__(config, codec)
        told, wide, size = self.features.out_channels, config.history_width, config.latents
        planned = told + config.width
        self.spelling = self.spelt_out  # not played: by it the plan is learnt
        self.before = Sequence(
            self.features, Parallel(Identity(told), self.plan, combine="concat"),
            ConvTranspose1d(planned, wide, config.chunk, config.chunk), LeakyReLU(wide))
        past = GatedStack(Conv1d(wide + size, wide, 1), None,
                          [2**i for i in range(config.history)])
        self.tokens = Tokens(wide, size, config.books, config.entries)
        self.loop = Loop(past, Sequence(self.tokens, Guard(size)))
        self.unfold = Identity(size)  # type: ignore[assignment]

    def declared_attributes(self) -> tuple[Attribute, ...]:
        own = Attribute(TOP_P, 1, 1.0, 0.05, 1.0, "share of the likeliest tokens", ("",))
        return (*super().declared_attributes(), own)

    def making(self) -> tuple[Link, ...]:
        return ("before", self.before), ("loop", self.loop)

    def heard_before(self, told: Tensor, plan: Tensor, z: Tensor) -> Tensor:
        """[batch, history_width, frames] of features and plans of chunks, and of all frames."""
        *_, opened, active = self.before
        rows = active(opened(torch.cat((told, plan), dim=1), ())[0], ())[0]
        return self.loop.teacher(rows, z)

