"""Plays exported ONNX files with numpy and ONNX Runtime; no PyTorch, no onnx package.

A method is a file; the others lie beside it and are opened when first asked for. State never
leaves the runtime: two sets of buffers are bound once, and every block reads one set and writes
the other.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime as ort

from engine.description import METADATA_KEY, Description, Method
from engine.errors import ConfigError, ModelFileError
from engine.players.base import FloatArray, Player, same_for_all

CHECKSUM_KEY = "sha256"
WEIGHTS_KEY = "weights_bytes"
START_KEY = "start"
Device = tuple[str, int]
CPU: Device = ("cpu", 0)
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxPlayer(Player):
    """A model in ONNX files, one per method."""

    backend: ClassVar[str] = "onnx"

    def __init__(
        self, path: str | Path, batch: int = 1, threads: int = 1, device: str = "cpu"
    ) -> None:
        self._device = check_device(device)
        self._threads = threads
        main = Path(path)
        opened = open_file(main, self._device, threads)
        super().__init__(opened.description, main, batch)
        self._files = _files(main, opened)
        self._opened = {opened.method: opened}

    def _open(self, method: str) -> Opened:
        """The open file of a method, opened now if this is its first use."""
        if method not in self._opened:
            file = self._files.get(method)
            if file is None or not file.is_file():
                raise ModelFileError(
                    f"{self.path} lacks method {method!r}: it lives in "
                    f"{file.name if file else 'a file'} beside it, which is not there"
                )
            opened = open_file(file, self._device, self._threads)
            if opened.method != method or not _same_model(opened.description, self.description):
                raise ModelFileError(f"{file} belongs to another model than {self.path}")
            self._opened[method] = opened
        return self._opened[method]

    def _stream(self, method: str, state: _Streams) -> _Stream:
        """The state of one method, made at its first use."""
        if method not in state.methods:
            stream = _Stream(self._open(method), self.batch, self._device)
            for name in self._set:
                stream.set(name, self._values[name])
            state.methods[method] = stream
        return state.methods[method]

    def _run(self, method: Method, x: FloatArray, state: _Streams) -> FloatArray:
        frames = x.shape[2] // method.in_frames * method.out_frames
        shape = (self.batch, method.out_channels, frames)
        return self._stream(method.name, state).run(x, shape)

    def _new_state(self) -> _Streams:
        return _Streams()

    def _reset(self, state: _Streams) -> None:
        for stream in state.methods.values():
            stream.reset()

    def _apply(self, state: _Streams, name: str, value: FloatArray) -> None:
        for stream in state.methods.values():
            stream.set(name, value)

    def state_bytes(self, method: str) -> int:
        return self._stream(method, self._or_own(None)).state_bytes

    def weights_bytes(self, method: str) -> int:
        return self._open(method).weights_bytes


class _Streams:
    """The state of every method that was used so far."""

    def __init__(self) -> None:
        self.methods: dict[str, _Stream] = {}


class _Stream:
    """State of one method and its session: buffers that change sides after every block."""

    def __init__(self, opened: Opened, batch: int, device: Device) -> None:
        self._session, self._device = opened.session, device
        self._start = {name: np.repeat(one, batch, axis=0) for name, one in opened.start.items()}
        # Copies: on a CPU the runtime writes into the array that it is given.
        self._states = [{name: ort.OrtValue.ortvalue_from_numpy(start.copy(), *device)
                         for name, start in self._start.items()} for _ in range(2)]
        self.state_bytes = sum(start.nbytes for start in self._start.values())
        # [batch, size]; files of before have one value for all streams, [size]
        self._attributes = {
            i.name: self._zeros((batch, i.shape[1]) if len(i.shape) == 2 else tuple(i.shape))
            for i in opened.session.get_overridable_initializers()
        }
        self._bindings = [self._bind(0), self._bind(1)]
        self._side = 0  # which set of states holds the present one
        self._shape: tuple[int, ...] = ()
        self._x = self._y = self._zeros((1,))

    def _zeros(self, shape: tuple[int, ...]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32), *self._device)

    def _bind(self, side: int) -> ort.IOBinding:
        """Read states of `side`, write those of the other."""
        binding = self._session.io_binding()
        for name, value in self._states[side].items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._states[1 - side].items():
            binding.bind_ortvalue_output(name.replace("state_in_", "state_out_"), value)
        return binding

    def set(self, name: str, value: FloatArray) -> None:
        """Bind an attribute [batch, size] that differs from its default; methods that lack it
        ignore it."""
        tensor = f"attribute_{name}"
        if tensor in self._attributes:
            if len(self._attributes[tensor].shape()) == 1:
                value = same_for_all(name, value, "this file; export it again")
            self._attributes[tensor].update_inplace(np.ascontiguousarray(value))
            for binding in self._bindings:
                binding.bind_ortvalue_input(tensor, self._attributes[tensor])

    def reset(self) -> None:
        """The present state as at the start; the other set is written before it is read."""
        for name, value in self._states[self._side].items():
            value.update_inplace(self._start[name])

    def run(self, x: FloatArray, out_shape: tuple[int, ...]) -> FloatArray:
        """[batch, in_channels, frames] -> array of `out_shape`, advancing the state."""
        if x.shape != self._shape:
            self._x, self._y = self._zeros(x.shape), self._zeros(out_shape)
            for binding in self._bindings:
                binding.bind_ortvalue_input("x", self._x)
                binding.bind_ortvalue_output("y", self._y)
            self._shape = x.shape
        self._x.update_inplace(x)
        self._session.run_with_iobinding(self._bindings[self._side])
        self._side = 1 - self._side
        return np.array(self._y.numpy())  # a copy: the buffer is written again by the next block


@dataclass(frozen=True)
class Opened:
    """A session, and what the file says of itself."""

    session: ort.InferenceSession
    description: Description
    method: str
    weights_bytes: int
    names: dict[str, str]  # file name of each method, as exported
    start: dict[str, FloatArray]  # state of one stream at the start, [1, ...]


def open_file(path: Path, device: Device = CPU, threads: int = 1) -> Opened:
    """Open one exported file; damage and foreign files are told apart."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong arrives as an exception
    provider = (PROVIDERS[device[0]], {"device_id": device[1]} if device[0] != "cpu" else {})
    try:
        session = ort.InferenceSession(data, options, providers=[provider])
        metadata = dict(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # ONNX Runtime's own classes share no base below this one
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{path} is no ONNX file, or a damaged one ({reason[:120]})") from None
    if session.get_providers()[0] != provider[0]:  # it fell back to the CPU without a word
        raise ConfigError(f"device {device[0]}:{device[1]}: ONNX Runtime cannot use it here; use "
                          "--device cpu")
    if METADATA_KEY not in metadata:
        raise ModelFileError(
            f"{path} is an ONNX model, but tudor did not write it: it has no 'tudor' metadata"
        )
    digest = metadata.get(CHECKSUM_KEY, "")
    if len(digest) != 64 or checksum(data, digest) != digest:
        raise ModelFileError(f"{path} is damaged: its checksum does not match; export it again")
    try:
        description = Description.from_json(metadata[METADATA_KEY], str(path))
        return Opened(session, description, description.method(metadata["method"]).name,
                      int(metadata[WEIGHTS_KEY]), json.loads(metadata["files"]),
                      _start(session, metadata.get(START_KEY, "{}")))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: its tudor metadata is damaged ({error})") from None


def _start(session: ort.InferenceSession, told: str) -> dict[str, FloatArray]:
    """Every state as a stream has it at the start: as `told`, JSON of base64, or zeros."""
    start = {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in session.get_inputs()
             if i.name != "x"}
    for name, text in json.loads(told).items():
        numbers = np.frombuffer(b64decode(text, validate=True), "<f4")
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name} starts with what is no number")
        start[name] = numbers.reshape(start[name].shape).astype(np.float32)
    return start


def checksum(data: bytes, stored: str) -> str:
    """SHA-256 of a file, the checksum that is `stored` in it read as zeros."""
    head, found, tail = data.rpartition(stored.encode())
    return hashlib.sha256(head + b"0" * len(found) + tail).hexdigest()


def check_device(device: str) -> Device:
    """ONNX Runtime's name and number of a device, or an error when this machine lacks it."""
    name, _, number = device.partition(":")
    if name not in PROVIDERS or not (number or "0").isdigit():
        raise ConfigError(f"device {device}: ONNX files play on cpu, cuda or cuda:NUMBER")
    if PROVIDERS[name] not in ort.get_available_providers():
        raise ConfigError(
            f"device {device}: this ONNX Runtime has no {PROVIDERS[name]}; install "
            "onnxruntime-gpu on a machine with a CUDA GPU, or use --device cpu"
        )
    return name, int(number or 0)


def _files(path: Path, opened: Opened) -> dict[str, Path]:
    """Where each method's file should be, also when the set was renamed together."""
    names = {method: Path(name).name for method, name in opened.names.items()}
    stem = Path(min(names.values(), key=len)).stem  # of the main file: x.onnx, x.encode.onnx
    own_ending = Path(names[opened.method]).stem.removeprefix(stem)
    files = {}
    for method, name in names.items():
        renamed = path.with_name(path.stem.removesuffix(own_ending) + name.removeprefix(stem))
        files[method] = renamed if renamed.is_file() else path.with_name(name)
    return {**files, opened.method: path}


def _same_model(a: Description, b: Description) -> bool:
    key = "weights_sha256"
    return (a.family, a.config, a.provenance.get(key)) == (
        b.family, b.config, b.provenance.get(key))
