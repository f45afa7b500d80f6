"""The one list of corpora, and what fills a folder with one.

File `index` of a seed depends on nothing but those two numbers and the kind: not on how many are
asked for, nor on the sample rate (the same sound, sampled more finely).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import nearest
from training.corpus import (
    bach,
    breaks,
    hits,
    notes,
    single_notes,
    techno,
    textures,
    writing,
)
from training.corpus.genres import GENRES

ALL = "all"


@dataclass(frozen=True)
class Kind:
    """A row of the list: how one file is rendered, and what is made if nothing else is said."""

    render: Callable[..., tuple[writing.Sound, dict[str, Any]]]
    names: writing.Names
    sample_rate_hz: int = 48000
    channels: int = 1
    held_out: Kind | None = None  # the part that is for measuring only
    soundfont: bool = False  # whether one can play it
    of_genres: writing.Names | None = None  # names of its files where they are of genres


KINDS: dict[str, Kind] = {
    "techno": Kind(techno.render_loop, writing.LOOPS, 16000),
    "drums": Kind(hits.render_hit, hits.NAMES, soundfont=True, of_genres=hits.OF_GENRES),
    "breaks": Kind(breaks.render_break, breaks.NAMES),
    "textures": Kind(textures.render_texture, textures.NAMES, channels=2),
    "notes": Kind(notes.render_note, notes.NAMES, soundfont=True),
    "instruments": Kind(single_notes.render_single, single_notes.NAMES, soundfont=True),
    "bach": Kind(bach.render_passage, bach.NAMES[False], 16000, soundfont=True, held_out=Kind(
        bach.render_held_out, bach.NAMES[True], 16000, soundfont=True)),
}


def write_corpus(
    kind: str,
    out_dir: Path,
    minutes: float,
    seed: int = 0,
    sample_rate_hz: int | None = None,
    channels: int | None = None,
    progress: Callable[[float], None] | None = None,
    soundfont: Path | None = None,
    held_out: bool = False,
    genres: Sequence[str] = (),
) -> list[Path]:
    """Fills `out_dir` with at least `minutes` of whole files, see `writing.write_corpus`.

    `soundfont` plays notes or strikes drums, by fluidsynth, in place of our own synthesis.
    `held_out`: the part of a kind that nothing should be trained on. `genres`: of `GENRES`, each in
    a folder; ALL: all.
    """
    row = _part(kind, held_out)
    rate = row.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
    count = row.channels if channels is None else channels
    render = partial(row.render, seed, sample_rate_hz=rate, channels=count)
    more: tuple[object, ...] = ()
    if soundfont is not None:
        if not row.soundfont:
            raise ValueError(f"a soundfont plays notes, instruments, bach or drums, not {kind}")
        from training.corpus.soundfont import check

        check(soundfont)
        render = partial(render, soundfont=soundfont)
        more = (str(soundfont.resolve()), soundfont.stat().st_mtime_ns)
    if held_out:
        more = (*more, "held out")
    names = row.names
    if genres:
        if row.of_genres is None:
            raise ValueError(f"--genre is for drums, not for {kind}")
        chosen = _genres(genres)
        render, names = partial(render, of_genres=chosen), row.of_genres
        more = (*more, "genres", *chosen)
    request: writing.Request = (kind, seed, rate, count, *more)
    return writing.write_corpus(Path(out_dir), minutes, render, names, request, progress)


def _genres(said: Sequence[str]) -> tuple[str, ...]:
    """Those that are asked for, in order of name, whatever the order they are said in."""
    if ALL in said:
        return tuple(sorted(GENRES))
    for name in said:
        if name not in GENRES:
            raise ValueError(f"--genre: unknown genre {name!r}{nearest(name, [*GENRES, ALL])}")
    return tuple(sorted(set(said)))


def _part(kind: str, held_out: bool) -> Kind:
    """The row that is rendered."""
    row = KINDS[kind]
    if not held_out:
        return row
    if row.held_out is None:
        having = ", ".join(name for name, each in KINDS.items() if each.held_out is not None)
        raise ValueError(f"--held-out is for {having}; of {kind} another --seed makes sounds that "
                         "were not trained on")
    return row.held_out


def summary(out_dir: Path) -> dict[str, Any]:
    """What the table of a corpus says of it as a whole."""
    with (out_dir / writing.METADATA).open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    levels = [float(row["rms_dbfs"]) for row in rows]
    sorts = Counter(row.get("kind") or row.get("style") or row["family"] for row in rows)
    return {
        "seconds": round(sum(float(row["duration_s"]) for row in rows), 3),
        "seed": int(rows[0]["seed"]),
        "sample_rate_hz": int(rows[0]["sample_rate_hz"]),
        "channels": int(rows[0]["channels"]),
        "rms_dbfs": [min(levels), max(levels)],
        "sorts": dict(sorted(sorts.items())),
        "metadata": str(out_dir / writing.METADATA),
    }
