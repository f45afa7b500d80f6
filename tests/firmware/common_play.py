"""Models played in the instrument on this machine, with controls that move."""

from __future__ import annotations

from firmware.simulate_rack import STATES, Racked, events, play_rack
from tests.firmware.common_models import FloatArray, coder
from tests.firmware.machines import machine

RATE, BLOCK = 48000, 48
BEND = "way bend\n"


def native(models: list[bytes], mapping: str | None, rows: list[tuple[float, str, int, float]],
           seconds: int = 2, audio: FloatArray | None = None, restore: bytes | None = None,
           save: bool = False, **options: int) -> Racked:
    return play_rack(machine("native"), models, maps=[mapping] * len(models), audio=audio,
                     script=events(rows, RATE), seconds=0 if audio is not None else seconds,
                     block=BLOCK, restore=restore, save=save, **options)


def latent(run: Racked, index: int, at: float) -> float:
    return float(run.status["latent"][round(at * RATE / BLOCK), index])


def refusal(mapping: str, model: bytes | None = None) -> str:
    run = native([model or coder()], mapping, [], seconds=1)
    assert len(run.refused) == 1, "the mapping was accepted"
    assert STATES[run.status["state"][-1]] == "empty"
    return run.refused[0]
