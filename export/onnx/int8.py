"""Trained model -> ONNX with 8-bit convolutions: weights and inputs int8, calibrated statically.

ONNX Runtime's own quantiser puts QuantizeLinear and DequantizeLinear around convolutions (QDQ).
Everything else, and the state that goes in and comes out, stays float32. Calibration plays the
audio as a host would: blocks in order, the state handed on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import Tensor

from engine.description import Description
from engine.errors import ConfigError, nearest
from engine.models.base import Model
from engine.models.rest import from_zeros
from engine.players.base import load
from export.onnx.export import build_method, method_files, save_method, write_starts
from export.onnx.start import FATAL, session
from export.quantise.calibration import Request
from export.quantise.comparison import (
    Comparison,
    Layer,
    aim_of,
    compare,
    float_outputs,
    heard_seconds,
    peaks,
    played_outputs,
    signals,
)
from export.quantise.sensitivity import MARGIN_DB, decibels, error_ratio
from export.quantise.settings import only_rows, settings_of
from export.replay import is_looped

BLOCK_UNITS = 32  # smallest blocks per calibration block
RANKING_SHARE = 0.15  # of the audio, to see what each layer does alone
# Unsigned, as activations are: ONNX Runtime adds pairs of unsigned by signed products in 16 bits,
# which saturate, on x86 processors without VNNI. A small model had 3 dB there, and more than 10
# like this.
WEIGHTS = QuantType.QUInt8

Feed = dict[str, NDArray[np.float32]]


class Blocks(CalibrationDataReader):  # type: ignore[misc]
    """Feeds blocks of one signal [in_channels, frames], each with the state that the float model
    has there. `settings` [size, n] of attributes take their turns."""

    def __init__(self, proto: ModelProto, x: NDArray[np.float32], block: int,
                 settings: Mapping[str, Tensor] | None = None) -> None:
        self._settings = {f"attribute_{k}": v.numpy() for k, v in (settings or {}).items()}
        self._session = session(proto)
        self._x, self._block, self._at = x, block, 0
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._state = fresh(self._session)

    def get_next(self) -> Feed | None:
        """The next whole block."""
        if self._at + self._block > self._x.shape[1]:
            return None
        feed = {"x": self._x[None, :, self._at : self._at + self._block], **self._state}
        feed.update({name: values[None, :, self._at * values.shape[1] // self._x.shape[1]]
                     for name, values in self._settings.items()})
        self._at += self._block
        after = dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        self._state = {name: after[name.replace("_in_", "_out_")] for name in self._state}
        return feed


def fresh(opened: ort.InferenceSession) -> Feed:
    """Zero state of one stream."""
    return {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in opened.get_inputs()
            if i.name != "x"}


def play(proto: ModelProto, x: Tensor) -> Tensor:
    """A whole signal [in_channels, frames] from fresh state."""
    opened = session(proto)
    return torch.from_numpy(opened.run(["y"], {"x": x.numpy()[None], **fresh(opened)})[0][0])


class Method8:
    """One method on its way to 8 bits."""

    def __init__(self, model: Model, description: Description, method: str, signal: Tensor) -> None:
        self.method = method
        self.layers: dict[str, str] = {}
        graph, declared = model.graph(method), description.attributes
        self.proto = build_method(graph, description, self.layers)
        self._settings = {name: settings_of(declared[name]) for name in only_rows(
            (op.kind, name) for op in graph.ops for name in op.attributes.values()
            if name in declared)}
        self.signal = signal
        self._block = model.methods[method].in_frames * BLOCK_UNITS

    def quantised(self, kept: set[str], share: float = 1.0,
                  ranges: CalibrationMethod = CalibrationMethod.MinMax) -> ModelProto:
        """The method with all convolutions in 8 bits but those in `kept`, calibrated with a part
        of the signal."""
        count = max(self._block, int(self.signal.shape[1] * share) // self._block * self._block)
        chosen = [node for name, node in self.layers.items() if name not in kept]
        if not chosen:
            return self.proto
        x = self.signal.numpy()
        if x.shape[1] < self._block:
            raise ConfigError(f"{self.method}: too little audio to calibrate with")
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            plain, done = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
            onnx.save(self.proto, plain)
            quantize_static(
                plain, done, Blocks(self.proto, x[:, :count], self._block, self._settings),
                quant_format=QuantFormat.QDQ, per_channel=True, calibrate_method=ranges,
                activation_type=QuantType.QUInt8, weight_type=WEIGHTS,
                op_types_to_quantize=["Conv", "ConvTranspose"], nodes_to_quantize=chosen,
            )
            return onnx.load(done)

    def snr_db(self, kept: set[str], exact: Tensor, share: float) -> float:
        """SNR with these layers kept, on the part of the signal that `exact` belongs to."""
        part = self.signal[:, : int(self.signal.shape[1] * share) // self._block * self._block]
        y = play(self.quantised(kept, share), part)
        return decibels(1.0, error_ratio(exact[:, : y.shape[1]], y))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice and the warnings that the quantiser prints."""
    ort.set_default_logger_severity(FATAL)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        ort.set_default_logger_severity(2)


def export_quantised(model: Model, path: Path, description: Description,
                     request: Request) -> Comparison:
    """Write `model` to `path` and beside it in 8 bits, and compare with float32.

    All is calibrated and compared from zeros; the state to start in is said last."""
    final, model = model, from_zeros(model)
    looped = [name for name in model.methods if is_looped(model, name)]
    if looped:
        raise ConfigError(f"{looped[0]} reads its own output: ONNX Runtime quantises nothing in a "
                          "loop; use --to native with --dtype bf16w or q16x8, or float32")
    request.tell(f"calibrating with {request.material.source}")
    inputs = signals(model, request.material, held_out=False)
    parts = {m: Method8(model, description, m, inputs[m]) for m in description.methods}
    known = {name for part in parts.values() for name in part.layers}
    kept = set() if request.keep in (("auto",), ("none",)) else set(request.keep)
    for name in kept - known:
        raise ConfigError(f"--keep {name}: no layer has that name{nearest(name, known)}")
    exact = float_outputs(model, inputs)
    alone = {m: {} if _is_composed(m, parts) else _alone(parts[m], exact[m]) for m in parts}
    if request.auto:
        request.tell("choosing layers to keep in float32")
        aims = {m: aim_of(spec).kept for m, spec in model.methods.items()}
        kept = _keep_auto(parts, exact, alone, aims)
    files = method_files(path, description.methods)
    for method, file in files.items():
        proto = parts[method].quantised(kept)
        weights = sum(len(t.raw_data) for t in proto.graph.initializer)
        save_method(proto, file, description, method, files, weights)
    request.tell("comparing with float32 on held-out audio")
    audio = request.material.held_out
    held_out = signals(model, request.material, held_out=True)
    outputs, played = float_outputs(model, held_out), played_outputs(load(path), held_out)
    losses = compare(model, audio, peaks(inputs), outputs, played, request.auto,
                     _layers(alone, kept))
    write_starts(path, final, description)
    return Comparison(request.dtype, request.material.source,
                      heard_seconds(model, held_out), losses,
                      tuple(sorted(kept)), request.material.notes, outputs, played)


def _is_composed(method: str, parts: Mapping[str, Method8]) -> bool:
    """Whether other methods hold all layers of this one."""
    own = set(parts[method].layers)
    others = [set(p.layers) for m, p in parts.items() if m != method]
    return set().union(*(o for o in others if o < own)) == own


def _alone(part: Method8, exact: Tensor) -> dict[str, float]:
    """SNR of the method when one layer alone has 8 bits, for each."""
    names = set(part.layers)
    return {name: part.snr_db(names - {name}, exact, RANKING_SHARE) for name in part.layers}


def _keep_auto(parts: Mapping[str, Method8], exact: Mapping[str, Tensor],
               alone: Mapping[str, dict[str, float]], aims: Mapping[str, float]) -> set[str]:
    """Worst layers first, until every method reaches its aim."""
    kept: set[str] = set()
    ranking = sorted(((snr, name) for rows in alone.values() for name, snr in rows.items()))
    for method, part in parts.items():
        left = [name for _, name in ranking if name in part.layers and name not in kept]
        while left and part.snr_db(kept, exact[method], RANKING_SHARE) < aims[method] + MARGIN_DB:
            kept.add(left.pop(0))
    return kept


def _layers(alone: Mapping[str, dict[str, float]], kept: set[str]) -> dict[str, tuple[Layer, ...]]:
    return {method: tuple(
        Layer(name, "conv", "float32" if name in kept else "int8", 0.0, None,
              None if name in kept else round(snr, 2))
        for name, snr in rows.items()) for method, rows in alone.items() if rows}
