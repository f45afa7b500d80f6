"""Both families that draw sound sample by sample: streams, silence, conditions, exactness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.description import Method
from engine.layers import Channels, Guard, Parallel, Sequence
from engine.layers.fixed import Fixed
from engine.models.autoregressive_parts import Places, features
from engine.models.base import Model
from engine.models.chain import Chain
from engine.models.looped import Looped
from engine.models.registry import build
from engine.models.two_tier import TwoTier
from engine.models.wavenet import WaveNet
from engine.players.native_model import NativeModel
from export.native.export import export_native, lower
from export.native.forced import judged
from export.quantise.drawn import probe
from tests.engine.models.drawing import config_of, note, streamed
from tests.export.small_models import DRAWING, SMALL, small_model
from tests.firmware.machines import instruction_sets
from training.data.base import Batch
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment
from training.run.config import training_config

GATED = [case for case in DRAWING if case[1] != "free"]
CONFIG = training_config({"objective": "autoregressive", "data": "crops"})


@pytest.fixture(params=DRAWING, ids="-".join)
def model(request):
    return small_model(*request.param)


@pytest.fixture(params=GATED, ids="-".join)
def gated(request):
    return small_model(*request.param)


def sounds(y) -> tuple[int, int]:
    """First sample that is not 0, and the one behind the last."""
    places = torch.as_tensor(y).flatten().nonzero().flatten()
    return int(places[0]), int(places[-1]) + 1


def test_streamed_is_offline_however_it_is_cut(model):
    unit = model.methods["generate"].in_frames
    x = note(model.double(), rows=12 * unit).double()
    whole = model.offline("generate", x)
    assert whole.shape == (1, 1, 12 * model.methods["generate"].ratio)
    assert whole.abs().max() > 0.01
    for sizes in ((1,), (1, 3, 2), (7,)):
        assert torch.equal(streamed(model, x, sizes), whole)


def test_streams_of_a_batch_do_not_touch_each_other(gated):
    """Each beside others is what it is beside itself: noise goes by the place in the batch."""
    x = torch.cat([note(gated, rows=16, loudness=level) for level in (-1.0, -6.0)]).double()
    both = gated.double().offline("generate", x)
    assert both.abs().amax() > 0.01
    assert not torch.equal(both[0], both[1])
    for stream in range(2):
        alike = gated.offline("generate", x[stream].expand(2, -1, -1))
        assert torch.allclose(both[stream], alike[stream], rtol=0, atol=1e-12)


def test_every_weight_is_trained(model):
    x = note(model).expand(4, -1, -1).clone()
    if "class" in model.methods["generate"].input_labels:
        x[:, -1] = torch.arange(4)[:, None] % 3
    x = x[:, :, : x.shape[2] // 4 * 4]
    samples = x.shape[2] * model.methods["generate"].in_ratio
    audio = 0.3 * torch.sin(torch.arange(samples) / 9).expand(4, 1, -1)
    audio = audio + 0.1 * torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    objective = AutoregressiveObjective(model, CONFIG)
    terms = objective.losses(Batch(audio=audio, conditions=x), Moment())
    terms["loss"].backward()
    assert 0 < float(terms["bits_per_sample"]) < 40
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_note_ends_in_exact_silence(gated, tmp_path):
    """From its first row on, and a release after its last."""
    config = config_of(gated)
    x = note(gated)
    wanted = (5 * config.row_samples, (24 + config.release_rows) * config.row_samples)
    assert config.release_rows == round(0.005 * 16000 / config.row_samples)
    y = gated.offline("generate", x)
    assert sounds(y) == wanted
    path = tmp_path / "x.tudor"
    export_native(gated, path, gated.describe("x"))
    twice = np.concatenate([x[0].numpy()] * 2, axis=1)
    for isa in instruction_sets():
        again = NativeModel.open(path, isa=isa).process("generate", twice[None])[0]
        assert sounds(again[:, : again.shape[1] // 2]) == wanted
        assert sounds(again[:, again.shape[1] // 2 :]) == wanted


def test_conditions_are_heard_and_free_is_free_of_them(gated):
    """In what the network says to the same past."""
    parts, torch_seed = Looped.of(gated, "generate"), torch.Generator().manual_seed(0)
    x = note(gated, rows=24)
    past = torch.rand(1, 1, 24 * config_of(gated).row_samples, generator=torch_seed) - 0.5
    past = parts.drawn(past)

    def said(**values):
        with torch.no_grad():
            return parts.given(note(gated, rows=24, **values), past, gated.default_attributes())

    plain = said()
    assert plain.shape[2] == x.shape[2] * config_of(gated).row_samples
    for change in ({"pitch_oct": 0.3}, {"loudness": -5.0}, {"free": 1.0}, {"gate": 0.0}):
        assert (said(**change) - plain).abs().max() > 1e-4, change
    free = said(free=1.0)
    for change in ({"pitch_oct": 0.3}, {"loudness": -5.0}, {"gate": 0.0}):
        assert torch.equal(said(free=1.0, **change), free), change
    if config_of(gated).classes:
        assert (said(**{"class": 2.0}) - plain).abs().max() > 1e-4
        assert (said(free=1.0, **{"class": 2.0}) - free).abs().max() > 1e-4


def test_gates_count_above_a_half(gated):
    def played(gate):
        x = note(gated, rows=16)
        x[:, 1] *= gate
        return gated.offline("generate", x)

    assert torch.equal(played(0.51), played(1.0))
    assert torch.equal(played(2.0), played(1.0))
    assert not played(0.49).any()


def test_a_pitch_between_two_notes_is_shared_by_them():
    """The piano roll, against its formula; no note where the gate is 0 or `free` 1."""
    config = config_of(small_model("two_tier", "mixture"))
    at, notes = Places(config), np.arange(config.lowest_note, config.highest_note + 1)
    rolls = Sequence(*tuple(features(config).layers[0].branches[0])[:4])
    row = torch.zeros(1, at.count, 1)
    size = len(notes) + 1
    for pitches, gates, free in (((0.0, 1.0), (1, 1), 0), ((0.03125, -0.77), (1, 0), 0),
                                 ((0.5, 0.52), (1, 1), 1), ((-8.0, 8.0), (0, 0), 0)):
        row[0, list(at.pitches), 0] = torch.tensor(pitches)
        row[0, list(at.gates), 0] = torch.tensor(gates).float()
        row[0, at.free] = free
        row[0, at.loudness] = -2.0
        got = rolls.offline(row)[0, :, 0].numpy()
        for voice in range(2):
            wanted = np.maximum(0, 1 - np.abs(12 * pitches[voice] + 60 - notes))
            wanted = wanted * gates[voice] * (1 - free)
            assert np.allclose(got[voice * size : voice * size + len(notes)], wanted, atol=2e-4)
            assert got[(voice + 1) * size - 1] == gates[voice] * (1 - free)
        assert got[-2] == pytest.approx((1 - free) * 6 / 9, abs=1e-6)
        assert got[-1] == free


def test_voices_may_change_places():
    """What two voices play is a sum."""
    made = small_model("wavenet", "classes")
    x = note(made, rows=16)
    x[:, 0], x[:, 2], x[:, 3] = 0.5, -0.25, x[:, 1]
    other = x[:, [2, 3, 0, 1, *range(4, x.shape[1])]]
    y = made.double().offline("generate", x.double())
    assert y.abs().max() > 0.01
    assert torch.allclose(y, made.offline("generate", other.double()), atol=1e-9)


class Told(Model):
    """The same network without its loop: what it would have read back is a further channel."""

    family = "told"

    def __init__(self, own: WaveNet | TwoTier) -> None:
        super().__init__()
        self.own, self.config = own, own.config

    def chains(self) -> dict[str, Chain]:
        own, given = self.own, len(self.own.config.labels)
        links = []
        if own.config.voices:
            step = own.config.row_samples  # rows are held for so many samples: the last is taken
            before = ((own.rows, own.conditions) if isinstance(own, WaveNet)
                      else (own.rows, own.repeat))
            held = Sequence(Channels(given + 1, 0, given), Guard(given),
                            Fixed(torch.eye(given)[:, :, None], None, step), *before)
            links = [Parallel(held, Channels(given + 1, given, given + 1), combine="concat")]
        count = 3 * own.config.parts if own.config.head == "mixture" else own.config.levels
        net = own.loop.net
        return {"forward": Chain.of(
            *links, ("net", net), inputs=(*own.config.labels, "past")[-net.in_channels:]
            if not links else (*own.config.labels, "past"),
            outputs=tuple(map(str, range(count))))}


def test_what_is_drawn_from_is_what_the_past_says_to_the_bit(model, tmp_path):
    """In the C runtime: a stream that draws row by row, and the same network given all that was
    drawn at once."""
    description = model.describe("x")
    program = lower({"generate": model.graph("generate")}, description)["generate"]
    rows = 48 if config_of(model).voices else 48 * 16
    x = note(model, rows=rows).numpy()
    free = probe(program, description, "generate", judged(program)).process("generate", x)[0]
    drawn = probe(program, description, "generate", program.fed[0]).process("generate", x)[0]
    past = np.pad(drawn, ((0, 0), (1, 0)))[:, :-1]
    if config_of(model).voices:
        past = np.concatenate((np.repeat(x[0], config_of(model).row_samples, axis=1), past))
    told, path = Told(model), tmp_path / "told.tudor"
    export_native(told, path, replace(told.describe("x"), family="told"))
    given = NativeModel.open(path).process("forward", past[None])[0]
    assert given.shape == free.shape
    assert given.shape[1] >= 96
    assert np.abs(drawn).max() > 0.01
    assert np.array_equal(given, free)


def test_shapes_are_described():
    for family, shapes in SMALL.items():
        for name, shape in shapes.items():
            if (family, name) not in DRAWING:
                continue
            spec: Method = build(family, shape).methods["generate"]
            assert spec.role == "generate"
            assert spec.out_channels == spec.out_ratio == 1
            assert spec.lookahead_samples == 0
