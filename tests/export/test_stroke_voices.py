"""Several drum voices in one file: they are single voices, summed, with weights stored once; an
instrument strikes each by a gate or a key of its own, a constant time later."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.layers import NoiseMultiply, Resynth
from engine.models.registry import build
from engine.models.store import Stored
from engine.players.base import load
from engine.players.native_model import NativeModel
from engine.scores import strokes
from export.native.export import compile_graphs
from export.targets import check, export_model
from export.verify import in_voices_of, verify
from firmware.simulate_rack import events, play_rack
from tests.export.small_models import SMALL, small_model
from tests.firmware.machines import assert_same_bits, instruction_sets, machine

NAMES = ("a", "b", "a")
FRAMES, RATE = 96, 48000
GATES = {1: (5, 50), 2: (17,), 3: (18, 60)}


@cache
def single():
    return small_model("spectrogram_gan", "drums")


@cache
def several():
    return single().in_voices(",".join(NAMES))


def rows(model, voices, **asked):
    """Gates of these voices, open for a frame; conditions by label."""
    labels = model.config.labels
    x = np.zeros((len(labels), FRAMES), np.float32)
    for k in voices:
        x[labels.index(f"gate {k}"), list(GATES[k])] = 1
        x[labels.index(f"velocity {k}")] = 0.8
    for label, value in asked.items():
        x[labels.index(label.replace("_", " "))] = value
    return x


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    out = tmp_path_factory.mktemp("voices") / "kit.tudor"
    done = export_model(Stored("kit", several(), {"model": {"family": "spectrogram_gan"}}, True,
                               None), check("native", out), out)
    assert done.report.passed
    return out


@pytest.mark.parametrize("hold", [1.0, 0.0])
def test_voices_are_single_voices_summed_to_the_bit(hold, file, few, tmp_path):
    """A voice that rests adds 0. The first draws as a model of one voice does. Their z move."""
    alone, wanders = {}, np.sin(np.arange(FRAMES, dtype=np.float32) / 5)

    def by(path, isa, x):
        model = NativeModel.open(path, isa=isa)
        model.set("hold", np.float32([hold]))
        return model.process("generate", x[None])[0]

    for isa in ("ref", *instruction_sets()):
        def played(voices, isa=isa):
            return by(file, isa, rows(several(), voices, z_1=wanders, z_2=-wanders, z_3=wanders))

        alone = {k: played((k,)) for k in GATES}
        assert all(np.abs(y).max() > 1e-3 for y in alone.values())
        assert_same_bits(played(GATES), (alone[1] + alone[2]) + alone[3])
    labels = single().config.labels
    x = np.zeros((len(labels), FRAMES), np.float32)
    x[0, list(GATES[1])] = 1
    x[labels.index("velocity")], x[labels.index("a")], x[labels.index("z 1")] = 0.8, 1, wanders
    methods = {name: single().graph(name) for name in single().methods}
    (tmp_path / "one.tudor").write_bytes(compile_graphs(methods, single().describe("one")))
    assert_same_bits(by(tmp_path / "one.tudor", "ref", x), alone[1])
    held = NativeModel.open(file, isa="ref").process("generate", rows(several(), (1,), z_1=wanders)[
        None])[0]
    assert np.array_equal(held, alone[1]) is (hold == 1)


def test_voices_of_one_class_draw_differently():
    y = [several().offline("generate", torch.from_numpy(rows(several(), (k,)))[None])[0, 0]
         for k in (1, 3)]
    starts = [(GATES[k][0] + 4) * single().config.hop for k in (1, 3)]
    a, b = (part[at : at + 500] for part, at in zip(y, starts, strict=True))
    assert (a - b).abs().max() > 0.1 * a.abs().max()


def test_weights_lie_there_once():
    one, three = single().graph("magnitudes"), several().graph("magnitudes")
    nets = [{op.weights_key for op in graph.ops if op.kind == "conv1d" and op.weight_count > 200}
            for graph in (one, three)]
    assert len(nets[0]) > 3
    assert len(nets[0]) == len(nets[1])
    assert set(several().state_dict()) == set(single().state_dict())
    assert sum(p.numel() for p in several().parameters()) == single().parameter_count


def test_the_file_is_verified_against_the_model_of_one_voice(file):
    model = in_voices_of(file, single())
    assert model.config.voices == NAMES
    assert verify(file, model).passed
    assert in_voices_of(file.with_name("missing.tudor"), single()) is single()
    assert verify(file, single()).problem


def test_late_delays_a_voice_by_samples():
    hop = single().config.hop
    y = [several().offline("generate", torch.from_numpy(
        rows(several(), (2,), late_2=late))[None])[0, 0] for late in (0, 0.25)]
    begins = (GATES[2][0] + 4) * hop
    assert y[0][:begins].abs().max() == y[1][: begins + 8].abs().max() == 0
    assert torch.equal(y[0][begins:-8], y[1][begins + 8 :])


def test_classes_lie_along_a_list():
    """From its own class a voice goes as far as the list is long; between two it is a mix."""
    def heard(**asked):
        x = torch.from_numpy(rows(several(), (1,), **asked))[None]
        return several().offline("magnitudes", x, temperature=torch.zeros(1), grain=torch.zeros(1)
                                 )[0, : 2 * single().config.bins, 20:40]

    labels = single().config.labels
    for place, weights in ((0, {"a": 1.0}), (1, {"b": 1.0}), (0.5, {"a": 0.5, "b": 0.5})):
        x = torch.zeros(1, len(labels), FRAMES)
        x[0, 0, list(GATES[1])], x[0, labels.index("velocity")] = 1, 0.8
        for name, weight in {**weights, "two": 1.0}.items():
            x[0, labels.index(name)] = weight
        wanted = single().offline("magnitudes", x, temperature=torch.zeros(1),
                                  grain=torch.zeros(1))[0, : 2 * single().config.bins, 20:40]
        assert (heard(class_1=place, subclass=1) - wanted).abs().max() < 1e-5
    assert (heard(class_1=1) - heard()).abs().max() > 1e-3


def test_a_decay_of_its_own_is_the_speed_of_age():
    hop, length = single().config.hop, single().config.frames + single().config.fade
    ends = []
    for decay in (0.0, 1.0):
        x = rows(several(), (2,), decay_2=decay)
        y = several().offline("generate", torch.from_numpy(x)[None])[0, 0]
        ends.append(int(torch.nonzero(y)[-1]) / hop - GATES[2][0])
    assert ends == [pytest.approx(length, abs=5), pytest.approx(length / 2, abs=5)]


@pytest.mark.parametrize(("said", "found"), [
    ("2", ("kick", "snare")), ("4", ("kick", "snare", "hat_open", "cat")),
    ("cat,kick", ("cat", "kick")), ("5", ("kick", "snare", "hat_open", "cat", "kick"))])
def test_voices_are_chosen_by_number_or_name(said, found):
    assert strokes.chosen_voices(said, ("cat", "hat_open", "snare", "kick")) == found


@pytest.mark.parametrize(("said", "why"), [("0", "1 to 8"), ("9", "1 to 8"),
                                           ("kik", "did you mean 'kick'")])
def test_what_cannot_be_is_said(said, why):
    with pytest.raises(ConfigError, match=why):
        strokes.chosen_voices(said, ("kick", "snare"))
    with pytest.raises(ConfigError, match="drum voices"):
        small_model("raw_vae", next(iter(SMALL["raw_vae"]))).in_voices("2")


def test_the_mapping_keeps_to_what_an_instrument_reads():
    for count in range(1, 9):
        config = single().config.model_copy(update={"voices": ("kick",) * count,
                                                    "classes": ("kick", "snare")})
        text = strokes.voices_mapping(config.labels, config.voices)
        assert len(text) < 2048
        assert len(text.splitlines()) <= 97
        keys = [line.split()[0] for line in text.splitlines() if line.startswith("key")]
        assert keys[:2] == ["key36", "key35"][:count]
        assert len(set(keys)) == count


# --- an instrument ------------------------------------------------------------------------------

@cache
def kit():
    """At the board's rate, with frames that its blocks do not divide."""
    torch.manual_seed(0)
    model = build("spectrogram_gan", {
        **SMALL["spectrogram_gan"]["drums"], "sample_rate_hz": RATE, "fft": 256, "hop": 64,
        "classes": ["kick", "snare"]}).eval().in_voices("kick,snare,kick,snare")
    return compile_graphs({"generate": model.graph("generate")}, _one_method(model))


def _one_method(model):
    from dataclasses import replace

    described = model.describe("kit")
    return replace(described, methods={"generate": described.methods["generate"]})


def heard(script, block, seconds=1.0):
    run = play_rack(machine("native"), [kit()], script=events(script, RATE), block=block,
                    audio=np.zeros((1, round(seconds * RATE)), np.float32))
    assert not run.refused
    return run.audio[0]


@pytest.mark.parametrize("block", [48, 128])
def test_gates_are_heard_a_constant_time_later(block):
    """Any gate, at any sample of a frame, however short."""
    late = set()
    for number in range(6):
        at = 4800 + 3701 * number
        y = heard([((at + after) / RATE, "gate", number % 4, high)
                   for after, high in ((0, 1.0), (9, 0.0))], block, 0.6)
        late.add(int(np.flatnonzero(y)[0]) - at)
    assert len(late) == 1
    assert 256 <= late.pop() <= 256 + 64 + block + 64  # fft, a frame, a block, the limiter


def test_keys_of_a_kit_strike_with_their_velocity():
    at = 0.1
    quiet = {}
    for key in (36, 38):
        for velocity in (20, 127):
            message = 0x90 << 16 | key << 8 | velocity
            quiet[key, velocity] = heard([(at, "midi", 0, message)], 48, 0.5)
    assert all(np.abs(y).max() > 1e-3 for y in quiet.values())
    for one, other in (((36, 127), (38, 127)), ((36, 20), (36, 127)), ((38, 20), (38, 127))):
        assert np.abs(quiet[one] - quiet[other]).max() > 1e-4
    assert not heard([(at, "midi", 0, 0x902B7F)], 48, 0.5).any()  # a key of none of its voices


def test_a_key_that_is_struck_again_without_being_let_go_sounds_again():
    rest = heard([(0.05, "midi", 0, 0x90247F)], 48, 0.8)
    again = heard([(0.05, "midi", 0, 0x90247F), (0.5, "midi", 0, 0x90247F)], 48, 0.8)
    late = round(0.5 * RATE)
    assert np.array_equal(rest[:late], again[:late])
    assert np.abs(again[late:]).max() > 10 * np.abs(rest[late + 1000 :]).max() + 1e-4


def test_four_gates_sound_at_once_as_a_rack_of_four():
    at = 0.1
    every = heard([(at, "gate", k, 1.0) for k in range(4)], 48, 0.4)
    alone = [heard([(at, "gate", k, 1.0)], 48, 0.4) for k in range(4)]
    assert np.abs(every - np.sum(alone, axis=0)).max() < 1e-5
    assert len({int(np.flatnonzero(y)[0]) for y in (every, *alone)}) == 1


def test_made_up_strokes_strike_every_voice(file):
    labels = load(file).methods["generate"].input_labels
    x = strokes.made_up(labels, (), 400, 1)
    gates = [x[labels.index(f"gate {k}")] for k in (1, 2, 3)]
    assert all(gate.max() == 1 for gate in gates)
    assert strokes.plays_strokes(labels)
    turns = strokes.in_turn(labels, (), 90, 30)
    assert [int(np.flatnonzero(turns[labels.index(f"gate {k}")])[0]) for k in (1, 2, 3)] == [
        0, 30, 60]


def test_seeds_of_voices_are_apart():
    found = [layer.seed for layer in several().panel.modules()
             if isinstance(layer, NoiseMultiply | Resynth)]
    assert len(found) == len(set(found)) == 6
