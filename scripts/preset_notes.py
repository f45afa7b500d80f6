"""What presets of notes are measured on, and what docs/notes.md plays of them; the rest is that of
drum voices (`preset_strokes.py`).

Recordings of single notes come inside soundfonts: what is learnt is of some, what is measured on is
of others, whose recordings are others too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.players.base import Player
from engine.presets import preset_settings
from engine.scores.conditions import PITCH
from engine.scores.strokes import VELOCITY, struck
from scripts import preset_clips
from scripts.preset_clips import keep
from scripts.preset_measure import SEED, WORK, Material

FloatArray = NDArray[np.float32]
# Soundfont, the Debian package that brings it, and what a table calls it.
LEARNT = ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "fluid-soundfont-gm", "learnt notes")
HELD = ("/usr/share/sounds/sf2/TimGM6mb.sf2", "timgm6mb-soundfont",
        "notes of a soundfont nobody learnt from (TimGM6mb)")
REAL = ("/usr/share/sounds/sf2/sf_GMbank.sf2", "csound-soundfont",
        "notes of another one (Csound's GMbank)")
MINUTES, LEARNT_MINUTES, LEARNT_SEED = 12.0, 30.0, 1
SMALL = 0.75
LOUD = 0.8  # velocity
EVERY_S, HELD_S = 0.35, 0.27  # notes of a clip
ORIGINAL = "original-notes"
MORPH = ("flute", "trumpet", "choir")
GLIDING = "violin"


def is_pitched(name: str) -> bool:
    """Whether a preset plays notes of a pitch each."""
    return bool(preset_settings(name)["model"].get("harmonics"))


def materials(name: str, held: str, real: str) -> dict[str, Material]:
    """What it is measured on, under these keys, and under "learnt" what a classifier learns from.
    """
    rate = preset_settings(name)["model"]["sample_rate_hz"]
    return {key: _material(key, font, seed, minutes, rate) for key, font, seed, minutes in (
        (held, HELD, SEED, MINUTES), (real, REAL, SEED, MINUTES),
        ("learnt", LEARNT, LEARNT_SEED, LEARNT_MINUTES))}


def _material(key: str, font: tuple[str, str, str], seed: int, minutes: float, rate: int
              ) -> Material:
    path, package, title = Path(font[0]), font[1], font[2]

    def fill(folder: Path) -> None:
        from training.corpus.kinds import write_corpus

        if not path.is_file():
            raise SystemExit(f"{path} is missing, which presets of notes are measured on: "
                             f"apt install {package} fluidsynth")
        write_corpus("instruments", folder, minutes, seed, rate, 1, soundfont=path)

    return Material(key, title, WORK / f"notes-{path.stem}-{rate}-{seed}", fill)


def render(name: str, folder: Path) -> dict[str, str]:
    """Clips of a preset, and one of held-out notes: what each shows."""
    from engine.players.base import load

    config = preset_settings(name)["model"]
    rate, classes = config["sample_rate_hz"], list(config["classes"])
    keep(f"{ORIGINAL}-{rate // 1000}k", originals(folder, classes, rate), rate, SMALL)
    player = load(name)
    octaves = {"bass": -2.0, "cello": -1.0}
    every = [({each: 1.0}, octaves.get(each, 0.0)) for each in classes]
    steps = 12
    morph = []
    for step in range(steps):
        way = step / (steps - 1) * (len(MORPH) - 1)
        low = min(int(way), len(MORPH) - 2)
        morph.append(({MORPH[low]: low + 1 - way, MORPH[low + 1]: way - low}, 0.0))
    keep(f"{name}-instruments", played(player, every), rate, SMALL)
    keep(f"{name}-morph", played(player, morph), rate, SMALL)
    keep(f"{name}-glide", glide(player), rate, SMALL)
    return {"instruments": ", ".join(classes),
            "morph": f"from {' to '.join(MORPH)} in {steps} notes",
            "glide": f"one held note of a {GLIDING}: its pitch goes up an octave, then sways"}


def originals(folder: Path, classes: Sequence[str], rate: int) -> FloatArray:
    """A held-out note of each instrument, one after another [1, samples]."""
    from training.data.audio_folder import Source, scan
    from training.data.decode import read_range
    from training.data.hit_facts import read_strokes, stroke_of

    every, length = round(EVERY_S * rate), round(HELD_S * rate)
    out = np.zeros((1, every * len(classes)), np.float32)
    table, first = read_strokes(folder), dict[str, Source]()
    for source in scan(folder).sources:
        stroke = stroke_of(source.name, table)
        if stroke is not None:
            first.setdefault(stroke.of_class, source)
    for place, of_class in enumerate(classes):
        sound = read_range(first[of_class], 0, length, rate, 1)[0][:length]
        fade = len(sound) // 8
        sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        out[0, place * every :][: len(sound)] = sound
    return out


def played(player: Player, notes: Sequence[tuple[dict[str, float], float]]) -> FloatArray:
    """Notes one after another, each of what is asked for and of its pitch: [channels, samples]."""
    return preset_clips.played(
        player, [{VELOCITY: LOUD, PITCH: octaves, **asked} for asked, octaves in notes], EVERY_S,
        HELD_S)


def glide(player: Player) -> FloatArray:
    """A note that is held for 4 s while its pitch moves: [channels, samples]."""
    spec = player.description.main
    hop = spec.in_ratio
    late = player.description.config["fft"] // hop
    held, rows = (round(seconds * player.sample_rate_hz / hop) for seconds in (4.0, 4.5))
    rows += late
    x = struck(spec.input_labels, [(0, {VELOCITY: LOUD, GLIDING: 1.0})],
               -(-rows // spec.in_frames) * spec.in_frames, held)
    time_s = np.arange(x.shape[1]) * hop / player.sample_rate_hz
    sway = 0.3 / 12 * np.sin(2 * np.pi * 5.5 * time_s) * np.clip(time_s - 2.2, 0, 1)
    x[spec.input_labels.index(PITCH)] = np.clip((time_s - 0.5) / 1.2, 0, 1) + sway
    player.reset()
    return player.process(spec.name, x)[:, late * hop :]
