"""Methods that make sound of log-magnitudes. Those of two programs differ in their last bits; now
and then one is rounded to another level, a peak moves by a bin, and its phase stays another one for
good (`engine/layers/spectrum.py`). So such a method is judged in two parts:

    conditions ... -> log-magnitudes          by the method that ends there, as any other
    log-magnitudes -> resynth ... -> sound    given those that the file itself has made
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.layers import Parallel, Resynth, Sequence, Streaming
from engine.models.base import Model
from engine.models.looped import flat


def resynthesised(model: Model, method: str) -> str:
    """The method whose output `method` makes sound of, "" for one that makes none so."""
    layers = flat(model.layers_of(method))
    for name in model.methods:
        first = flat(model.layers_of(name))
        rest = layers[len(first) :]
        if rest and layers[: len(first)] == first and any(_holds_resynth(rest)):
            return name
    return ""


def _holds_resynth(layers: Iterable[Streaming]) -> Iterable[bool]:
    """Of layers, and those inside."""
    for layer in layers:
        yield isinstance(layer, Resynth)
        if isinstance(layer, Parallel | Sequence):
            yield from _holds_resynth(layer)
