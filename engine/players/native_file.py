"""A `.tudor` file as the C runtime reads it: methods, attributes, operations, metadata."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.description import Description, main_name
from engine.errors import AudioError, ModelFileError, TudorError
from engine.players import native_format

try:
    from engine._native import ffi, lib
except ImportError as error:  # pragma: no cover - depends on the installation
    raise TudorError(
        "the native runtime is not built: install with `pip install .` (a C compiler is needed) "
        f"or run `python -m engine.players.native_build` ({error})"
    ) from None

FloatArray = NDArray[np.float32]
_ROLES = {code: name for name, code in native_format.roles().items()}


def text(pointer: object) -> str:
    """A C string."""
    return ffi.string(pointer).decode("utf-8")


def error_text(code: int) -> str:
    """What an error code of the runtime means."""
    return text(lib.tudor_error_text(code))


def raise_code(code: int, what: str, kind: type[TudorError] = AudioError) -> None:
    if code:
        raise kind(f"{what}: {error_text(code)}")


@dataclass(frozen=True)
class MethodInfo:
    """A method as the file declares it. Rows: one per `ratio` samples of audio."""

    index: int
    name: str
    in_channels: int
    in_ratio: int
    out_channels: int
    out_ratio: int
    frame_samples: int
    latency_samples: int
    in_labels: tuple[str, ...]
    out_labels: tuple[str, ...]
    role: str
    start_bytes: int  # what a file that says how it starts holds of its state


@dataclass(frozen=True)
class AttributeInfo:
    """Something that may be set while the model plays: `count` numbers."""

    index: int
    name: str
    label: str
    count: int
    minimum: float
    maximum: float
    defaults: tuple[float, ...]


@dataclass(frozen=True)
class OpInfo:
    """One line of the op table; figures per frame and stream."""

    kind: str
    name: str
    macs: int
    cost: int
    weights_bytes: int
    state_bytes: int
    scratch_bytes: int
    in_channels: int
    out_channels: int
    rows: int
    kernel: int
    stride: int
    dilation: int
    groups: int
    phases: int
    dtype: int  # number format of the weights, DTYPE_... of core/format.inc
    steps: int  # how often a loop calls it per frame; 0: once per block
    shared_rows: int  # rows that one reading of the weights is enough for, at most
    weights_offset: int  # in the file's weights
    params_offset: int
    params_bytes: int  # numbers that are no weights of a convolution: an activation's, a norm's


def distinct_bytes(ops: Iterable[OpInfo]) -> int:
    """Bytes of the weights of some operations, those that several have once."""
    return sum({op.weights_offset: op.weights_bytes for op in ops if op.weights_bytes}.values())


class NativeFile:
    """A checked, mapped model file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise ModelFileError(f"{path}: file is empty") from None
        except OSError as error:
            raise ModelFileError(f"{path}: {error.strerror or error}") from None
        self._load(data)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "memory") -> NativeFile:
        """A file that is in memory already; it is copied to where it may lie."""
        self = cls.__new__(cls)
        self.path = Path(name)
        self._load(aligned(len(data), data))
        return self

    def _load(self, data: mmap.mmap | NDArray[np.uint8]) -> None:
        self._data = ffi.from_buffer(data)
        self.model = ffi.new("tudor_model *")
        fault = ffi.new("tudor_fault *")
        if lib.tudor_open(self._data, len(self._data), self.model, fault):
            where = text(fault.record)
            at = "" if where in ("file", "header") else f" ({where} {fault.index})"
            raise ModelFileError(f"{self.path}: {error_text(fault.code)}{at}")
        self.name = text(lib.tudor_name(self.model))
        self.metadata = text(lib.tudor_metadata(self.model))
        self.sample_rate_hz = int(lib.tudor_sample_rate_hz(self.model))
        methods = (self._method(i) for i in range(lib.tudor_methods(self.model)))
        self.methods = {m.name: m for m in methods}
        attributes = (self._attribute(i) for i in range(lib.tudor_attributes(self.model)))
        self.attributes = {a.name: a for a in attributes}

    @cached_property
    def roles(self) -> dict[str, str]:
        """What each method is for; the metadata comes first, where earlier files alone say it."""
        try:
            said = Description.from_json(self.metadata, str(self.path)).methods
        except ModelFileError:
            said = {}
        return {name: said[name].role if name in said else spec.role
                for name, spec in self.methods.items()}

    def chosen(self, method: str | None = None) -> str:
        """`method`, or the main one where none is named; an error lists what there is."""
        if method is None:
            return main_name(self.roles)
        if method not in self.methods:
            raise ModelFileError(
                f"{self.path} has no method {method!r}; it has {', '.join(self.methods)}")
        return method

    def _method(self, index: int) -> MethodInfo:
        info = ffi.new("tudor_method_info *")
        raise_code(lib.tudor_method(self.model, index, info), str(self.path), ModelFileError)
        return MethodInfo(
            index, text(info.name), info.in_channels, info.in_ratio, info.out_channels,
            info.out_ratio, info.frame_samples, info.latency_samples,
            tuple(text(info.in_labels).split("\n")), tuple(text(info.out_labels).split("\n")),
            _ROLES[info.role], int(info.start_bytes),
        )

    def _attribute(self, index: int) -> AttributeInfo:
        info = ffi.new("tudor_attribute_info *")
        raise_code(lib.tudor_attribute(self.model, index, info), str(self.path), ModelFileError)
        return AttributeInfo(
            index, text(info.name), text(info.label), info.count, info.minimum, info.maximum,
            tuple(ffi.unpack(info.defaults, info.count)),
        )

    def ops(self, method: str) -> list[OpInfo]:
        """The op table of a method."""
        index, info, table = self.methods[method].index, ffi.new("tudor_op_info *"), []
        for i in range(lib.tudor_ops(self.model, index)):
            raise_code(lib.tudor_op(self.model, index, i, info), str(self.path), ModelFileError)
            numbers = {name: int(getattr(info, name)) for name in OpInfo.__annotations__
                       if name not in ("kind", "name")}
            table.append(OpInfo(text(info.kind), text(info.name), **numbers))
        return table

    def memory(self, batch: int, max_samples: int) -> tuple[int, int, int]:
        """Bytes of an instance: fast region, bulk region, and the state inside both."""
        sizes = ffi.new("tudor_sizes *")
        raise_code(lib.tudor_measure(self.model, batch, max_samples, sizes), str(self.path))
        return int(sizes.fast_bytes), int(sizes.bulk_bytes), int(sizes.state_bytes)


def aligned(size: int, data: bytes | None = None) -> NDArray[np.uint8]:
    """`size` bytes on a 64-byte boundary, zero or a copy of `data`."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    part = raw[start : start + size]
    if data is not None:
        part[:] = np.frombuffer(data, np.uint8)
    return part
