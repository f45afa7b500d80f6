"""What is asked for of a stroke stands beside its age, which counts to thousands. In q16x8 it keeps
steps of its own all the same, and the age is a whole number still."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.layers import Channels, Conv1d, Parallel, Sequence
from engine.layers.note import OLDEST
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.players.native_model import NativeFile, NativeModel
from engine.presets import shipped_native
from engine.scores.strokes import made_up
from export.native.export import lower
from export.native.nodes import Node, Program, Root, outermost
from export.native.simulate import Simulator
from export.quantise.export import _exact
from export.quantise.scales import cast, find_scales, read_channels
from export.quantise.sensitivity import decibels, error_ratio
from tests.core.native_cases import describe, graph_of, method_of
from tests.export.small_models import small_model

FINEST = 1e-3  # steps of what is asked for are at most so large
CLASSES = {"drums": "kick", "notes": "flute"}  # of shipped presets, one to strike
FloatArray = NDArray[np.float32]


@cache
def kind(name: str) -> SpectrogramGAN:
    model = small_model("spectrogram_gan", "drums" if name == "kit" else name)
    assert isinstance(model, SpectrogramGAN)
    return model.in_voices("a,b") if name == "kit" else model


@cache
def calibrated(name: str) -> tuple[Program, torch.Tensor]:
    """`magnitudes` of a small model with its scales, and what it was played."""
    model = kind(name)
    description = model.describe(name)
    programs = lower({m: model.graph(m) for m in description.methods}, description)
    cast(programs, _exact(programs))
    x = torch.from_numpy(made_up(model.config.labels, model.config.groups, 400, 3))
    find_scales(programs, model.default_attributes(), dict.fromkeys(programs, x))
    return programs["magnitudes"], x


def asked_for(program: Program) -> list[Node]:
    """What casts rows that notes hold, and what is added to them, to int16."""
    held: set[Root] = set()
    found = []
    for node in program.nodes:
        tops = {outermost(view.root)[0] for view in node.reads()}
        if node.kind == "note" or (node.kind in ("conv", "add") and node.exact and tops & held):
            held.add(outermost(node.out)[0])
        elif node.kind == "quantise" and tops & held:
            found.append(node)
    return found


@pytest.mark.parametrize("name", ["drums", "notes", "kit"])
def test_steps_of_what_is_asked_for_are_fine_and_ages_exact(name: str) -> None:
    program, x = calibrated(name)
    found = asked_for(program)
    assert len(found) == (2 if name == "kit" else 1)
    for node in found:
        assert 0 < outermost(node.out)[0].scale < FINEST

    rows = {annotated: written(name, program, x, annotated) for annotated in (False, True)}
    notes = [node.name for node in program.nodes if node.kind == "note"]
    for note in notes:
        assert torch.equal(rows[True][note], rows[False][note])
    ages = rows[True][notes[0]][-1]
    assert ages.max() == OLDEST
    assert set(range(20)) <= set(ages.tolist())
    tables = [node for node in program.nodes if node.kind == "embed"]
    assert tables
    for table in tables:
        assert not outermost(table.inputs[0].root)[0].scale, table.name


def written(name: str, program: Program, x: torch.Tensor, annotated: bool
            ) -> dict[str, torch.Tensor]:
    """What each operation writes."""
    rows = {}

    def watch(node: Node, y: torch.Tensor) -> None:
        rows[node.name] = y

    Simulator(program, kind(name).default_attributes(), annotated, torch.float32, watch=watch
              ).run(x)
    return rows


def test_only_what_is_read_has_a_say() -> None:
    """A loud channel beside those that a convolution reads: read by nothing, or by another one."""
    scales = {}
    for read in (False, True):
        net = loud_beside(read)
        programs = lower({"forward": graph_of(net)}, describe(method_of(net)))
        cast(programs)
        x = torch.randn(2, 4096, generator=torch.Generator().manual_seed(1))
        find_scales(programs, {}, {"forward": x})
        program = programs["forward"]
        top = outermost(program.nodes[-1].inputs[0].root)[0]
        assert read_channels(program)[top].tolist() == [True] * 3 + [read]
        scales[read] = top.scale
    assert 300 < scales[True] / scales[False] < 3000


def loud_beside(read: bool) -> Sequence:
    """Three channels that are read, and a fourth a thousand times as loud."""
    front, few, loud = Conv1d(2, 4, 1), Conv1d(3, 2, 1), Conv1d(1, 2, 1)
    with torch.no_grad():
        front.weight.copy_(torch.ones(4, 2, 1) * torch.tensor([1.0, 1, 1, 1000])[:, None, None])
    behind = Sequence(Channels(4, 0, 3), few)
    return Sequence(front, Parallel(behind, Sequence(Channels(4, 3, 4), loud)) if read else behind)


# --- the files that are shipped -------------------------------------------------------------------


def player(name: str, dtype: str) -> NativeModel:
    path = shipped_native(name, dtype)
    assert path is not None
    return NativeModel(NativeFile(path))


def stroke(name: str, dtype: str, **asked: float) -> FloatArray:
    """Magnitudes [bins, frames] of a stroke without chance, nothing else said than a class."""
    model = player(name, dtype)
    model.set("temperature", np.zeros(1, np.float32))
    labels = list(model.methods["magnitudes"].in_labels)
    x = np.zeros((1, len(labels), 24), np.float32)
    x[0, labels.index("gate"), 2:20] = 1
    for label, value in {"velocity": 0.8, CLASSES[name]: 1.0, **asked}.items():
        x[0, labels.index(label.replace("_", " "))] = value
    return model.process("magnitudes", x)[0, :, 2:]


FINE = [("velocity", (0.40, 0.45, 0.5, 0.6)), ("z_1", (0.0, 0.05, 0.1)), ("class", (0.9, 0.95))]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(("label", "values"), FINE, ids=[label for label, _ in FINE])
def test_what_is_asked_for_is_told_apart(name: str, label: str, values: tuple[float, ...]) -> None:
    """As float32 tells it apart: it moves magnitudes by as much, within a third."""
    label = CLASSES[name] if label == "class" else label
    made = {dtype: [stroke(name, dtype, **{label: value}) for value in values]
            for dtype in ("float32", "q16x8")}
    for index in range(len(values) - 1):
        moved = {dtype: float(np.sqrt(np.square(rows[index + 1] - rows[index]).mean()))
                 for dtype, rows in made.items()}
        assert moved["float32"] > 0
        assert moved["q16x8"] == pytest.approx(moved["float32"], rel=1 / 3), (values[index], moved)


# SNR of the comparison that the export made, on conditions like noise, and of strokes as played:
# 33.4 and 60.5 dB, 37.8 and 67.7 dB. In steps of a quarter 16.5 and 44.0, 17.2 and 47.2.
@pytest.mark.parametrize(("name", "told", "least"), [("drums", 31, 57), ("notes", 35, 64)])
def test_frames_of_shipped_files_are_those_of_float32(name: str, told: float, least: float) -> None:
    """Logarithms of magnitudes, what is drawn for strokes included."""
    made = {dtype: player(name, dtype) for dtype in ("float32", "q16x8")}
    provenance = json.loads(made["q16x8"].file.metadata)["provenance"]
    assert provenance["quantisation"]["methods"]["magnitudes"]["snr_db"] >= told
    labels = made["q16x8"].methods["magnitudes"].in_labels
    x = made_up(labels, [[CLASSES[name]]], 400, 3)
    rows = [torch.from_numpy(each.process("magnitudes", x[None])[0]) for each in made.values()]
    assert decibels(1.0, error_ratio(*rows)) >= least
