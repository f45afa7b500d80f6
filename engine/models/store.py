"""Models on disk: `config.toml` beside `model.safetensors`, in a run directory or a preset."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.description import Latent
from engine.errors import ConfigError, ModelFileError
from engine.files import WEIGHTS_FILE, atomic_write
from engine.models.base import Model
from engine.models.coded import Coded
from engine.models.loops import LoopModel
from engine.models.registry import build
from engine.models.shipped import shipped_weights
from engine.presets import preset_path, shipped_native
from engine.resolve import PRESET, RUN, resolve

LATENTS_KEY = "latents"  # of the safetensors metadata


@dataclass(frozen=True)
class Stored:
    """A model with the name it goes by and whether its weights were trained."""

    name: str
    model: Model
    settings: dict[str, Any]
    trained: bool
    weights_path: Path | None


def read_settings(path: Path) -> dict[str, Any]:
    """A configuration file as nested tables; errors name the file."""
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    if not isinstance(settings.get("model"), dict) or "family" not in settings["model"]:
        raise ConfigError(f"{path} has no [model] table with a 'family' key")
    return settings


def build_from(settings: dict[str, Any], seed: int = 0) -> Model:
    """A freshly initialised model from the `[model]` table of `settings`."""
    model = dict(settings["model"])
    family = model.pop("family")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(family, model)


def load_model(source: str | Path, weights: Path | None = None) -> Stored:
    """A model from a run directory or a preset's name, on the CPU, in evaluation mode.

    A preset without shipped weights comes freshly initialised with `trained` False; a run
    directory must have its weights."""
    meant = resolve(source, (RUN, PRESET))
    settings, name = read_settings(meant.settings), meant.name
    if meant.kind == PRESET and weights is None:
        return _preset(name, settings)
    if meant.kind == RUN:
        weights = weights or meant.path / WEIGHTS_FILE
        if not weights.exists():
            raise ModelFileError(f"{weights} does not exist yet: has the training run saved once?")
    model = build_from(settings)
    if weights is not None:
        load_weights(model, weights)
    return Stored(name, model.eval(), settings, weights is not None, weights)


def _preset(name: str, settings: dict[str, Any]) -> Stored:
    """With the weights that its native file holds, if it ships one."""
    model, native = build_from(settings), shipped_native(name)
    if native is not None:
        tensors, latents = shipped_weights(native, preset_path(name).with_suffix(".places"))
        _put(model, tensors, native)
        if (coder := _coder_of(model)) is not None:
            coder.set_latents(latents)
    return Stored(name, model.eval(), settings, native is not None, native)


def load_weights(model: Model, path: Path) -> None:
    """Weights from a safetensors file (no pickle) into `model`; names and shapes must match."""
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path} is not a readable safetensors file: {error}") from None
    _put(model, tensors, path)
    if (coder := _coder_of(model)) is not None:
        coder.set_latents(_measured(path))


def _coder_of(model: Model) -> Coded | None:
    """Whose latents are measured: those of the model, or of the coder inside it."""
    inside = model.codec if isinstance(model, LoopModel) else model
    return inside if isinstance(inside, Coded) else None


def _put(model: Model, tensors: dict[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    wrong = [
        f"{name} is {list(tensors[name].shape)}, wanted {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    wrong += [f"{name} is missing" for name in expected if name not in tensors]
    wrong += [f"{name} is unknown" for name in tensors if name not in expected]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelFileError(
            f"{path} does not fit its configuration: {'; '.join(wrong[:3])}{more}"
        )
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise ModelFileError(f"{path} holds non-finite numbers in {bad[0]}")
    model.load_state_dict(tensors)


def _measured(path: Path) -> tuple[Latent, ...]:
    """What the file says of each latent; nothing if it was written before that was measured."""
    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(LATENTS_KEY, "[]")
    try:
        return tuple(Latent(**item) for item in json.loads(text))
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{path}: what it says of its latents is damaged ({error})") from None


def save_weights(model: Model, path: Path) -> None:
    """Weights to a safetensors file, whole or not at all."""
    # Copies: a layer that has two names is written under both, and safetensors takes no views.
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    coder = _coder_of(model)
    measured = () if coder is None else coder.latents
    latents = json.dumps([latent.plain() for latent in measured])
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, {LATENTS_KEY: latents} if measured else None)
        except SafetensorError as error:  # a full disk comes as this, not as an OSError
            raise ModelFileError(f"cannot write {path}: {error}") from None
