"""Plays a `.ts` file: exports of tudor, and anything else that nn~ plays."""

from __future__ import annotations

import zipfile
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.description import METADATA_KEY, Attribute, Description, Method
from engine.errors import AudioError, ConfigError, ModelFileError
from engine.players.base import FloatArray, Player, same_for_all
from engine.players.pytorch import check_device

LIMIT = float(np.finfo(np.float32).max)
TYPES = {0: bool, 1: int, 2: float}  # nn~ type codes of attributes that are numbers


def read_description(path: Path) -> Description:
    """The metadata of a `.ts` that tudor wrote; needs no PyTorch."""
    text = _metadata(Path(path))
    if text is None:
        raise ModelFileError(f"{path} was not written by tudor: it has no {METADATA_KEY}.json")
    return Description.from_json(text, str(path))


def _metadata(path: Path) -> str | None:
    """The `tudor.json` of a `.ts`, or None; errors when the file is no TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not any(name.endswith("/constants.pkl") for name in names):
                raise ModelFileError(f"{path} is a zip file, but no TorchScript model")
            found = [name for name in names if name.endswith(f"/extra/{METADATA_KEY}.json")]
            return archive.read(found[0]).decode("utf-8") if found else None
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist") from None
    except (zipfile.BadZipFile, UnicodeDecodeError, EOFError, OSError) as error:
        raise ModelFileError(
            f"{path} is no TorchScript file, or only the beginning of one ({error})"
        ) from None


def load_module(path: Path, device: torch.device) -> Any:
    """`torch.jit.load` with an error that names the file."""
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(f"{path} cannot be loaded as TorchScript: {reason}") from None


class _Kept:
    """State of one stream through a file of ours while another is being played: the first rows of
    the module's buffers, by name; none if it is fresh."""

    def __init__(self) -> None:
        self.rows: dict[str, Tensor] = {}


class _Apart:
    """State of one stream through a file made by others: a module of its own."""

    def __init__(self, module: Any) -> None:
        self.module = module


class TorchScriptPlayer(Player):
    """A `.ts` file played by LibTorch, driven as nn~ drives it."""

    backend: ClassVar[str] = "torchscript"

    def __init__(
        self, path: Path, batch: int = 1, threads: int = 1, device: str = "cpu"
    ) -> None:
        torch.set_num_threads(threads)
        self.device = check_device(device)
        text = _metadata(Path(path))
        self.module = load_module(Path(path), self.device)
        self.foreign = text is None
        description = (derive_description(self.module, Path(path)) if text is None
                       else Description.from_json(text, str(path)))
        super().__init__(description, Path(path), batch)
        self._inside: _Kept | None = None  # whose state the buffers of our own module hold
        if self.foreign:
            self._unused: Any = self.module  # until the first stream takes it
            for name in self.attributes:
                self._values[name][:] = np.asarray(_get(self.module, name), np.float32)

    def _run(self, method: Method, x: FloatArray, state: _Kept | _Apart) -> FloatArray:
        # Optimising the graph takes 100 ms at the first blocks and gains nothing on a CPU.
        with torch.inference_mode(), torch.jit.optimized_execution(False):
            if isinstance(state, _Kept):
                self._enter(state)
            module = state.module if isinstance(state, _Apart) else self.module
            try:
                y = getattr(module, method.name)(torch.from_numpy(x).to(self.device))
            except RuntimeError as error:
                said = str(error).strip().splitlines()[-1]
                raise AudioError(f"{self.name}.{method.name} failed: {said}") from error
            frames = x.shape[2] * method.in_ratio // method.out_ratio
            if y.shape != (x.shape[0], method.out_channels, frames):
                raise AudioError(
                    f"{self.name}.{method.name} gave {list(y.shape)}, its parameters promise "
                    f"{[x.shape[0], method.out_channels, frames]}"
                )
            return y.float().cpu().numpy()

    def _new_state(self) -> _Kept | _Apart:
        if not self.foreign:
            return _Kept()
        module, self._unused = self._unused, None
        return _Apart(module if module is not None else self._loaded())

    def _loaded(self) -> Any:
        assert self.path is not None
        return load_module(self.path, self.device)

    def _enter(self, state: _Kept) -> None:
        """Put `state` into the module's buffers, and what they hold where it belongs."""
        if state is self._inside:
            return
        buffers = {name: buffer for name, buffer in self.module.named_buffers()
                   if any(name.startswith(f"{method}_state_") for method in self.methods)}
        if self._inside is not None:
            self._inside.rows = {k: v[: self.batch].clone() for k, v in buffers.items()}
        self.module.set_reset(1)
        for name, rows in state.rows.items():
            buffers[name][: len(rows)].copy_(rows)
        state.rows, self._inside = {}, state

    def _reset(self, state: _Kept | _Apart) -> None:
        if isinstance(state, _Apart):
            # Foreign state may hide anywhere; only the file is sure to be fresh.
            state.module = self._loaded()
            for name in self._set:
                self._apply(state, name, self._values[name])
        elif state is self._inside:
            self.module.set_reset(1)
        else:
            state.rows = {}

    def _apply(self, state: _Kept | _Apart, name: str, value: FloatArray) -> None:
        value = same_for_all(name, value, "a .ts file; play the .tudor or .onnx one")
        module = state.module if isinstance(state, _Apart) else self.module
        codes = getattr(module, f"{name}_params").tolist()
        numbers = [TYPES[code](number) for code, number in zip(codes, value.tolist(), strict=True)]
        if getattr(module, f"set_{name}")(*numbers) != 0:
            raise ConfigError(f"{self.name} refused {name} = {value.tolist()}")

    def state_bytes(self, method: str) -> int:
        """State of the streams in use; what is preallocated for more does not count."""
        prefix = f"{method}_state_"
        return sum(
            _bytes(tensor[: self.batch]) for name, tensor in self.module.named_buffers()
            if name.startswith(prefix)
        )

    def weights_bytes(self, method: str) -> int:
        """Weights as the file keeps them; of a foreign file all, as it does not tell more."""
        names = getattr(self.module, f"{method}_weights", None)
        return sum(
            _bytes(tensor) for name, tensor in self.module.named_parameters()
            if names is None or name in names
        )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def derive_description(module: Any, path: Path) -> Description:
    """What a `.ts` made by others tells of itself through its nn~ parameters."""
    names = _listed(module, "get_methods")
    # nn~ hands over multiples of the largest ratio of all methods, whichever of them it plays.
    ratio = max((max(_parameters(module, name)[1::2]) for name in names), default=1)
    methods = {name: _method(module, name, ratio) for name in names}
    if not methods:
        raise ModelFileError(
            f"{path} is TorchScript, but no model for nn~: it has no method with *_params"
        )
    attributes = {}
    for name in _listed(module, "get_attributes"):
        codes = getattr(module, f"{name}_params").tolist()
        if all(code in TYPES for code in codes) and hasattr(module, f"set_{name}"):
            values = _get(module, name)
            attributes[name] = Attribute(name, len(codes), values[0], -LIMIT, LIMIT, "")
    return Description(path.stem, "unknown", _sample_rate_hz(module), methods, attributes)


def _listed(module: Any, function: str) -> list[str]:
    """Names with parameters, from the module's own list or else by looking."""
    names = getattr(module, function)() if hasattr(module, function) else []
    if not names and function == "get_methods":
        names = module._c._method_names()
    return [name for name in names if hasattr(module, f"{name}_params")]


def _parameters(module: Any, name: str) -> list[int]:
    """in_channels, in_ratio, out_channels, out_ratio."""
    return [int(number) for number in getattr(module, f"{name}_params").tolist()[:4]]


def _method(module: Any, name: str, granularity_samples: int) -> Method:
    in_channels, in_ratio, out_channels, out_ratio = _parameters(module, name)

    def labels(side: str, count: int) -> tuple[str, ...]:
        given = list(getattr(module, f"{name}_{side}_labels", []))
        return tuple(given if len(given) == count else map(str, range(1, count + 1)))

    return Method(name, in_channels, in_ratio, out_channels, out_ratio,
                  labels("input", in_channels), labels("output", out_channels),
                  receptive_field_samples=inf,
                  granularity_samples=granularity_samples)


def _sample_rate_hz(module: Any) -> int:
    """The rate under one of the names that exporters use, or else 44100."""
    for name in ("sample_rate", "sampling_rate", "sr"):
        value = getattr(module, name, None)
        if isinstance(value, (int, float, Tensor)) and int(value) > 0:
            return int(value)
    return 44100


def _get(module: Any, name: str) -> list[float]:
    values = getattr(module, f"get_{name}")()
    return [float(v) for v in (values if isinstance(values, (tuple, list)) else [values])]
