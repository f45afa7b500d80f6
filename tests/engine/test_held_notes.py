"""Notes as conditions of a voice that holds them, and its mapping."""

from __future__ import annotations

import numpy as np

from engine.scores.held_notes import MIXERS, note_rows, notes_mapping
from engine.scores.timed import Note
from tests.export.small_models import small_model

LABELS = ("gate", "velocity", "pitch_oct", "a", "b", "z 1", "z 2", "z 3")
RATIO, RATE = 32, 3200  # a row is 10 ms


def test_a_gate_falls_before_every_note() -> None:
    notes = [Note(0.1, 0.2, 60, 0.5), Note(0.3, 0.2, 72, 0.9), Note(0.5, 0.1, 72, 0.7)]
    x = note_rows(LABELS, notes, RATIO, RATE, 0.8)
    assert x.shape == (8, 80)
    gate = x[0]
    rising = np.flatnonzero((gate[1:] > 0.5) & (gate[:-1] <= 0.5)) + 1
    assert rising.tolist() == [10, 30, 50]
    assert gate[61:].max() == 0
    assert x[1, [10, 30, 50]].tolist() == [np.float32(v) for v in (0.5, 0.9, 0.7)]
    assert x[2, [10, 30, 50]].tolist() == [0, 1, 1]
    assert x[3:].max() == 0


def test_its_mapping_is_in_the_file_and_names_what_there_is() -> None:
    model = small_model("spectrogram_gan", "notes")
    text = model.mapping()
    assert text.startswith("way source\nknob1 latent 2 0.3 1")
    assert "cv1 pitch smooth=2" in text
    assert "gate1 latent 1 smooth=0" in text
    assert "knob2 latent 4 0 1  # a" in text
    assert "cc21 latent 5 0 1" in text
    names = [f"i{n}" for n in range(20)] + ["flute"]
    labels = (*LABELS[:3], *names, "z 1")
    said = notes_mapping(labels, names)
    assert f"knob2 latent {labels.index('flute') + 1} 0 1  # flute" in said
    assert sum(line.startswith("knob") for line in said.splitlines()) == len(MIXERS) + 4
    assert small_model("spectrogram_gan", "drums").mapping() == ""
