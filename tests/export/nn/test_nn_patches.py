"""The patches for Pure Data and Max that come with a file for nn~."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.models.store import Stored
from export.nn.patch import write_patches
from export.targets import TARGETS, export_model
from tests.engine.models.test_drawn_effect import effect
from tests.export.small_models import small_model

NAMES = ["my model.latents.maxpat", "my model.latents.pd", "my model.maxpat", "my model.pd"]


@pytest.fixture(scope="module", params=["mono", "stereo"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder, model = tmp_path_factory.mktemp("patches"), small_model("raw_vae", request.param)
    description = model.describe("x")
    files = write_patches(folder / "my model.ts", description)
    assert sorted(f.name for f in files) == NAMES == sorted(f.name for f in folder.iterdir())
    return folder, description


def pd_records(path: Path) -> list[list[str]]:
    """The file by Pd's rules: records end in a semicolon that no backslash guards."""
    text = path.read_text(encoding="utf-8")
    records = [r.replace("\n", " ").strip() for r in re.split(r"(?<!\\);\n", text)]
    assert records.pop() == "", "the last record must end in ;"
    return [re.split(r"(?<!\\) ", record) for record in records]


def pd_boxes(path: Path) -> tuple[list[list[str]], list[list[int]]]:
    records = pd_records(path)
    assert records[0][:2] == ["#N", "canvas"]
    assert all(r[0] == "#X" for r in records[1:])
    boxes = [r[1:] for r in records[1:] if r[1] != "connect"]
    assert {b[0] for b in boxes} == {"obj", "msg", "text"}
    assert all(int(b[1]) >= 0 and int(b[2]) >= 0 for b in boxes)
    return boxes, [[int(n) for n in r[2:]] for r in records[1:] if r[1] == "connect"]


def test_pd_cords_join_boxes_that_are_there(written: Any) -> None:
    folder, description = written
    for name in ("my model.pd", "my model.latents.pd"):
        boxes, cords = pd_boxes(folder / name)
        assert len(cords) > 10
        for source, outlet, target, inlet in cords:
            assert source != target
            assert boxes[source][0] != "text"
            assert boxes[target][0] != "text"
            if boxes[source][3] == "nn~":
                assert outlet < description.methods[boxes[source][5]].out_channels
            if boxes[target][3] == "nn~":
                assert inlet < description.methods[boxes[target][5]].in_channels


def test_max_lines_join_boxes_that_are_there(written: Any) -> None:
    folder, _ = written
    for name in ("my model.maxpat", "my model.latents.maxpat"):
        patcher = json.loads((folder / name).read_text(encoding="utf-8"))["patcher"]
        boxes = {entry["box"]["id"]: entry["box"] for entry in patcher["boxes"]}
        assert len(boxes) == len(patcher["boxes"])
        assert all(len(b["outlettype"]) == b["numoutlets"] for b in boxes.values())
        assert len(patcher["lines"]) > 10
        for line in patcher["lines"]:
            (source, outlet), (target, inlet) = (line["patchline"][k]
                                                 for k in ("source", "destination"))
            assert outlet < boxes[source]["numoutlets"], (line, boxes[source])
            assert inlet < boxes[target]["numinlets"], (line, boxes[target])


def reached(boxes: list[list[str]], cords: list[list[int]], start: str) -> list[str]:
    """Texts of the boxes that a box with this text is joined to."""
    return [" ".join(boxes[t][3:]) for s, _, t, _ in cords if " ".join(boxes[s][3:]) == start]


def test_what_a_musician_needs_is_there_and_joined(written: Any) -> None:
    folder, description = written
    boxes, cords = pd_boxes(folder / "my model.pd")
    model = r"nn~ my\ model.ts forward 512"
    assert reached(boxes, cords, "loadbang").count("bufsize 512") == 1
    assert reached(boxes, cords, "bufsize 512") == [model]
    assert reached(boxes, cords, "set reset 1") == [model]
    rate = description.sample_rate_hz
    assert f"!= {rate}" in reached(boxes, cords, "samplerate~")
    assert any(t.startswith("print") for t in reached(boxes, cords, "sel 1"))
    sliders = [b for b in boxes if b[3] == "hsl"]
    wanted = {"temperature", *(f"{a}:_{label.replace(' ', '_')}" for a in ("scale", "bias")
                               for label in description.attributes[a].labels)}
    assert {b[12] for b in sliders} == wanted
    for order in ("set temperature", "set bias_at 2", "set scale_at 1", "set seed"):
        assert reached(boxes, cords, rf"{order} \$1") == [model]
    for slider in sliders:  # stands at the default, to the last bit
        low, high, at = float(slider[6]), float(slider[7]), float(slider[-2])
        name = slider[12].partition(":")[0]
        assert at * 0.01 * (high - low) / (float(slider[4]) - 1) + low == (
            description.attributes[name].default)
    channels = description.methods["forward"].in_channels
    assert len(reached(boxes, cords, "adc~ " + " ".join(map(str, range(1, channels + 1))))) == (
        channels)
    assert reached(boxes, cords, model) == ["dac~ 1 2"] * 2


def test_every_latent_has_its_own_way(written: Any) -> None:
    folder, description = written
    boxes, cords = pd_boxes(folder / "my model.latents.pd")
    count = description.methods["encode"].out_channels
    encode, decode = (rf"nn~ my\ model.ts {m} 512" for m in ("encode", "decode"))
    assert reached(boxes, cords, encode) == ["*~ 1"] * count
    assert reached(boxes, cords, "+~ 0") == [decode] * count
    inlets = sorted(c[3] for c in cords if " ".join(boxes[c[0]][3:]) == "+~ 0")
    assert inlets == list(range(count))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that is played by keys, and can be an effect."""
    folder, model = tmp_path_factory.mktemp("voice"), effect("wavenet", "classes")
    files = write_patches(folder / "v.ts", model.describe("x"))
    assert sorted(f.name for f in files) == ["v.forward.maxpat", "v.forward.pd", "v.maxpat", "v.pd"]
    return folder, model.methods


def test_keys_are_joined_to_pitch_and_gate_of_a_voice(voice: Any) -> None:
    folder, methods = voice
    boxes, cords = pd_boxes(folder / "v.pd")
    labels = methods["generate"].input_labels
    said = {"hsl": 12, "tgl": 8}  # where a control has its label
    told: dict[str, list[str]] = {}
    for source, _, signal, _ in cords:
        for _, _, target, inlet in (c for c in cords if c[0] == signal):
            if boxes[signal][3] == "sig~" and boxes[target][3] == "nn~":
                box = boxes[source]
                told.setdefault(labels[inlet], []).append(
                    box[said[box[3]]] if box[3] in said else " ".join(box[3:]))
    assert told == {"pitch_oct": ["/ 12."], "gate": ["> 0", "its_gate"],
                    "loudness": ["loudness_bels"], "free": ["free"]}
    assert reached(boxes, cords, "poly 1 1") == ["- 60.", "> 0"]
    assert reached(boxes, cords, "nn~ v.ts generate 512") == ["dac~ 1 2"] * 2
    assert not [b for b in boxes if b[3].startswith("adc")]


def test_time_and_sliders_are_joined_to_a_model_of_loops(tmp_path: Path) -> None:
    model = small_model("latent_flow", "loops")
    write_patches(tmp_path / "l.ts", model.describe("x"))
    boxes, cords = pd_boxes(tmp_path / "l.pd")
    method = model.methods["play"]
    assert reached(boxes, cords, "nn~ l.ts play 512") == ["dac~ 1 2"] * 2
    assert reached(boxes, cords, "/ 240.") == ["phasor~"]
    assert reached(boxes, cords, "/ 128.") == ["log 2"]
    told = {}
    for source, _, target, inlet in cords:
        if boxes[target][3:6] == ["nn~", "l.ts", "play"] and boxes[source][3] == "sig~":
            sliders = [boxes[s] for s, _, t, _ in cords if t == source and boxes[s][3] == "hsl"]
            for b in sliders:
                told[method.input_labels[inlet]] = (b[12], float(b[6]), float(b[7]))
    assert told == {label: (label.replace(" ", "_"), *ends) for label, ends in zip(
        method.input_labels, method.input_ranges, strict=True) if label not in ("phase", "tempo")}
    assert "set seed" in {b[3] + " " + b[4] for b in boxes if b[0] == "msg"}
    assert [boxes[s][3] for s, _, t, inlet in cords
            if boxes[t][3:6] == ["nn~", "l.ts", "play"] and inlet == 0 and boxes[s][0] == "obj"
            and not boxes[s][3].startswith("loadbang")] == ["phasor~"]


def test_an_effect_that_takes_conditions_hears_audio_alone(voice: Any) -> None:
    folder, _ = voice
    boxes, cords = pd_boxes(folder / "v.forward.pd")
    assert reached(boxes, cords, "adc~ 1") == ["nn~ v.ts forward 512"]


def test_export_brings_them_unless_told_not_to(tmp_path: Path) -> None:
    model = small_model()
    stored = Stored("x", model, {}, trained=True, weights_path=None)
    done = export_model(stored, TARGETS["nn"], tmp_path / "a.ts")
    assert sorted(f.name for f in done.files) == [
        "a.latents.maxpat", "a.latents.pd", "a.maxpat", "a.pd", "a.ts"]
    assert all(file.exists() for file in done.files)
    export_model(stored, TARGETS["nn"], tmp_path / "bare.ts", patches=False)
    assert [f.name for f in tmp_path.glob("bare*")] == ["bare.ts"]


@pytest.mark.skipif(shutil.which("pd") is None, reason="puredata-core is not installed")
def test_pure_data_opens_them_without_complaint(written: Any, voice: Any, tmp_path: Path) -> None:
    write_patches(tmp_path / "d.ts", small_model("spectrogram_gan", "drums").describe("x"))
    for path in (*sorted(written[0].glob("*.pd")), *sorted(voice[0].glob("*.pd")),
                 tmp_path / "d.pd"):
        done = subprocess.run(
            ["pd", "-nogui", "-batch", "-noprefs", "-r", "48000", "-open", path,
             "-send", "pd quit"], capture_output=True, text=True, timeout=60, check=False)
        said = [line for line in (done.stdout + done.stderr).splitlines()
                if line.strip() and "nn~" not in line]
        # Without nn~ its box stays empty, and so the cords to its channels find no inlet.
        odd = [s for s in said if "couldn't create" not in s and "connection failed" not in s]
        rate = [s for s in odd if s.startswith("wrong-sample-rate:-")]
        assert odd == rate, odd


def test_a_voice_of_strokes_has_keys_a_velocity_and_what_it_strikes(tmp_path: Path) -> None:
    """What is not connected is 0, and nothing is struck at a velocity of 0."""
    model = small_model("spectrogram_gan", "drums")
    write_patches(tmp_path / "drums.ts", model.describe("x"))
    boxes, cords = pd_boxes(tmp_path / "drums.pd")
    (voice,) = (index for index, box in enumerate(boxes) if box[3] == "nn~")
    labels = model.methods[model.main.name].input_labels
    inlets = {labels[inlet] for _, _, box, inlet in cords if box == voice and inlet < len(labels)}
    assert inlets == set(labels)
    told = {}
    for source, _, target, inlet in cords:
        for slider in (boxes[s] for s, _, t, _ in cords
                       if target == voice and boxes[source][3] == "sig~" and t == source
                       and boxes[s][3] == "hsl"):
            low, high, at = float(slider[6]), float(slider[7]), float(slider[-2])
            told[labels[inlet]] = (low, high, round(
                at * 0.01 * (high - low) / (float(slider[4]) - 1) + low, 6))
    ways = {label: (-2, 2, 0) if label.startswith("z ") else (0, 1, 0)
            for label in labels if label not in ("gate", "pitch_oct")}
    assert told == {**ways, "velocity": (0, 1, 1), model.config.classes[0]: (0, 1, 1)}
    assert reached(boxes, cords, " ".join(boxes[voice][3:])) == ["*~ 0.4"]
    assert reached(boxes, cords, "*~ 0.4") == ["dac~ 1 2"] * 2
