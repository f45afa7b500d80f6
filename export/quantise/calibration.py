"""Audio to calibrate a quantised export with, and other audio to judge it by.

    --calibrate DIR          the user's recordings
    a run directory          the folder it was trained on, if that is still there
    a preset                 synthesised techno loops, of seeds that no preset was trained on
    a model of loops         the same, where none of the above applies. Only what hears audio and
                             the coder's decoder are calibrated with it: what plays loops is told
                             made-up codes and tempi (`loops.py`)
    a model that only        no audio, but what the model itself generates (`drawn.py`), with
    generates                conditions from the folder if one is given

A bounded amount is read, in stretches spread evenly over the files. Files that are unfit (silent,
at integer scale, broken, of a sample rate that leaves half of the spectrum empty) are left out by
name; where nothing is left, or what is left is clipped or short, an error says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError
from engine.models.base import Model
from engine.presets import preset_names
from engine.scores.loops import plays_loops
from export.quantise.recordings import (
    CALIBRATION_SECONDS,
    HELD_OUT_SECONDS,
    HELD_OUT_SHARE,
    STRETCH_SECONDS,
    FloatArray,
    Material,
    from_folder,
)

CALIBRATION_SEED, HELD_OUT_SEED = 2000, 3000  # presets are trained on seed 0, judged on 1000


@dataclass(frozen=True)
class Request:
    """What was asked of a quantised export. `keep`: layers that stay at more bits; "auto": as
    few as reach the aims; "audio": those that write audio, in float32; "none": not even by
    default. `tell` hears what is being done."""

    dtype: str
    material: Material
    keep: tuple[str, ...] = ()
    tell: Callable[[str], None] = lambda _: None

    @property
    def auto(self) -> bool:
        return "auto" in self.keep

    @property
    def names(self) -> tuple[str, ...]:
        """The layers among `keep`. "none" stands alone: beside others it is taken for a name."""
        if self.keep == ("none",):
            return ()
        return tuple(name for name in self.keep if name not in ("auto", "audio"))


def material(name: str, settings: dict[str, Any], folder: Path | None, rate_hz: int,
             channels: int, loops: bool = False) -> Material:
    """Audio for the model called `name`: from `folder`, else as the table above says. `loops`:
    whether it plays some."""
    if folder is not None:
        return from_folder(folder, rate_hz, channels)
    trained_on = settings.get("data", {}).get("folder")
    if trained_on is not None:
        if not Path(trained_on).is_dir():
            raise ConfigError(f"{name} was trained on {trained_on}, which is not there any more: "
                              "name a folder of audio with --calibrate DIR")
        share = settings.get("training", {}).get("validation_fraction") or HELD_OUT_SHARE
        return from_folder(Path(trained_on), rate_hz, channels, share)
    if loops or name in preset_names():
        return synthesised(rate_hz, channels)
    raise ConfigError(f"{name} comes without audio to calibrate with: name a folder of audio with "
                      "--calibrate DIR, such as the model should play")


def generated(model: Model, folder: Path | None) -> Material:
    """For a model that hears no audio."""
    from export.quantise.drawn import conditions_in

    nothing = np.zeros((1, 0), np.float32)
    source, given = "what the float32 model draws, for rests and steps as conditions", {}
    if any(plays_loops(spec.input_labels) for spec in model.methods.values()):
        if folder is not None:
            raise ConfigError(f"--calibrate {folder}: this model hears no audio and is calibrated "
                              "with loops of its own; leave the option out")
        source = "loops of the float32 model, for made-up codes and tempi"
    if folder is not None:
        given = {name: conditions_in(folder, spec) for name, spec in model.methods.items()}
        source = f"what the float32 model draws, for the conditions in {folder}"
    return Material(source, nothing, nothing, conditions=given)


def synthesised(rate_hz: int, channels: int) -> Material:
    """Techno loops that no preset has heard."""
    from training.corpus.techno import render_loop

    def loops(seed: int, seconds: float) -> FloatArray:
        parts: list[FloatArray] = []
        wanted = round(seconds * rate_hz)
        while sum(part.shape[1] for part in parts) < wanted:
            audio, _ = render_loop(seed, len(parts), rate_hz, channels)
            parts.append(audio[:, : round(STRETCH_SECONDS * rate_hz)])
        return np.concatenate(parts, axis=1)[:, :wanted]

    return Material(f"synthesised techno loops (seeds {CALIBRATION_SEED} and {HELD_OUT_SEED})",
                    loops(CALIBRATION_SEED, CALIBRATION_SECONDS),
                    loops(HELD_OUT_SEED, HELD_OUT_SECONDS))
