"""The corpus "bach": passages of the sonatas and partitas for solo violin, performed on violins of
our own, with the notes of every file beside it.

    1004_5/1004_5_00017.wav     1004_5/1004_5_00017.notes     (`engine/scores/timed.py`)

Each round of files plays every passage once, in an order of its own, and every file by another
violin in another room at another tempo.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from engine.scores import score, timed
from engine.scores.performance import Manner, perform
from training.corpus import bowed, writing
from training.corpus.circle import Audio
from training.corpus.draw import between, log_between, stream
from training.corpus.hits import in_a_room

Passage = tuple[str, int, int]  # movement, its first bar, the bar behind its last
PASSAGE_S = 25.0  # about so long at the score's tempo
LEAD_S, TAIL_S = 0.15, 0.45  # of silence
RMS_DB = -23.0  # of a file whose velocities are 0.6
PEAK = 0.85


def movements_of(held_out: bool) -> tuple[str, ...]:
    """What is trained on, or what never is."""
    return tuple(name for name in score.movements() if (name in score.HELD_OUT) == held_out)


NAMES = {held: writing.Names("passage", movements_of(held), timed.SUFFIX)
         for held in (False, True)}


@lru_cache(maxsize=2)
def passages(held_out: bool) -> tuple[Passage, ...]:
    """All movements in parts of whole bars, none much shorter than others of its movement."""
    found: list[Passage] = []
    for name in movements_of(held_out):
        piece = score.movement(name)
        whole_s = float(piece.quarters()) * 60 / piece.tempo
        count = max(1, min(len(piece.bars), round(whole_s / PASSAGE_S)))
        edges = [len(piece.bars) * part // count for part in range(count + 1)]
        found += [(name, first, end) for first, end in pairwise(edges)]
    return tuple(found)


def passage_of(seed: int, index: int, held_out: bool) -> Passage:
    """What file `index` of a seed plays."""
    known = passages(held_out)
    turn, place = divmod(index, len(known))
    return known[int(stream(seed, turn, "order").permutation(len(known))[place])]


def performed(seed: int, index: int, passage: Passage) -> tuple[list[timed.Note], Manner]:
    """The passage as file `index` has it, in seconds of the file."""
    name, first, end = passage
    piece, rng = score.movement(name), stream(seed, index, "performance")
    manner = Manner.drawn(rng, piece.tempo)
    notes = perform(piece.timed(first, end), float(piece.quarters(first, end)), manner, rng,
                    closes=end == len(piece.bars))
    # As the file beside the sound has them, so that the two cannot differ.
    return [note._replace(onset_s=round(note.onset_s + LEAD_S, 4),
                          duration_s=round(note.duration_s, 4),
                          velocity=round(note.velocity, 2)) for note in notes], manner


def render_passage(
    seed: int, index: int, sample_rate_hz: int = 16000, channels: int = 1,
    held_out: bool = False, soundfont: Path | None = None,
) -> tuple[writing.Sound, dict[str, Any]]:
    """Passage `index` of a seed: (float32 audio [channels, samples], its metadata row, in which
    `writing.BESIDE` is the text of its notes)."""
    writing.check_request(seed, index, sample_rate_hz, channels)
    passage = passage_of(seed, index, held_out)
    notes, manner = performed(seed, index, passage)
    samples = round((timed.length_s(notes) + TAIL_S) * sample_rate_hz)
    rng = stream(seed, index, "instrument")
    violin = bowed.draw_violin(rng)
    room, room_s = log_between(rng, 0.04, 0.2), log_between(rng, 0.12, 0.4)
    floor_db = between(rng, -82, -72)
    voices: dict[str, Any] = {"manner": asdict(manner)}
    if soundfont is None:
        noise = stream(seed, index, "strokes")
        sound = bowed.bowed(notes, violin, samples, sample_rate_hz, noise)
        noises = [stream(seed, index, f"room {side}") for side in range(channels)]
        audio = in_a_room(sound, room_s, room, sample_rate_hz, noises)[:, :samples]
        voices |= {"violin": asdict(violin), "room": room, "room_s": room_s}
    else:
        from training.corpus.soundfont import VIOLIN, played_notes

        audio = np.stack([played_notes(soundfont, VIOLIN, notes, samples, sample_rate_hz)]
                         * channels)
        voices |= {"soundfont": soundfont.name}
    audio = _levelled(audio, notes)
    audio += 10 ** (floor_db / 20) * stream(seed, index, "floor").standard_normal(audio.shape)
    name, first, end = passage
    row = writing.row_of(
        NAMES[held_out].file(index, name), seed, index, audio, sample_rate_hz, voices,
        kind=name, bars=f"{first}:{end}", tempo=round(manner.tempo, 2), notes=len(notes),
        split="held out" if held_out else "training")
    return audio.astype(np.float32), {**row, writing.BESIDE: timed.written(notes)}


def _levelled(audio: Audio, notes: list[timed.Note]) -> Audio:
    """As loud as the velocities ask for, whatever the instrument: power goes by the notes' own."""
    asked = sum(note.duration_s * 10 ** ((note.velocity - 0.6) * bowed.LEVELS_DB / 10)
                for note in notes) / max(timed.length_s(notes) - LEAD_S, 0.1)
    wanted = 10 ** (RMS_DB / 20) * np.sqrt(asked)
    rms = np.sqrt(np.sum(audio**2) / audio.size) + 1e-12
    return audio * min(wanted / rms, PEAK / float(np.abs(audio).max()))


render_held_out = partial(render_passage, held_out=True)
