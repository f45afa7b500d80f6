"""What attributes stand at while a quantised export is calibrated.

Those that only enter as rows (`control`) take turns through all of their range, so that no setting
of a class, a pitch or a knob meets rows whose scale was chosen without it; others stand at their
defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zlib import crc32

import torch
from torch import Tensor

from engine.description import Attribute
from export.native.nodes import CONVS, Program

SETTINGS = 16  # over the length of the signal


def through_range(defaults: Mapping[str, Tensor], declared: Mapping[str, Attribute],
                  programs: Mapping[str, Program]) -> dict[str, Tensor]:
    """Values [size], or [size, SETTINGS], which the simulator plays one after the other."""
    nodes = [node for program in programs.values() for node in program.nodes]
    rows = only_rows((node.kind, name) for node in nodes for name in node.attributes.values())
    return {name: settings_of(declared[name]) if name in rows else value
            for name, value in defaults.items()}


def only_rows(read: Iterable[tuple[str, str]]) -> set[str]:
    """Attributes that enter as rows and in no other way, from pairs of an operation's kind and an
    attribute that it reads."""
    pairs = set(read)  # a convolution that is left out changes nothing
    return ({name for kind, name in pairs if kind == "control"}
            - {name for kind, name in pairs if kind not in ("control", *CONVS)})


def settings_of(attribute: Attribute) -> Tensor:
    """[size, SETTINGS]: the default, both ends, each number alone at its end, and some by chance.
    """
    low, high, size = attribute.minimum, attribute.maximum, attribute.size
    generator = torch.Generator().manual_seed(crc32(attribute.name.encode()))
    drawn = low + (high - low) * torch.rand(SETTINGS, size, generator=generator)
    drawn[0], drawn[1], drawn[2] = attribute.default, low, high
    alone = torch.eye(size)[: SETTINGS // 2] * (high - low) + low
    drawn[3 : 3 + len(alone)] = alone
    return drawn[torch.randperm(SETTINGS, generator=generator)].T.contiguous()
