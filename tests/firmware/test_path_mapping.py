"""A path as a mapping: the instrument reads it, and one knob leads along the path."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.description import Description
from engine.errors import ConfigError
from engine.players.native_model import NativeFile
from engine.players.path_file import moved_inputs
from engine.scores.paths import LatentPath, even_places
from firmware.path_mapping import MOST_LINES, mapping_of
from tests.export.small_models import small_model
from tests.firmware.common_models import coder, loops
from tests.firmware.common_play import latent, native

PLACES = np.array([0, 0.3, 0.6, 1])
KNOTS = np.array([[0.5, -1, 0, 1], [1.5, -1, 2, 1], [-1, -1, 2, 0.5], [0, -1, -2, 0]], np.float32)


def described(file):
    return Description.from_json(NativeFile.from_bytes(file).metadata, "x")


def path_of(moved, knots, places, **held):
    return LatentPath("geodesic", "m", moved.spec.name, 16000, moved.spec.in_ratio, moved.labels,
                      np.asarray(places), np.asarray(knots, np.float32), 0, held)


def moved_of(file):
    said = described(file)
    return moved_inputs(said.methods, "m", len(said.controls)), said


@pytest.mark.parametrize(("source", "event", "scale"), [
    ("knob1", ("knob", 0), 1.0), ("cv2", ("cv", 1), 1.0)])
def test_one_control_leads_along_the_path(source, event, scale):
    moved, said = moved_of(coder())
    path = path_of(moved, KNOTS, PLACES)
    made = mapping_of(path, moved, said.attributes, source)
    assert made.error < 1e-6
    assert made.lines <= MOST_LINES
    places = np.array([0, 0.15, 0.3, 0.5, 0.75, 1, 0.4])
    rows = [(0.5 * i, *event, float(scale * place)) for i, place in enumerate(places)]
    run = native([coder()], made.text, rows, seconds=4)
    assert not run.refused
    for i, place in enumerate(places):
        shown = [latent(run, index, 0.5 * i + 0.45) for index in range(4)]
        # What is shown is where in its range, which is -3 to 3 here, a latent is.
        assert 6 * np.array(shown) - 3 == pytest.approx(path.at(place)[0], abs=0.01)


def test_a_path_of_loops_moves_the_code_alone():
    file = loops()
    moved, said = moved_of(file)
    code = path_of(moved, [[-0.5, 0, 0.9], [0.5, 0, -0.9]], even_places(2), density=1.0)
    made = mapping_of(code, moved, said.attributes, "knob1")
    assert "knob1 walk" not in made.text
    run = native([file], made.text, [(0.0, "knob", 0, 0.5)], seconds=1)
    assert not run.refused
    density = said.methods[moved.spec.name].input_labels.index("density")
    assert f"knob1 latent {density + 1} 1 1" in made.text


def test_strokes_have_a_gate_and_a_velocity():
    model = small_model("spectrogram_gan", "drums")
    moved = moved_inputs(model.methods, "m", 0)
    path = path_of(moved, [[0, 0, 0], [1, 1, 1]], even_places(2), a=1.0, temperature=0.0)
    text = mapping_of(path, moved, model.attributes, "cc3").text
    labels = moved.spec.input_labels
    for line in ("cc3 walk 0 0", f"cc3 latent {labels.index('velocity') + 1} 1 1",
                 f"cc3 latent {labels.index('a') + 1} 1 1", "cc3 attribute temperature 0 0",
                 f"gate1 latent {labels.index('gate') + 1} 0 1 smooth=0"):
        assert f"{line}\n" in text


def test_lines_go_where_they_are_needed():
    """A straight number needs one line, the others share what is left."""
    moved, said = moved_of(coder())
    t = even_places(200)
    knots = np.stack([np.sin(20 * t), t, np.sin(7 * t), 0 * t], axis=1)
    path = path_of(moved, knots, t)
    made = mapping_of(path, moved, said.attributes, "knob1")
    assert made.lines == MOST_LINES
    counts = [made.text.count(f"knob1 latent {i} ") for i in range(1, 5)]
    assert counts[1] == counts[3] == 1
    assert counts[0] > counts[2] > 10
    assert made.error < 0.05
    json.dumps(made.text)


@pytest.mark.parametrize("source", ["knob0", "knob17", "knob", "cv1x", "note", "knob01", "cc128"])
def test_inputs_that_there_are_not(source):
    moved, said = moved_of(coder())
    with pytest.raises(ConfigError, match="--input wants"):
        mapping_of(path_of(moved, KNOTS, PLACES), moved, said.attributes, source)
