"""What `--score` names, as notes in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import ConfigError, nearest
from engine.scores import note_model, score, timed
from engine.scores.midi import read_midi
from engine.scores.performance import Manner, perform

DEFAULT_SCORE = "bach"  # the note model's own music
MADE_UP_S = 10.0  # of it, unless somebody says how long
LEAD_S, TAIL_S = 0.05, 0.5
MIDI_SUFFIXES = (".mid", ".midi")


def score_notes(name: str, seed: int, seconds: float | None, tempo: float | None
                ) -> list[timed.Note]:
    """Made up by the note model, a movement as a player of that seed has it, or a file's."""
    if name == DEFAULT_SCORE:
        return note_model.play(seed, MADE_UP_S if seconds is None else seconds, tempo)
    if name in score.movements():
        return _performed(score.movement(name), seed, tempo)
    path = Path(name)
    if path.suffix.lower() in MIDI_SUFFIXES:
        return read_midi(path, tempo)
    if path.suffix == timed.SUFFIX:
        if tempo is not None:
            raise ConfigError(f"--tempo: {name} has times in seconds, it has no tempo")
        return timed.read_notes(path)
    known = [DEFAULT_SCORE, *score.movements()]
    raise ConfigError(f"--score {name}{nearest(name, known)}: give {DEFAULT_SCORE}, a movement "
                      f"such as {score.HELD_OUT[-1]}, or a file .mid or {timed.SUFFIX}")


def played_seconds(name: str, notes: Sequence[timed.Note]) -> float:
    """How long a score sounds that nobody cuts."""
    return MADE_UP_S if name == DEFAULT_SCORE else timed.length_s(notes) + TAIL_S


def _performed(piece: score.Movement, seed: int, tempo: float | None) -> list[timed.Note]:
    rng = np.random.Generator(np.random.PCG64(seed))
    manner = Manner.drawn(rng, piece.tempo)
    if tempo is not None:
        manner = replace(manner, tempo=tempo)
    notes = perform(piece.timed(), float(piece.quarters()), manner, rng)
    return [note._replace(onset_s=note.onset_s + LEAD_S) for note in notes]
