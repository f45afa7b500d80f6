"""What the families of loops share: a coder inside, and the methods that play it.

    generate   conditions -> latents               the family's own
    decode     latents -> audio                    the coder's
    play       conditions -> audio                 both, one after the other: what is played
    embed      audio from a bar line on -> code    the coder, then `WindowEncoder`
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.description import Attribute, Description
from engine.layers import Channels, Guard, Streaming
from engine.layers.fixed import Measured, Unfold
from engine.layers.noise import SEED, SEED_LIMIT
from engine.models.base import Model
from engine.models.chain import Chain, Link
from engine.models.coded import Coded
from engine.models.loops_config import KNOB_UNITS, STYLE, LoopConfig
from engine.models.loops_parts import (
    TEMPERATURE,
    Plan,
    WindowEncoder,
    features,
    held,
    ranges,
    spelt_out,
    uniform,
)
from engine.scores.loops import CODE, KNOBS


class LoopModel(Model):
    """Base of both families. What makes latents works on standardised ones: `heard` and `made`
    measure what the coder gives and takes."""

    config: LoopConfig
    knob_units: Tensor

    def __init__(self, config: LoopConfig, codec: Model | None = None) -> None:
        """`codec`: a model of the configuration's `coder`; training leaves it as it is."""
        super().__init__()
        assert codec is None or isinstance(codec, Coded)
        self.config, self.codec = config, codec
        if codec is not None:
            codec.requires_grad_(False)
        self.heard, self.made = Measured(config.latents), Measured(config.latents)
        self.held = held(config)
        told = features(config)
        # In a tuple: a family puts both into the layers of its own that hold them.
        self._planning = (told, Plan(config, told.out_channels), spelt_out(config))
        self.windows, self.uniform = WindowEncoder(config), uniform(config.codes)
        self.unfold = Unfold(config.latents, config.chunk)
        # Of density, brightness and loudness: means, then standard deviations, in onsets a second,
        # octaves above 1 Hz and dBFS.
        self.register_buffer("knob_units", torch.tensor([[0.0] * len(KNOBS), [1.0] * len(KNOBS)]))
        if config.styles:
            self.style_map = nn.Embedding(len(config.styles), len(STYLE))

    @property
    def features(self) -> Streaming:
        """From conditions to what the plan reads."""
        return self._planning[0]

    @property
    def plan(self) -> Plan:
        """From features to a chunk's plan."""
        return self._planning[1]

    @property
    def spelt_out(self) -> Streaming:
        """From a chunk's plan to means and log_stds of its latents."""
        return self._planning[2]

    def making(self) -> tuple[Link, ...]:
        """From guarded conditions to rows of standardised latents [chunk * latents]."""
        raise NotImplementedError

    def chains(self) -> dict[str, Chain]:
        config, labels = self.config, self.latent_labels
        count = len(config.labels)
        made: tuple[Link, ...] = (
            Guard(count), ("held", self.held), *self.making(), ("frames", self.unfold),
            ("made", self.made))
        generate = Chain.of(*made, inputs=config.labels, outputs=labels,
                            in_ratio=config.row_samples, role="generate", ranges=ranges(config))
        if self.codec is None:
            return {"generate": generate}
        decode = self.codec._chains[self._coding[1]]
        sound = tuple(zip(decode.names, decode.layers, strict=True))
        chains = {
            "play": Chain.of(*made, *sound, inputs=config.labels, outputs=decode.outputs,
                             in_ratio=config.row_samples, role="generate", ranges=ranges(config)),
            "generate": generate, "decode": decode,
        }
        if config.embed:
            encode = self.codec._chains[self._coding[0]]
            chains["embed"] = Chain.of(
                *zip(encode.names, encode.layers, strict=True), ("heard", self.heard),
                *((f"windows{i}", layer) for i, layer in enumerate(self.embedding())),
                inputs=encode.inputs,
                outputs=tuple(f"{CODE} {i + 1}" for i in range(config.codes)), role="embed")
        return chains

    def embedding(self) -> tuple[Streaming, ...]:
        """From standardised latents to codes of whole windows."""
        level, codes = self.config.levels, self.config.codes
        whiten: Any = self.windows.whiten[level]
        return (*self.windows.layers(level), Channels(2 * codes, 0, codes), whiten, self.uniform)

    def declared_attributes(self) -> tuple[Attribute, ...]:
        own = (Attribute(TEMPERATURE, 1, 1.0, 0.0, 4.0, "spread of what is drawn", ("",)),
               Attribute(SEED, 1, 0.0, 0.0, float(SEED_LIMIT), "another number, another loop",
                         ("",)))
        if self.codec is None:
            return own
        used = self.codec._chains[self._coding[1]].uses
        names = {attribute.name for attribute in own}
        return (*own, *(attribute for attribute in self.codec.declared_attributes()
                        if attribute.name in used and attribute.name not in names))

    def inside(self, method: str) -> tuple[Model, str] | None:
        if self.codec is None or method != "decode":
            return None
        return self.codec, self._coding[1]

    # --- the coder --------------------------------------------------------------------------

    @property
    def _coding(self) -> tuple[str, str]:
        """Names of the coder's methods that encode and decode."""
        assert self.codec is not None
        assert self.codec.coder is not None
        encode, decode = self.codec.coder
        return encode.name, decode.name

    @property
    def latent_labels(self) -> tuple[str, ...]:
        """Of the latents that are made."""
        if self.codec is None:
            return tuple(f"latent {i + 1}" for i in range(self.config.latents))
        return self.codec.methods[self._coding[1]].input_labels

    def adopt(self, coder: Model) -> None:
        """Take the weights of the coder, and what was measured of its latents."""
        assert self.codec is not None
        assert isinstance(coder, Coded)
        self.codec.load_state_dict(coder.state_dict())
        self.codec.set_latents(coder.latents)
        self.changed()

    @torch.no_grad()
    def measure(self, mean: Tensor, std: Tensor, knobs: Tensor) -> None:
        """What the coder's latents are on what is learnt from, each [latents]; means and standard
        deviations [2, knobs] of what knobs turn."""
        self.knob_units.copy_(knobs)
        self.heard.set(1 / std, -mean / std)
        self.made.set(std, mean)

    def describe(self, name: str, provenance: dict[str, Any] | None = None) -> Description:
        plain = super().describe(name, {**(provenance or {}), "conditions": self.units()})
        if self.codec is None:
            return plain
        return replace(plain, latents=self.codec.latents, controls=self.codec.controls)

    def units(self) -> dict[str, Any]:
        """What a value of 0 of each knob means, and one more; where each style lies on the map."""
        mean, std = (row.tolist() for row in self.knob_units)
        said: dict[str, Any] = {
            label: {"unit": unit, "mean": round(m, 4), "std": round(s, 4)}
            for label, unit, m, s in zip(KNOBS, KNOB_UNITS, mean, std, strict=True)}
        if self.config.styles:
            said["styles"] = {
                name: [round(x, 4) for x in place] for name, place in
                zip(self.config.styles, self.style_places().tolist(), strict=True)}
        return said

    @torch.no_grad()
    def latents_of(self, rows: Tensor) -> Tensor:
        """Latents [batch, latents, frames] of conditions, from fresh state."""
        return self.offline("generate", rows)

    @torch.no_grad()
    def sound_of(self, latents: Tensor) -> Tensor:
        """Audio [batch, channels, samples] of latents [batch, latents, frames]."""
        return self.offline("decode", latents)

    @torch.no_grad()
    def code_of(self, sound: Tensor) -> Tensor | None:
        """Codes [batch, codes, windows] of sound [batch, channels, samples] from a bar line on,
        whole windows; None for a model that finds none."""
        return self.offline("embed", sound) if "embed" in self.methods else None

    def style_places(self) -> Tensor:
        """Where the styles lie on the map [styles, 2]."""
        return torch.tanh(self.style_map.weight)

    # --- what training asks for -------------------------------------------------------------

    def planned(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features [batch, features, rows] of conditions, the plan [batch, width, rows], and its
        mean and log_std for standardised latents [batch, chunk * latents, rows]
        (`engine.layers.fixed.folded`)."""
        told = self.features(rows, ())[0]
        plan = self.plan(told, ())[0]
        mean, log_std = self.spelt_out(plan, ())[0].chunk(2, dim=1)
        return told, plan, mean, log_std
