"""Plays `.tudor` files with the C runtime. Needs numpy and cffi, nothing else.

    model = NativeModel.open("x.tudor")
    y = model.process("forward", x)          # float32 [batch, channels, rows]

The file is mapped, not read: any number of models share its pages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import AudioError, ConfigError
from engine.players.native_file import (
    AttributeInfo,
    FloatArray,
    MethodInfo,
    NativeFile,
    OpInfo,
    aligned,
    error_text,
    ffi,
    lib,
    text,
)
from engine.players.native_file import raise_code as _raise

__all__ = ["AttributeInfo", "MethodInfo", "NativeFile", "NativeModel", "OpInfo", "error_text"]

DEFAULT_BLOCK_SAMPLES = 8192
_FLOATS = ffi.typeof("float[]")
_buffer, _process = ffi.from_buffer, lib.tudor_process  # looked up once: blocks may be microseconds


class NativeModel:
    """One instance of a model: memory, state of every method, attributes.

    Blocks longer than `max_samples` are played in parts."""

    def __init__(self, file: NativeFile, batch: int = 1,
                 max_samples: int = DEFAULT_BLOCK_SAMPLES, isa: str | None = None) -> None:
        self.file = file
        self._specs = file.methods
        self.batch = batch
        # Every method must be able to play at least one frame.
        self.max_samples = max([max_samples, *(m.frame_samples for m in file.methods.values())])
        fast_bytes, bulk_bytes, self.state_bytes = file.memory(batch, self.max_samples)
        self._fast, self._bulk = aligned(fast_bytes), aligned(bulk_bytes)
        self._fast_pointer = ffi.from_buffer(self._fast)
        self._bulk_pointer = ffi.from_buffer(self._bulk) if bulk_bytes else ffi.NULL
        instance = ffi.new("tudor **")
        _raise(lib.tudor_init(file.model, batch, self.max_samples, self._fast_pointer, fast_bytes,
                              self._bulk_pointer, bulk_bytes, instance), str(file.path))
        self._t = instance[0]
        if isa is not None:
            self.use_isa(isa)

    @classmethod
    def open(cls, path: str | Path, batch: int = 1, max_samples: int = DEFAULT_BLOCK_SAMPLES,
             isa: str | None = None) -> NativeModel:
        """Map a file and make an instance of it."""
        return cls(NativeFile(path), batch, max_samples, isa)

    @property
    def methods(self) -> dict[str, MethodInfo]:
        """Methods by name."""
        return self.file.methods

    @property
    def attributes(self) -> dict[str, AttributeInfo]:
        """Attributes by name."""
        return self.file.attributes

    @property
    def isa(self) -> str:
        """Instruction set in use."""
        return text(lib.tudor_isa(self._t))

    def use_isa(self, name: str) -> None:
        """Play with another instruction set; the result is the same bits."""
        _raise(lib.tudor_use_isa(self._t, name.encode()), name, ConfigError)

    def process(self, method: str, x: FloatArray, out: FloatArray | None = None,
                forced: FloatArray | None = None, drawn: FloatArray | None = None) -> FloatArray:
        """Play a block [batch, channels, rows]; contiguous float32 is neither copied nor changed.

        `out` may be given to avoid an allocation. A method that draws puts out `forced` [batch,
        out_channels, rows] instead, and goes on from there as if it had drawn that; `drawn`, of the
        same shape, gets what it would have drawn for each row."""
        spec = self._specs.get(method) or self._method(method)
        x = np.asarray(x, np.float32, order="C")
        given = x.shape
        if len(given) != 3 or given[0] != self.batch or given[1] != spec.in_channels:
            raise AudioError(f"{method} takes [{self.batch}, {spec.in_channels}, rows], "
                             f"got {list(given)}")
        samples = given[2] * spec.in_ratio
        if samples == 0 or samples % spec.frame_samples:
            raise AudioError(f"{method} takes blocks of a multiple of "
                             f"{spec.frame_samples // spec.in_ratio} rows, got {x.shape[2]}")
        shape = (self.batch, spec.out_channels, samples // spec.out_ratio)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise AudioError(f"out must be contiguous float32 {list(shape)}")
        for told in (forced, drawn):
            if told is not None and told.shape != shape:
                raise AudioError(f"{method} is to put out {list(shape)}, got {list(told.shape)}")
        if samples <= self.max_samples:
            self._process(spec, x, out, samples, forced, drawn)
            return out
        most = self.max_samples // spec.frame_samples * spec.frame_samples
        for at in range(0, samples, most):
            end = min(at + most, samples)
            part = np.ascontiguousarray(x[:, :, at // spec.in_ratio : end // spec.in_ratio])
            y = np.empty((*shape[:2], (end - at) // spec.out_ratio), np.float32)
            rows = slice(at // spec.out_ratio, end // spec.out_ratio)
            told = None if forced is None else forced[:, :, rows]
            said = None if drawn is None else np.empty_like(y)
            self._process(spec, part, y, end - at, told, said)
            out[:, :, rows] = y
            if drawn is not None:
                drawn[:, :, rows] = said
        return out

    def _process(self, spec: MethodInfo, x: FloatArray, out: FloatArray, samples: int,
                 forced: FloatArray | None = None, drawn: FloatArray | None = None) -> None:
        if forced is not None:
            self.force(spec.name, forced, samples, drawn)
        code = _process(self._t, spec.index, _buffer(_FLOATS, x), _buffer(_FLOATS, out), samples)
        if code:
            _raise(code, spec.name)

    def force(self, method: str, forced: FloatArray, samples: int,
              drawn: FloatArray | None = None) -> None:
        """What the next block, of so many samples, puts out instead of what it would draw: [batch,
        out_channels, rows]; `drawn`, contiguous float32 of that shape, gets what that would have
        been."""
        spec = self._method(method)
        shape = (self.batch, spec.out_channels, samples // spec.out_ratio)
        # Both stay until that block is over.
        self._forced, self._drawn = np.ascontiguousarray(forced, np.float32), drawn
        if self._forced.shape != shape or (drawn is not None and (
                drawn.shape != shape or drawn.dtype != np.float32
                or not drawn.flags.c_contiguous)):
            raise AudioError(f"{method} is to put out contiguous float32 {list(shape)}")
        said = ffi.NULL if drawn is None else ffi.from_buffer("float[]", drawn)
        _raise(lib.tudor_force(self._t, spec.index, ffi.from_buffer("float[]", self._forced), said,
                               samples), method)

    def process_slice(self, method: str, x: FloatArray, out: FloatArray, slice_: int,
                      slices: int) -> None:
        """One of `slices` parts of a block's work; `out` is complete after the last."""
        spec = self._method(method)
        samples = x.shape[2] * spec.in_ratio
        if (x.shape[:2] != (self.batch, spec.in_channels) or not x.flags.c_contiguous
                or out.shape != (self.batch, spec.out_channels, samples // spec.out_ratio)
                or not out.flags.c_contiguous or {x.dtype, out.dtype} != {np.dtype(np.float32)}):
            raise AudioError(f"{method}: slices take contiguous float32 blocks of its shapes")
        _raise(lib.tudor_process_slice(self._t, spec.index, ffi.from_buffer("float[]", x),
                                       ffi.from_buffer("float[]", out), samples, slice_, slices),
               method)

    def slice_costs(self, method: str, samples: int, slices: int) -> tuple[int, int]:
        """Cost of the most expensive slice, and of all together, in MACs."""
        worst, total = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        _raise(lib.tudor_slice_costs(self._t, self._method(method).index, samples, slices, worst,
                                     total), method)
        return int(worst[0]), int(total[0])

    def reset(self) -> None:
        """All methods to fresh state; attributes stay."""
        _raise(lib.tudor_reset(self._t), "reset")

    def set(self, name: str, values: FloatArray, stream: int | None = None) -> None:
        """Set an attribute, for all streams or for one; values are clamped to its range."""
        values = np.ascontiguousarray(values, np.float32).reshape(-1)
        index, data = self._attribute(name).index, ffi.from_buffer("float[]", values)
        if stream is None:
            code = lib.tudor_set_attribute(self._t, index, data, values.size)
        else:
            code = lib.tudor_set_stream_attribute(self._t, self._stream(stream), index, data,
                                                  values.size)
        _raise(code, f"attribute {name}", ConfigError)

    def get(self, name: str, stream: int = 0) -> FloatArray:
        """The present values of an attribute in one stream."""
        spec = self._attribute(name)
        values = np.empty(spec.count, np.float32)
        _raise(lib.tudor_get_stream_attribute(
            self._t, self._stream(stream), spec.index, ffi.from_buffer("float[]", values),
            values.size), f"attribute {name}", ConfigError)
        return values

    def _stream(self, stream: int) -> int:
        if not 0 <= stream < self.batch:
            raise ConfigError(f"stream {stream}: there are {self.batch}, counted from 0")
        return stream

    @property
    def nonfinite(self) -> int:
        """Input numbers replaced so far because they were NaN or infinite."""
        return int(lib.tudor_nonfinite(self._t))

    def save_state(self) -> bytes:
        """The state of all methods as a value."""
        data = ffi.new("char[]", self.state_bytes)
        _raise(lib.tudor_save_state(self._t, data, self.state_bytes), "state")
        return bytes(ffi.buffer(data, self.state_bytes))

    def load_state(self, data: bytes) -> None:
        """Put a saved state back."""
        _raise(lib.tudor_load_state(self._t, ffi.from_buffer(data), len(data)), "state")

    def save_start(self, method: str) -> bytes:
        """The first stream's state of a method, as a file holds it for others to start with."""
        spec = self._method(method)
        data = ffi.new("char[]", spec.start_bytes)
        _raise(lib.tudor_save_start(self._t, spec.index, data, spec.start_bytes), method)
        return bytes(ffi.buffer(data, spec.start_bytes))

    def _method(self, name: str) -> MethodInfo:
        if name not in self.methods:
            raise ConfigError(f"{self.file.name} has no method {name!r}; "
                              f"it has {', '.join(self.methods)}")
        return self.methods[name]

    def _attribute(self, name: str) -> AttributeInfo:
        if name not in self.attributes:
            raise ConfigError(f"{self.file.name} has no attribute {name!r}; "
                              f"it has {', '.join(self.attributes)}")
        return self.attributes[name]
