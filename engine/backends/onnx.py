"""Plays exported ONNX files with numpy and ONNX Runtime; no PyTorch, no onnx package.

A method is a file; the others lie beside it and are opened when first asked for. State never
leaves the runtime: two sets of buffers are bound once, and every block reads one set and writes
the other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine.description import METADATA_KEY, Description, Method
from engine.errors import ConfigError, ModelFileError
from engine.runtime import FloatArray, Player

try:
    import onnxruntime as ort
except ImportError:  # pragma: no cover - the extra is installed wherever tests run
    raise ConfigError("playing .onnx files needs ONNX Runtime: pip install onnxruntime") from None

CHECKSUM_KEY = "sha256"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxPlayer(Player):
    """A model in ONNX files, one per method."""

    backend: ClassVar[str] = "onnx"

    def __init__(
        self, path: str | Path, batch: int = 1, threads: int = 1, device: str = "cpu"
    ) -> None:
        self._provider = _provider(device)
        self._device = device.partition(":")[0]
        self._threads = threads
        main = Path(path)
        session, metadata = open_file(main, self._provider, threads)
        description = Description.from_json(metadata[METADATA_KEY], str(main))
        super().__init__(description, main, batch)
        own = metadata["method"]
        description.method(own)
        self._files = _files(main, own, metadata)
        self._weights = {own: int(metadata["weights_bytes"])}
        self._streams = {own: _Stream(session, batch, self._device)}

    def _stream(self, method: str) -> _Stream:
        """The open file of a method, opened now if this is its first use."""
        if method not in self._streams:
            file = self._files.get(method)
            if file is None or not file.is_file():
                raise ModelFileError(
                    f"{self.path} lacks method {method!r}: it lives in "
                    f"{file.name if file else 'a file'} beside it, which is not there"
                )
            session, metadata = open_file(file, self._provider, self._threads)
            other = Description.from_json(metadata[METADATA_KEY], str(file))
            if metadata["method"] != method or not _same_model(other, self.description):
                raise ModelFileError(f"{file} belongs to another model than {self.path}")
            self._weights[method] = int(metadata["weights_bytes"])
            self._streams[method] = _Stream(session, self.batch, self._device)
            for name, value in self._values.items():
                self._streams[method].set(name, value)
        return self._streams[method]

    def _run(self, method: Method, x: FloatArray) -> FloatArray:
        unit = self.description.ratio // method.in_ratio
        frames = x.shape[2] // unit * self.description.ratio // method.out_ratio
        if x.shape[2] % unit:
            raise ConfigError(
                f"{self.name}.{method.name} takes blocks of a multiple of {unit} frames, "
                f"got {x.shape[2]}; engine.host.Host accepts any size"
            )
        return self._stream(method.name).run(x, (self.batch, method.out_channels, frames))

    def _reset(self) -> None:
        for stream in self._streams.values():
            stream.reset()

    def _apply(self, name: str, value: FloatArray) -> None:
        for stream in self._streams.values():
            stream.set(name, value)

    def state_bytes(self, method: str) -> int:
        return self._stream(method).state_bytes

    def weights_bytes(self, method: str) -> int:
        self._stream(method)
        return self._weights[method]


class _Stream:
    """One session with its state: buffers that change sides after every block."""

    def __init__(self, session: ort.InferenceSession, batch: int, device: str) -> None:
        self._session, self._device = session, device
        shapes = {i.name: (batch, *i.shape[1:]) for i in session.get_inputs() if i.name != "x"}
        self._states = [{name: self._zeros(shape) for name, shape in shapes.items()}
                        for _ in range(2)]
        self.state_bytes = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
        self._attributes = {
            i.name: self._zeros(tuple(i.shape)) for i in session.get_overridable_initializers()
        }
        self._bindings = [self._bind(0), self._bind(1)]
        self._side = 0  # which set of states holds the present one
        self._shape: tuple[int, ...] = ()
        self._x = self._y = self._zeros((1,))

    def _zeros(self, shape: tuple[int, ...]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32), self._device)

    def _bind(self, side: int) -> ort.IOBinding:
        """Read states of `side`, write those of the other."""
        binding = self._session.io_binding()
        for name, value in self._states[side].items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._states[1 - side].items():
            binding.bind_ortvalue_output(name.replace("state_in_", "state_out_"), value)
        return binding

    def set(self, name: str, value: FloatArray) -> None:
        """Bind an attribute that differs from its default; methods that lack it ignore it."""
        tensor = f"attribute_{name}"
        if tensor in self._attributes:
            self._attributes[tensor].update_inplace(np.ascontiguousarray(value))
            for binding in self._bindings:
                binding.bind_ortvalue_input(tensor, self._attributes[tensor])

    def reset(self) -> None:
        """Zero the present state; the other set is written before it is read."""
        for value in self._states[self._side].values():
            value.update_inplace(np.zeros(value.shape(), np.float32))

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


def open_file(
    path: Path, provider: str = PROVIDERS["cpu"], threads: int = 1
) -> tuple[ort.InferenceSession, dict[str, str]]:
    """A session and the metadata of an exported file, whose checksum is compared first."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # that attributes may be overridden is meant, not a warning
    try:
        session = ort.InferenceSession(data, options, providers=[provider])
        metadata = dict(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # ONNX Runtime's own classes share no base below this one
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(f"{path} is not a readable ONNX file: {reason}") from None
    if METADATA_KEY not in metadata:
        raise ModelFileError(
            f"{path} is an ONNX model, but not one of tudor's: it has no 'tudor' metadata"
        )
    digest = metadata.get(CHECKSUM_KEY, "")
    if len(digest) != 64 or checksum(data, digest) != digest:
        raise ModelFileError(f"{path} is damaged: its checksum does not match; export it again")
    return session, metadata


def checksum(data: bytes, stored: str) -> str:
    """SHA-256 of a file with the checksum that is `stored` in it read as zeros."""
    head, found, tail = data.rpartition(stored.encode())
    return hashlib.sha256(head + b"0" * len(found) + tail).hexdigest()


def _provider(device: str) -> str:
    """ONNX Runtime's name of a device, or a clear error when this machine lacks it."""
    name = device.partition(":")[0]
    if name not in PROVIDERS:
        raise ConfigError(f"device {device}: ONNX files play on cpu or cuda")
    if PROVIDERS[name] not in ort.get_available_providers():
        raise ConfigError(
            f"device {device}: this ONNX Runtime has no {PROVIDERS[name]}; install "
            "onnxruntime-gpu on a machine with a CUDA GPU, or use --device cpu"
        )
    return PROVIDERS[name]


def _files(path: Path, own: str, metadata: dict[str, Any]) -> dict[str, Path]:
    """Where each method's file should be, also when the set was renamed together."""
    names: dict[str, str] = json.loads(metadata["files"])
    written = names[own]
    files = {}
    for method, name in names.items():
        # x.onnx -> y.onnx: what followed the common stem follows it still.
        stem = Path(names[_main(names)]).stem
        here = path.stem.removesuffix(Path(written).stem.removeprefix(stem))
        renamed = path.with_name(here + name.removeprefix(stem))
        files[method] = renamed if renamed.is_file() else path.with_name(Path(name).name)
    return {**files, own: path}


def _main(names: dict[str, str]) -> str:
    """The method whose file has the shortest name: the one without a suffix of its own."""
    return min(names, key=lambda method: len(names[method]))


def _same_model(a: Description, b: Description) -> bool:
    key = "weights_sha256"
    return (a.family, a.config, a.provenance.get(key)) == (
        b.family, b.config, b.provenance.get(key))
