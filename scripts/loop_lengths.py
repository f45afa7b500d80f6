"""What each length of a code of loops costs and gives, for `scripts/loop_trials.py`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any


def lengths(folder: Path, sounds: Path, cache: Path) -> list[dict[str, Any]]:
    """Figures of each length of the code of a run in `folder`, on `sounds` that it did not learn
    from; their latents are kept in `cache`."""
    from rich.console import Console

    from engine.audio import match_channels, read_audio
    from engine.models.store import load_model, read_settings
    from training.data.loops import Loops as LoopData
    from training.data.loops import LoopSettings
    from training.evaluation.judges.loops import LoopJudge, Loops
    from training.evaluation.loop_floors import tiled
    from training.evaluation.loop_lengths import by_length

    settings = read_settings(folder / "config.toml")
    model: Any = load_model(str(folder)).model
    known = {key: value for key, value in settings["training"].items()
             if key in LoopSettings.model_fields}
    data = LoopData(sounds, SimpleNamespace(**{**LoopSettings().model_dump(), **known,
                                               "validation_fraction": 0.0, "seed": 0,
                                               "batch_size": 16}), cache)
    data.look()
    kept = {key: values.clone() for key, values in model.state_dict().items()}
    data.prepare(model, Console(quiet=True))
    model.load_state_dict(kept)
    rate = model.config.sample_rate_hz
    names = sorted(data.cache.facts)
    loops = [tiled(match_channels(read_audio(sounds / name)[0], 1)[0], 4 * rate) for name in names]
    real = Loops(loops, [data.cache.facts[name].bpm for name in names])
    return by_length(model, objective_of(model, settings), data, LoopJudge(real, rate))


def objective_of(model: Any, settings: dict[str, Any]) -> Any:
    """What a run was trained by."""
    from training.objectives.registry import OBJECTIVES

    kind = OBJECTIVES[settings["training"]["objective"]]
    return kind(model, SimpleNamespace(**{**kind.settings().model_dump(),
                                          **settings["training"]}))
