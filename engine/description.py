"""What a player must know of a model besides its weights: methods, attributes, rates, delays.

This is the metadata of every exported file (as JSON) and needs no PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf, lcm
from typing import TYPE_CHECKING, Any

from engine.errors import ModelFileError
from engine.players import native_format

METADATA_KEY = "tudor"  # extra file `tudor.json` in a .ts, metadata property in an .onnx
METADATA_VERSION = 1
# What a method is for, as core/roles.inc says it; code compares with these, never with names.
ROLES = tuple(native_format.roles())
EFFECT, ENCODE, DECODE, GENERATE, SCORE, EMBED = ROLES


@dataclass(frozen=True)
class Method:
    """One function of a model. A ratio is audio samples per frame of that side: 1 for audio.

    `lookahead_samples` is how late the output is although the arithmetic is causal;
    `receptive_field_samples` is how much of the past can matter (`inf` with recurrence);
    `granularity_samples` is the smallest block, where it is more than the ratios ask for: an
    autoencoder's forward takes audio and gives audio, yet in whole latent frames."""

    name: str
    in_channels: int
    in_ratio: int
    out_channels: int
    out_ratio: int
    input_labels: tuple[str, ...]
    output_labels: tuple[str, ...]
    lookahead_samples: int = 0
    receptive_field_samples: float = 1
    granularity_samples: int = 1
    role: str = ""  # one of `ROLES`; without one, a method called like a role has it
    # (low, high) of each input, where they are not latents that a corpus has measured.
    input_ranges: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.role:
            object.__setattr__(self, "role", role_by_name(self.name))
        if self.role not in ROLES:
            raise ValueError(f"method {self.name}: role {self.role!r} is none of {ROLES}")
        for side, count in (("input", self.in_channels), ("output", self.out_channels)):
            labels = getattr(self, f"{side}_labels")
            if len(labels) != count:
                raise ValueError(
                    f"method {self.name}: {count} {side} channels, but {len(labels)} labels"
                )
        if self.input_ranges and len(self.input_ranges) != self.in_channels:
            raise ValueError(f"method {self.name}: {self.in_channels} input channels, but "
                             f"{len(self.input_ranges)} ranges")

    @property
    def ratio(self) -> int:
        """Audio samples of the smallest block."""
        return lcm(self.in_ratio, self.out_ratio, self.granularity_samples)

    @property
    def in_frames(self) -> int:
        """Input frames of the smallest block."""
        return self.ratio // self.in_ratio

    @property
    def out_frames(self) -> int:
        """Output frames that the smallest block gives."""
        return self.ratio // self.out_ratio


def role_by_name(name: str) -> str:
    """The role of a method that was written before roles were."""
    return name if name in ROLES else EFFECT


def main_name(roles: Mapping[str, str]) -> str:
    """The method that is meant where none is named, from the role of each: the first that is an
    effect or generates, else the first of all."""
    whole = (name for name, own in roles.items() if own in (EFFECT, GENERATE))
    return next(whole, next(iter(roles)))


def main_method(methods: Mapping[str, Method]) -> Method:
    """What is meant where no method is named."""
    return methods[main_name({name: method.role for name, method in methods.items()})]


def coder_methods(methods: Mapping[str, Method]) -> tuple[Method, Method] | None:
    """Encode and decode, None unless a model has both."""
    by_role = {method.role: method for method in reversed(list(methods.values()))}
    if ENCODE not in by_role or DECODE not in by_role:
        return None
    return by_role[ENCODE], by_role[DECODE]


class HasMethods:
    """What follows from the methods that a model or its description has, by name."""

    if TYPE_CHECKING:  # worked out in the one, a field of the other

        @property
        def methods(self) -> dict[str, Method]: ...

    @property
    def main(self) -> Method:
        """The method that is meant where none is named."""
        return main_method(self.methods)

    @property
    def effect(self) -> Method | None:
        """The first method from audio to audio, if there is one."""
        return next((method for method in self.methods.values() if method.role == EFFECT
                     and method.in_ratio == method.out_ratio == 1), None)

    @property
    def coder(self) -> tuple[Method, Method] | None:
        """Encode and decode, None unless the model has both."""
        return coder_methods(self.methods)


@dataclass(frozen=True)
class Attribute:
    """Something a player may set while the model runs: `size` float32 numbers."""

    name: str
    size: int
    default: float
    minimum: float
    maximum: float
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Latent:
    """What one latent was found to do on the corpus, in the units that players use.

    `low` and `high` are the 1st and 99th percentile of what `encode` gives, so a knob or CV that
    spans them covers what the model knows; `nats` is what it carries per frame, `active` whether
    that is worth a knob. In training it was number `index` and `scale` times as large, which is
    where the prior lives. `follows` is the descriptor of the sound that it was taught to follow,
    `widened` what was added to its log_std so that `temperature` is heard."""

    low: float
    high: float
    mean: float
    std: float
    nats: float
    active: bool
    scale: float = 1.0
    index: int = 0
    follows: str = ""
    widened: float = 0.0

    def plain(self) -> dict[str, Any]:
        """As files hold it."""
        found = asdict(self)
        for key in ("follows", "widened"):
            if not found[key]:
                del found[key]
        return found


@dataclass(frozen=True)
class Description(HasMethods):
    """A model as its files describe it."""

    name: str
    family: str
    sample_rate_hz: int
    methods: dict[str, Method]
    attributes: dict[str, Attribute]
    config: dict[str, Any] = field(default_factory=dict)
    # How the file came to be and how well it was verified: free-form, for people and `tudor info`.
    provenance: dict[str, Any] = field(default_factory=dict)
    # In the order of decode's inputs, which is that of what they carry; empty if never measured.
    latents: tuple[Latent, ...] = ()
    # Beside the latents: what the last channels between encode and decode are.
    controls: tuple[str, ...] = ()
    # How instruments play it, where they should not derive that (docs/mapping.md).
    mapping: str = ""

    @property
    def ratio(self) -> int:
        """Audio samples of the smallest block that suits every method."""
        return max(method.ratio for method in self.methods.values())

    def method(self, name: str | None = None) -> Method:
        """The method called `name`, or an error that lists what there is; None: the main one."""
        if name is None:
            return self.main
        if name not in self.methods:
            raise ModelFileError(
                f"{self.name} has no method {name!r}; it has {', '.join(self.methods)}"
            )
        return self.methods[name]

    def to_json(self) -> str:
        """JSON text; an endless receptive field becomes null."""
        data = {"version": METADATA_VERSION, **asdict(self)}
        for method in data["methods"].values():
            if method["receptive_field_samples"] == inf:
                method["receptive_field_samples"] = None
            del method["input_ranges"]
        data["latents"] = [latent.plain() for latent in self.latents]
        for key in ("controls", "mapping"):
            if not data[key]:
                del data[key]
        # Plain pairs, which firmware/common reads without a parser.
        if self.latents:
            data["latent_ranges"] = [[latent.low, latent.high] for latent in self.latents]
        ranges = {name: method.input_ranges for name, method in self.methods.items()
                  if method.input_ranges}
        if ranges:
            data["input_ranges"] = ranges
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str, source: str) -> Description:
        """The inverse of `to_json`; `source` names the file in errors."""
        try:
            data = json.loads(text)
            version = data.pop("version")
            data.pop("latent_ranges", None)
            if version > METADATA_VERSION:
                raise ModelFileError(
                    f"{source}: written by a newer tudor (metadata version {version}, this one "
                    f"reads {METADATA_VERSION}); upgrade nn-tudor"
                )
            ranges = data.pop("input_ranges", {})
            data["methods"] = {k: _method(v, ranges.get(k, ()))
                               for k, v in data["methods"].items()}
            data["attributes"] = {
                k: Attribute(**{**v, "labels": tuple(v["labels"])})
                for k, v in data["attributes"].items()
            }
            data["latents"] = tuple(Latent(**v) for v in data.get("latents", ()))
            # Earlier versions said it among the settings.
            data["controls"] = tuple(data.get("controls", data["config"].get("controls", ())))
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(f"{source}: its tudor metadata is damaged ({error})") from None


def _method(data: dict[str, Any], ranges: Iterable[tuple[float, float]]) -> Method:
    field_samples = data["receptive_field_samples"]
    return Method(**{
        **data,
        "input_labels": tuple(data["input_labels"]),
        "output_labels": tuple(data["output_labels"]),
        "receptive_field_samples": inf if field_samples is None else field_samples,
        "input_ranges": tuple((low, high) for low, high in ranges),
    })
