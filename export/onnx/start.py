"""The state in which an ONNX file starts, as its metadata says it.

    "start": {"state_in_3": "AAAA..."}    float32, little-endian, base64: one stream's, [1, ...]

States that are not named start from zeros, and so do all where there is no such key.
"""

from __future__ import annotations

import json
from base64 import b64encode

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from engine.models.base import Model
from engine.models.rest import silence

FATAL = 4  # ONNX Runtime's log level


def session(proto: ModelProto) -> ort.InferenceSession:
    """A model in memory, ready to run on one thread."""
    options = ort.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = 1
    return ort.InferenceSession(proto.SerializeToString(), options)


def start_of(proto: ModelProto, model: Model, method: str) -> str:
    """What the file itself remembers of silence, as JSON; empty where it starts from zeros."""
    x = silence(model, method)
    if x is None:
        return ""
    opened = session(proto)
    inputs = [i for i in opened.get_inputs() if i.name != "x"]
    feed = {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in inputs}
    outputs = [i.name.replace("_in_", "_out_") for i in inputs]
    if not outputs:
        return ""
    after = opened.run(outputs, {"x": x.cpu().float().numpy(), **feed})
    kept = {name: value for name, value, drawn in
            zip(feed, after, model.drawn_states[method] or (), strict=True) if not drawn}
    return json.dumps({name: b64encode(value.astype("<f4").tobytes()).decode("ascii")
                       for name, value in kept.items()})
