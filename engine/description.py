"""What a player must know of a model besides its weights: methods, attributes, rates, delays.

This is the metadata of every exported file (as JSON) and needs no PyTorch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from math import inf, lcm
from typing import Any

from engine.errors import ModelFileError

METADATA_KEY = "tudor"  # extra file `tudor.json` in a .ts, metadata property in an .onnx
METADATA_VERSION = 1


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

    def __post_init__(self) -> None:
        for side, count in (("input", self.in_channels), ("output", self.out_channels)):
            labels = getattr(self, f"{side}_labels")
            if len(labels) != count:
                raise ValueError(
                    f"method {self.name}: {count} {side} channels, but {len(labels)} labels"
                )

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
    where the prior lives."""

    low: float
    high: float
    mean: float
    std: float
    nats: float
    active: bool
    scale: float = 1.0
    index: int = 0


@dataclass(frozen=True)
class Description:
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

    @property
    def controls(self) -> tuple[str, ...]:
        """Controls beside the latents: what the last channels between encode and decode are."""
        return tuple(self.config.get("controls", ()))

    @property
    def ratio(self) -> int:
        """Audio samples of the smallest block that suits every method."""
        return max(method.ratio for method in self.methods.values())

    def method(self, name: str) -> Method:
        """The method called `name`, or an error that lists what there is."""
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
        if self.latents:  # once more as plain pairs: firmware/common reads these, without a parser
            data["latent_ranges"] = [[latent.low, latent.high] for latent in self.latents]
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
            data["methods"] = {k: _method(v) for k, v in data["methods"].items()}
            data["attributes"] = {
                k: Attribute(**{**v, "labels": tuple(v["labels"])})
                for k, v in data["attributes"].items()
            }
            data["latents"] = tuple(Latent(**v) for v in data.get("latents", ()))
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(f"{source}: its tudor metadata is damaged ({error})") from None


def _method(data: dict[str, Any]) -> Method:
    field_samples = data["receptive_field_samples"]
    return Method(**{
        **data,
        "input_labels": tuple(data["input_labels"]),
        "output_labels": tuple(data["output_labels"]),
        "receptive_field_samples": inf if field_samples is None else field_samples,
    })
