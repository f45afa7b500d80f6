"""Whether a board's instrument would play a model under its mapping, and read its inputs by a
calibration: asked of the same C code, before a board gets any of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import TudorError
from firmware.host.build import TARGETS
from firmware.simulate import MAPPING_SUFFIX, about, mapping_beside, read_calibration
from firmware.simulate_rack import calibrated, play_rack
from firmware.simulate_script import BOARDS
from firmware.tools import MissingToolError


def check_playable(model: Path, board: str) -> None:
    """Raises what the board would say to a model file and to the mapping beside it, if there is
    one. Without a C compiler nothing is asked."""
    try:
        played = play_rack(
            TARGETS["native"], [model.read_bytes()], maps=[mapping_beside(model)],
            audio=np.zeros((2, 1), np.float32), channels=(2, 2), trace=False,
            **BOARDS[board].words)
    except MissingToolError:
        return
    for refused in played.refused:
        raise TudorError(about(refused.partition(": ")[2], model,
                               model.with_suffix(MAPPING_SUFFIX)))


def check_calibration(path: Path) -> None:
    """Raises what the instrument would say to a calibration file. Without a C compiler nothing is
    asked."""
    text = read_calibration(path)
    try:
        calibrated(text, path)
    except MissingToolError:
        return
