"""What a voice that a gate triggers is told (`engine/models/spectrogram_gan.py` says what each
condition means): rows in which it is asked for one stroke after another.

    gate   ^...............^...............^....
    kick   1               0               0         classes in turn
    snare  0               1               0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, nearest
from engine.scores.conditions import CLASS, GATE, PITCH, voices_of

FloatArray = NDArray[np.float32]
VELOCITY = "velocity"
Z = "z"
GRAIN, DECAY, HOLD = "grain", "decay", "hold"
LATE, TUNE, SUBCLASS = "late", "tune", "subclass"  # of several voices in one file
MOST_VOICES = 8
# Keys of General MIDI by classes of drums, in the order in which voices take them.
KEYS = {"kick": (36, 35), "snare": (38, 40), "hat_closed": (42, 44), "hat_open": (46,),
        "clap": (39,), "tom": (45, 41, 43, 47, 48, 50), "cymbal": (49, 51, 52, 53, 55, 57, 59),
        "rim": (37,), "cowbell": (56,), "conga": (63, 60, 61, 62, 64), "shaker": (70, 69, 82),
        "perc": (75, 54, 65, 66, 76, 77)}
OTHER_KEYS = range(84, 84 + MOST_VOICES)  # of voices that no key is known for
EVERY_S = 0.5  # a stroke, where nobody says when
GATE_ROWS = 2
SOFT = 0.6  # velocity of every second stroke of a class
MIXED, NOT_SAID = 0.2, 0.15  # how often made-up strokes are of two classes, or of none
SHORTEST, LONGEST = 6, 160  # rows from one made-up stroke to the next


def plays_strokes(labels: Sequence[str]) -> bool:
    """Whether a method with such conditions is one that a gate triggers."""
    one = GATE in labels and VELOCITY in labels and not voices_of(labels)
    return one or stroke_voices(labels) > 0


def stroke_voices(labels: Sequence[str]) -> int:
    """Voices that gates of their own trigger; 0: one or none."""
    return sum(label.startswith(f"{LATE} ") for label in labels)


def chosen_voices(said: str, classes: Sequence[str]) -> tuple[str, ...]:
    """What each voice strikes, of "4" or of "kick,snare": without names those that a kit has
    first."""
    if said.strip().isdigit():
        order = [*(name for name in KEYS if name in classes),
                 *(name for name in classes if name not in KEYS)] or [""]
        count = int(said)
        found = tuple(order[k % len(order)] for k in range(count))
    else:
        found = tuple(name.strip() for name in said.split(","))
    if not 1 <= len(found) <= MOST_VOICES:
        raise ConfigError(f"--voices {said}: a file has 1 to {MOST_VOICES} voices")
    for name in found:
        if name not in classes and (classes or name):
            raise ConfigError(f"--voices {said}: the model knows no class {name!r}"
                              f"{nearest(name, classes)}; it has {', '.join(classes)}")
    return found


def struck(labels: Sequence[str], strokes: Sequence[tuple[int, Mapping[str, float]]], rows: int,
           gate_rows: int = GATE_ROWS) -> FloatArray:
    """Strokes of one voice [labels, rows]: each from its row on, until the next, of what is asked
    for; its gate is open for `gate_rows`. Velocity is 1 unless that says otherwise, everything else
    0."""
    x = np.zeros((len(labels), rows), np.float32)
    gate = labels.index(GATE)
    for start, asked in strokes:
        x[:gate, start:] = x[gate + 1 :, start:] = 0
        x[gate, start : start + gate_rows] = 1
        for label, value in {VELOCITY: 1.0, **asked}.items():
            x[labels.index(label), start:] = value
    return x


def in_turn(labels: Sequence[str], classes: Sequence[str], rows: int, every: int,
            gate_rows: int = GATE_ROWS) -> FloatArray:
    """Strokes of the classes in turn, one in `every` rows [labels, rows]; of none where there are
    no `classes`. Everything else is 0: any subclass."""
    count = stroke_voices(labels)
    if not count:
        return struck(labels, [
            (start, {VELOCITY: SOFT if number // max(1, len(classes)) % 2 else 1.0,
                     **({classes[number % len(classes)]: 1.0} if classes else {})})
            for number, start in enumerate(range(0, rows, every))], rows, gate_rows)
    x = np.zeros((len(labels), rows), np.float32)
    for number, start in enumerate(range(0, rows, every)):
        voice = number % count + 1
        x[labels.index(f"{GATE} {voice}"), start : start + GATE_ROWS] = 1
        x[labels.index(f"{VELOCITY} {voice}"), start : start + every] = 1
    return x


def made_up(labels: Sequence[str], groups: Sequence[Sequence[str]], rows: int, seed: int
            ) -> FloatArray:
    """Strokes as a player might ask for them [labels, rows]: of one name of each group, mixed or
    not said now and then, in all velocities, of any z."""
    if stroke_voices(labels):
        return _made_up_voices(labels, rows, seed)
    rng = np.random.default_rng(seed)
    x = np.zeros((len(labels), rows), np.float32)
    z = [index for index, label in enumerate(labels) if label.startswith(f"{Z} ")]
    at = int(rng.integers(LONGEST // 4))
    while at < rows:
        end = at + int(rng.integers(SHORTEST, LONGEST))
        x[labels.index(GATE), at : at + 1 + int(rng.integers(SHORTEST - 2))] = 1
        x[labels.index(VELOCITY), at:end] = rng.uniform(0.15, 1)
        x[labels.index(PITCH), at:end] = rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else 0
        for names in groups:
            if not names or rng.random() < NOT_SAID:
                continue
            share = rng.random() if rng.random() < MIXED else 1.0
            for weight in (share, 1 - share):
                x[labels.index(names[int(rng.integers(len(names)))]), at:end] += weight
        x[z, at:end] = rng.standard_normal((len(z), 1))
        at = end
    return x


def _made_up_voices(labels: Sequence[str], rows: int, seed: int) -> FloatArray:
    """The same of several voices, each at times of its own."""
    rng = np.random.default_rng(seed)
    x = np.zeros((len(labels), rows), np.float32)
    for voice in range(1, stroke_voices(labels) + 1):
        at = int(rng.integers(0, SHORTEST))
        while at < rows:
            end = at + int(rng.integers(SHORTEST, LONGEST))
            said = {GATE: None, LATE: rng.integers(8) / 8, VELOCITY: rng.uniform(0.3, 1),
                    TUNE: rng.uniform(-0.5, 0.5), CLASS: rng.choice([0.0, rng.uniform(-1, 1)]),
                    Z: rng.standard_normal(), DECAY: rng.choice([0.0, rng.uniform(-1, 1)])}
            for name, value in said.items():
                label = f"{name} {voice}"
                if name == GATE:
                    x[labels.index(label), at : at + GATE_ROWS] = 1
                elif label in labels:
                    x[labels.index(label), at:end] = value
            at = end
    if SUBCLASS in labels:
        x[labels.index(SUBCLASS)] = rng.uniform(0, 1)
    return x


def voices_mapping(labels: Sequence[str], voices: Sequence[str], most: int = 90) -> str:
    """How an instrument plays several voices, as docs/mapping.md has it: a gate and a key for each,
    knobs for all and then for each, CVs for classes and tunings. Of `most` lines the first."""
    place = {label: number + 1 for number, label in enumerate(labels)}
    count = len(voices)
    lines = []
    taken: set[int] = set()
    for k, name in enumerate(voices, 1):
        keys = KEYS.get(name, (OTHER_KEYS[k - 1],))
        key = next((key for key in keys if key not in taken), OTHER_KEYS[k - 1])
        taken.add(key)
        lines += [f"gate{k} latent {place[f'{GATE} {k}']}  # {name}".rstrip(" #"),
                  f"key{key} latent {place[f'{GATE} {k}']}",
                  f"velocity{key} latent {place[f'{VELOCITY} {k}']} smooth=0"]

    def each(source: str, first: int, name: str, span: str) -> None:
        if f"{name} 1" in place:
            lines.extend(f"{source}{first + k if first else k + 1} latent "
                         f"{place[f'{name} {k + 1}']}{span}" for k in range(count))

    def whole(knob: int, name: str, span: str) -> None:
        lines.extend(f"knob{knob} latent {place[f'{name} {k + 1}']}{span}" for k in range(count))

    each("cv", 1, CLASS, "")
    whole(1, TUNE, "")
    whole(2, DECAY, " 2 -2")
    whole(3, Z, "")
    if SUBCLASS in place:
        lines.append(f"knob4 latent {place[SUBCLASS]} 0 1")
    each("cv", count + 1, TUNE, " in=-1:1")
    if count <= 4:
        each("knob", 5, CLASS, "")
        each("knob", 5 + count, DECAY, " 2 -2")
        each("knob", 5 + 2 * count, Z, "")
    each("cc", 20, CLASS, "")
    each("cc", 20 + count, TUNE, "")
    each("cc", 20 + 2 * count, DECAY, " 2 -2")
    each("cc", 20 + 3 * count, Z, "")
    return "\n".join(["way source", *lines[:most]]) + "\n"
