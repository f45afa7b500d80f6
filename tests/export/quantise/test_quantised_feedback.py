"""Loops that go on from numbers, without a draw, in fewer bits: with the file's own rows given, the
simulation makes them again; and what plays loops is told loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ConfigError, TudorError
from engine.layers import Conv1d, Guard, Loop, Parallel, Sequence, Tanh
from engine.models.loops_parts import RANGES
from engine.models.registry import build
from engine.scores.loops import PHASE, TEMPO, code_places
from export.native.casts import insert_casts
from export.native.export import compile_programs, lower, write_native
from export.native.forced import end_of, judged_end
from export.native.nodes import CONVS, outermost
from export.native.simulate import Simulator
from export.quantise.calibration import generated
from export.quantise.comparison import latents_inside, signals
from export.quantise.drawn import hearing, record
from export.quantise.export import _exact
from export.quantise.loops import both, check_rows, loop_conditions
from export.quantise.scales import cast, find_scales, find_weights
from export.quantise.sensitivity import alone, decibels, error_ratio
from tests.core.native_cases import describe, graph_of, method_of
from tests.export.native.exact_maths import Exact
from tests.export.small_models import SMALL, small_model

ROWS = 400
ENDS = {"guard": Guard(2), "activation": Tanh(2), "deep": Sequence(Tanh(2), Guard(2))}


def loop(end="guard", behind=False):
    torch.manual_seed(3)
    net = Sequence(Conv1d(3, 8, 3), Tanh(8), Conv1d(8, 2, 1))
    layers = Loop(net, ENDS[end])
    return Sequence(layers, Conv1d(2, 1, 3)) if behind else layers


def lowered(layers):
    description = describe(method_of(layers))
    return lower({"forward": graph_of(layers)}, description)["forward"], description


def quantised(layers):
    """Program in q16x8, its description, and what the float32 one made."""
    program, description = lowered(layers)
    x = torch.randn(1, ROWS, generator=torch.Generator().manual_seed(1))
    heard = record(program, description, "forward", x.numpy())
    program, _ = lowered(layers)
    cast({"forward": program})
    signal = {"forward": heard}
    find_weights({"forward": program}, {}, signal, find_scales({"forward": program}, {}, signal))
    return program, description, heard


@pytest.mark.parametrize("end", ENDS)
def test_rows_of_a_q16x8_loop_are_simulated_to_the_bit(end):
    program, description, heard = quantised(loop(end))
    own = record(program, description, "forward", heard.x.numpy())
    got = Simulator(program, {}, annotated=True, maths=Exact).run(own)
    assert got.shape == own.drawn.shape == (2, ROWS)
    np.testing.assert_array_equal(got.numpy(), own.drawn.numpy())
    assert len(torch.unique(own.drawn)) > 100
    assert not torch.equal(own.drawn, heard.drawn), "rounding that changes no row is none"


def test_what_a_loop_loses_is_told_with_the_past_given():
    program, _, heard = quantised(loop())
    exact, played = both(program, {}, heard)
    assert torch.allclose(exact, heard.drawn, atol=1e-5)
    snr = decibels(1.0, error_ratio(exact, played))
    assert 30 < snr < 90
    layers = alone(program, {}, heard, exact)
    assert len(layers) == 2
    assert all(layer.noise > 0 for layer in layers)
    last = [node for node in program.nodes if node.kind in CONVS][-1]
    last.integers = [replace(run, step=run.step * 0) for run in last.integers]
    _, broken = both(program, {}, heard)
    assert decibels(1.0, error_ratio(exact, broken)) < snr - 20


@pytest.mark.parametrize("end", ENDS)
def test_what_is_learnt_behind_a_loop_is_judged_by_the_output(end):
    """Rows that a convolution reads are of 16 bits where nothing asks for floats."""
    program, description, heard = quantised(loop(end, behind=True))
    last = end_of(program)
    assert judged_end(program) is None
    assert bool(outermost(last.out)[0].scale) == (end == "activation")
    own = record(program, description, "forward", heard.x.numpy())
    played = Simulator(program, {}, annotated=True, maths=Exact)
    assert played.run(own).shape == (1, ROWS)
    np.testing.assert_array_equal(played.made(last).numpy(), own.drawn.numpy())
    assert own.drawn.abs().max() > 0.1


def test_a_file_that_goes_on_otherwise_is_found(tmp_path):
    program, description, heard = quantised(loop())
    own = record(program, description, "forward", heard.x.numpy())
    file = tmp_path / "x.tudor"
    write_native(file, compile_programs({"forward": program}, description))
    check_rows(program, "forward", {}, own, file)
    shifted = replace(own, drawn=own.drawn + 0.05)
    with pytest.raises(TudorError, match="goes on otherwise than its own arithmetic says"):
        check_rows(program, "forward", {}, shifted, file)
    first = next(node for node in program.nodes if node.kind in CONVS)
    first.integers = [replace(run, step=run.step * 1.2) for run in first.integers]
    with pytest.raises(TudorError, match="otherwise than its own arithmetic says"):
        check_rows(program, "forward", {}, own, file)


def test_what_several_layers_write_cannot_be_given():
    end = Parallel(Tanh(2), Conv1d(2, 1, 1), combine="concat")
    layers = Loop(Sequence(Conv1d(4, 2, 3), Tanh(2)), end)
    program, description = lowered(layers)
    with pytest.raises(ConfigError, match="what several operations write"):
        record(program, description, "forward", np.zeros((1, 8), np.float32))


def test_rows_are_cast_before_they_are_read():
    """Of a concat with float rows, what is made before the loop is read before the loop."""
    model = small_model("latent_flow", "loops")
    programs = lower({name: model.graph(name) for name in model.methods}, model.describe("x"))
    exact = _exact(programs)
    for program in programs.values():
        insert_casts(program, exact)
        written = {outermost(program.input.root)[0]: set(range(program.input.channels))}
        late = {outermost(view.root)[0] for view in program.fed}
        convs = 0
        for node in program.nodes:
            for view in node.reads():
                top, first = outermost(view.root)
                first += view.first
                if top not in late:
                    assert set(range(first, first + view.channels)) <= written[top], node.name
            top, first = outermost(node.out)
            written.setdefault(top, set()).update(range(first, first + node.out.channels))
            if node.kind in CONVS:
                assert bool(outermost(node.inputs[0].root)[0].scale) != node.exact
                convs += 1
        assert convs > 5
        assert len({n.name for n in program.nodes if n.kind in CONVS}) == convs


def test_what_plays_loops_is_told_loops():
    model = small_model("latent_flow", "loops")
    spec = model.methods["generate"]
    labels = spec.input_labels
    told, other = (loop_conditions(spec, model.sample_rate_hz, held_out, 1 << 16)
                   for held_out in (False, True))
    seconds = told.shape[1] * spec.in_ratio / model.sample_rate_hz
    assert 39 < seconds < 41
    assert np.array_equal(told, loop_conditions(spec, model.sample_rate_hz, False, 1 << 16))
    codes = told[list(code_places(labels))]
    assert len(np.unique(codes, axis=1).T) == 8
    assert not set(codes.reshape(-1)) & set(other[list(code_places(labels))].reshape(-1))
    bpm = 128 * 2 ** told[labels.index(TEMPO)]
    assert 90 <= bpm.min() < bpm.max() <= 180
    phase = told[labels.index(PHASE)]
    assert phase.min() < 0.05
    assert phase.max() > 0.95
    assert set(told[labels.index("variation")]) == {0.0, 1.0}
    for label in ("density", "style x"):
        row, (low, high) = told[labels.index(label)], RANGES[label]
        assert row.min() < 0.2 * low
        assert row.max() > 0.2 * high
        assert low <= row.min() <= row.max() <= high
    assert loop_conditions(spec, model.sample_rate_hz, False, 64).shape[1] <= 64


def test_a_decoder_hears_what_its_coder_makes_or_the_model_itself():
    model = small_model("latent_vae", "loops")
    assert hearing(model).name == "embed"
    audio = torch.randn(1, 4096)
    made = latents_inside(model, "decode", audio)
    assert torch.equal(made, model.codec.offline("encode", audio[None])[0])
    deaf = build("latent_vae", {**SMALL["latent_vae"]["loops"], "embed": False}).eval()
    assert hearing(deaf) is None
    assert latents_inside(deaf, "decode", audio[:, :0]) is None
    material = generated(deaf, None)
    assert "made-up codes" in material.source
    heard = signals(deaf, material, held_out=True)
    assert torch.allclose(heard["decode"], deaf.offline("generate", heard["generate"][None])[0],
                          atol=1e-4)
    with pytest.raises(ConfigError, match="leave the option out"):
        generated(deaf, Path("x"))
