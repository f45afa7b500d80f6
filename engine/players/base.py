"""One face over every backend: load a model file, play it block by block.

    player = load("model.onnx")
    out = player.process("forward", block)      # float32 [channels, frames] in and out
    player.reset()

State is a value: `player.new_state()` is another stream through the same model, and
`player.process("forward", block, state)` plays it. Without one the player's own is meant.

Importing this needs numpy alone; a backend's own library is imported when a file asks for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.description import Attribute, Description, Method
from engine.errors import AudioError, ConfigError, ModelFileError, nearest
from engine.resolve import FILE, IMPORTERS, PRESET, RUN, player_class, resolve

FloatArray = NDArray[np.float32]
State = Any  # each backend's own; to be handed back to the player that made it


class Player(ABC):
    """A loaded model that plays: weights, attributes, and the state of every stream through it.

    Backends implement `_run`, `_new_state`, `_reset` and `_apply`; checks and attributes live
    here, once."""

    backend: ClassVar[str] = ""
    one_thread: ClassVar[bool] = False  # whatever `threads` asks for

    def __init__(self, description: Description, path: Path | None, batch: int = 1) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.description = description
        self.path = path
        self.batch = batch
        self._values = {  # [batch, size]
            a.name: np.full((batch, a.size), a.default, np.float32)
            for a in description.attributes.values()
        }
        self._set: set[str] = set()  # attributes that were given a value
        self._states: WeakSet[State] = WeakSet()
        self._own: State = None

    # --- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name

    @property
    def methods(self) -> dict[str, Method]:
        """Functions the model offers, by name."""
        return self.description.methods

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Settings the model offers, by name."""
        return self.description.attributes

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio side of every method."""
        return self.description.sample_rate_hz

    @property
    def ratio(self) -> int:
        """Audio samples of the smallest block that suits every method."""
        return self.description.ratio

    def latency_samples(self, method: str | None = None) -> int:
        """Delay of a method's (None: the main one's) output in audio samples, blocks being
        multiples of the ratio."""
        return self.description.method(method).lookahead_samples

    # --- playing ----------------------------------------------------------------------------

    def process(self, method: str, block: ArrayLike, state: State = None) -> FloatArray:
        """Play one block: floating point [channels, frames] or [batch, channels, frames], sound
        with full scale at 1.

        `frames` is any multiple of the method's `in_frames`; for other lengths use
        `engine.players.host.Host`. The output is float32 with as many axes as the input."""
        spec = self.description.method(method)
        x = self.checked(spec, block)
        stacked = x[None] if x.ndim == 2 else x
        frames = stacked.shape[2]
        if frames == 0 or frames % spec.in_frames:
            raise AudioError(
                f"{self.name}.{method} takes blocks of a multiple of {spec.in_frames} frames, "
                f"got {frames}; engine.players.host.Host accepts any size"
            )
        y = self._run(spec, np.ascontiguousarray(stacked), self._or_own(state))
        return y[0] if x.ndim == 2 else y

    def force(self, method: str, block: ArrayLike, output: ArrayLike, state: State = None
              ) -> FloatArray:
        """As `process`, of a method that draws what it puts out: `output` [out_channels, frames']
        comes out instead, or what is nearest to it. Later blocks go on from there as if the model
        had drawn that, with the noise that they would have had anyway."""
        return self._told(method, block, output, state)[0]

    def follow(self, method: str, block: ArrayLike, output: ArrayLike, state: State = None
               ) -> FloatArray:
        """As `force`, but what is returned is what the model would have drawn for each frame, all
        before it having been `output`: what it expects of a sound that it hears."""
        return self._told(method, block, output, state)[1]

    def _told(self, method: str, block: ArrayLike, output: ArrayLike, state: State
              ) -> tuple[FloatArray, FloatArray]:
        spec = self.description.method(method)
        x, y = self.checked(spec, block), np.asarray(output, np.float32)
        stacked, told = (x[None], y[None]) if x.ndim == 2 else (x, y)
        frames = stacked.shape[2]
        wanted = (self.batch, spec.out_channels, frames * spec.in_ratio // spec.out_ratio)
        if frames == 0 or frames % spec.in_frames or told.shape != wanted:
            raise AudioError(f"{self.name}.{method}, in multiples of {spec.in_frames} frames: of "
                             f"{frames} it makes {list(wanted)}, that cannot be {list(told.shape)}")
        if not np.isfinite(told).all():
            raise AudioError(f"{self.name}.{method} cannot put out numbers that are not finite")
        out, drawn = self._force(spec, np.ascontiguousarray(stacked), told, self._or_own(state))
        return (out[0], drawn[0]) if x.ndim == 2 else (out, drawn)

    def checked(self, spec: Method, block: ArrayLike) -> FloatArray:
        """`block` as float32, if it is one for the method `spec`; its frames are not counted."""
        takes = f"{self.name}.{spec.name} takes [{spec.in_channels}, frames]" + (
            f" for each of {self.batch} streams" if self.batch > 1 else "")
        try:
            x = np.asarray(block)
        except ValueError:  # rows of different lengths
            raise AudioError(f"{takes}, got rows of different lengths") from None
        if x.dtype.kind != "f":
            raise AudioError(f"{takes} in floating point, got {x.dtype}{_remedy(x.dtype, spec)}")
        if x.shape[:-1] in ((self.batch, spec.in_channels),
                            (spec.in_channels,) if self.batch == 1 else None):
            return x.astype(np.float32, copy=False)
        hint = ""
        if x.shape == (x.size,) and spec.in_channels == 1:
            hint = "; give block[None]"
        elif x.ndim == 2 and x.shape[1] == spec.in_channels:
            hint = "; is that [frames, channels]? give block.T"
        raise AudioError(f"{takes}, got an array of shape {list(x.shape)}{hint}")

    def new_state(self) -> State:
        """Fresh state of every method, for another batch of streams through this model. Attributes
        hold for all such states: those of the first stream for the first of each, and so on."""
        state = self._new_state()
        for name in self._set:
            self._apply(state, name, self._values[name])
        self._states.add(state)
        return state

    def reset(self, state: State = None) -> None:
        """One stream back to fresh state for every method; attributes stay."""
        self._reset(self._or_own(state))

    def _or_own(self, state: State) -> State:
        if state is not None:
            return state
        if self._own is None:
            self._own = self.new_state()
        return self._own

    def get(self, name: str, stream: int = 0) -> FloatArray:
        """Present value of an attribute in one stream of the batch, float32 [size]."""
        return self._values[self._attribute(name).name][self._checked_stream(stream)].copy()

    def set(self, name: str, value: ArrayLike, stream: int | None = None) -> None:
        """Set an attribute, from the next block on: one number for all, or as many as it has; or
        [batch, size], other ones for each stream. `stream`: that one alone. Range is checked."""
        attribute = self._attribute(name)
        rows = slice(None) if stream is None else self._checked_stream(stream)
        before = self._values[name].copy()
        self._values[name][rows] = self._numbers(attribute, value, stream is None)
        self._set.add(name)
        try:
            self._or_own(None)  # so that a backend can refuse even before anything was played
            for state in tuple(self._states):
                self._apply(state, name, self._values[name])
        except ConfigError:
            self._values[name][:] = before
            raise

    def _numbers(self, attribute: Attribute, value: ArrayLike, for_all: bool) -> FloatArray:
        """`value` as [1], [size] or, if it may be, [batch, size]."""
        name, size = attribute.name, attribute.size
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float32))
        except (TypeError, ValueError):
            raise ConfigError(f"attribute {name} takes numbers, got {value!r}") from None
        if not (for_all and numbers.shape == (self.batch, size)):
            numbers = numbers.reshape(-1)
            if numbers.size not in (1, size):
                each = f", or {[self.batch, size]} of them" if for_all and self.batch > 1 else ""
                raise ConfigError(
                    f"attribute {name} takes 1 or {size} numbers{each}, got {numbers.size}")
        low, high = attribute.minimum, attribute.maximum
        if not bool(np.all((numbers >= low) & (numbers <= high))):
            raise ConfigError(
                f"attribute {name} ranges over {low:g} ... {high:g}, got {numbers.tolist()}"
            )
        return numbers

    def _checked_stream(self, stream: int) -> int:
        if not 0 <= stream < self.batch:
            raise ConfigError(f"{self.name} plays {self.batch} "
                              f"stream{'s' if self.batch > 1 else ''}, counted from 0; there is no "
                              f"stream {stream}")
        return stream

    def _attribute(self, name: str) -> Attribute:
        if name not in self.attributes:
            raise ConfigError(
                f"{self.name} has no attribute {name!r}{nearest(name, self.attributes)}"
            )
        return self.attributes[name]

    # --- what a backend implements ----------------------------------------------------------

    @abstractmethod
    def _run(self, method: Method, x: FloatArray, state: State) -> FloatArray:
        """[batch, in_channels, frames] -> [batch, out_channels, frames'], advancing the state."""

    def _force(self, method: Method, x: FloatArray, y: FloatArray, state: State
               ) -> tuple[FloatArray, FloatArray]:
        """While `y` comes out: what did, and what would have been drawn. Not all backends can."""
        raise ConfigError(f"{self.name}: a model in {self.backend} cannot go on from a given "
                          "sound; a run, a preset or a .tudor file can")

    @abstractmethod
    def _new_state(self) -> State:
        """Fresh state of every method, with attributes at their defaults: an object that can be
        referred to weakly."""

    @abstractmethod
    def _reset(self, state: State) -> None:
        """Fresh state for every method."""

    @abstractmethod
    def _apply(self, state: State, name: str, value: FloatArray) -> None:
        """An attribute changed, or `state` is new: hand it to the backend. `value`: [batch, size].
        A backend that has one value for all streams says so where they differ, as an error."""

    def state_bytes(self, method: str) -> int:
        """Bytes of state that `method` carries, for all streams."""
        raise NotImplementedError

    def weights_bytes(self, method: str) -> int:
        """Bytes of weights that `method` reads."""
        raise NotImplementedError


def same_for_all(name: str, value: FloatArray, where: str) -> FloatArray:
    """The one value [size] of an attribute [batch, size]; an error where streams differ."""
    if bool((value != value[0]).any()):
        raise ConfigError(f"attribute {name} is shared by all streams in {where}")
    return value[0]  # type: ignore[no-any-return]


def _remedy(dtype: np.dtype[Any], spec: Method) -> str:
    """How numbers of `dtype` become what a method takes: full scale is 1."""
    if dtype.kind not in "iu":
        return ""
    if spec.in_ratio > 1:
        return "; give latents as block.astype('float32')"
    full = 2 ** (8 * dtype.itemsize - 1)
    middle = f"(block - {full}.0)" if dtype.kind == "u" else "block"
    return f" (full scale is 1); give {middle} / {full}"


def load(source: str | Path, batch: int = 1, threads: int = 1, device: str = "cpu") -> Player:
    """A player for a `.ts`, `.onnx` or `.tudor` file, a run directory, or a preset's name.

    The file decides the backend; a preset that ships a native file plays that, a run directory
    plays in PyTorch. `threads` goes to backends that know them; native files play on one, and on
    the CPU."""
    meant = resolve(source, (RUN, FILE, PRESET))
    path = meant.path if meant.kind == FILE else meant.native if meant.kind == PRESET else None
    if path is None:
        return player_class(None)(source, batch, threads, device)  # type: ignore[no-any-return]
    if path.suffix.lower() in IMPORTERS:
        raise ModelFileError(f"{path} is another program's model: `tudor export` makes it one that "
                             "plays")
    kind = player_class(path)
    if kind.backend != "native":
        return kind(path, batch, threads, device)  # type: ignore[no-any-return]
    if device != "cpu":
        raise ConfigError(f"device {device}: native files play on the CPU; export to .onnx or .ts "
                          "for a GPU")
    return kind(path, batch)  # type: ignore[no-any-return]
