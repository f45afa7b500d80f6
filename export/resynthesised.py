"""Methods that make sound of log-magnitudes. Those of two programs differ in their last bits; now
and then one is rounded to another level, a peak moves by a bin, and its phase stays another one for
good (`engine/layers/spectrum.py`). So such a method is judged in two parts:

    conditions ... -> log-magnitudes          by the method that ends there, as any other
    log-magnitudes -> resynth ... -> sound    given those that the file itself has made
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from engine.layers import Parallel, Resynth, Sequence, Streaming
from engine.models.base import Model
from engine.models.looped import flat
from engine.players.base import FloatArray

HIGHEST = 4.0  # nepers: what is louder is not played


def resynthesised(model: Model, method: str) -> str:
    """The method whose output `method` makes sound of, "" for one that makes none so."""
    return next((name for name in model.methods if _behind(model, method, name)), "")


def logarithms(model: Model, method: str) -> int:
    """How many of the first channels of `method` are log-magnitudes that others make sound of."""
    for name in model.methods:
        if _behind(model, name, method):
            return _behind(model, name, method)[0].in_channels
    return 0


def magnitudes(logs: FloatArray) -> FloatArray:
    """Of log-magnitudes, as far as they are played. Fewer bits are judged by these: beside numbers
    that are all far from 0 any error is small."""
    return np.asarray(np.exp(np.minimum(logs, HIGHEST)), np.float32)


def _behind(model: Model, method: str, beginning: str) -> list[Resynth]:
    """What makes sound in `method` behind all of what another, `beginning`, is."""
    layers, first = (flat(model.layers_of(name)) for name in (method, beginning))
    same = layers[: len(first)] == first
    return list(_resynths(layers[len(first) :])) if same else []


def _resynths(layers: Iterable[Streaming]) -> Iterator[Resynth]:
    """Among layers, and those inside."""
    for layer in layers:
        if isinstance(layer, Resynth):
            yield layer
        if isinstance(layer, Parallel | Sequence):
            yield from _resynths(layer)
