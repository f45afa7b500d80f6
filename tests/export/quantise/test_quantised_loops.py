"""Methods that read their own output, in fewer bits: simulated with known draws, they are what the
file plays; ranges come from the model's own sound; classes are never rounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.description import Description
from engine.errors import ConfigError
from engine.layers import Channels, Conv1d, Identity, KeyedNoise, Parallel, Sequence, Tanh
from engine.layers.base import Streaming
from export.native.casts import insert_casts
from export.native.export import lower
from export.native.forced import Forced, first_frames, judged
from export.native.nodes import CONVS, Program, outermost
from export.native.simulate import Simulator
from export.quantise.drawn import conditions_in, filled, loss, probe, record, steps
from export.quantise.scales import cast, find_scales, find_weights
from export.quantise.sensitivity import alone, noise_ratio
from tests.core.loop_cases import CLASSES, LOOPS, attributes_of, values_of
from tests.core.native_cases import describe, graph_of, method_of, net
from tests.export.native.exact_maths import Exact

DRAWS = 600
WHOLE = [name for name in LOOPS if name != "loop_recurrent"]  # recurrent layers have no q16x8 form


def lowered(layers: Streaming) -> tuple[Program, Description]:
    description = describe(method_of(layers), attributes_of(layers))
    return lower({"forward": graph_of(layers)}, description)["forward"], description


def generated(name: str, seed: int = 0) -> tuple[Program, Description, Forced]:
    """The float program and what it draws."""
    program, description = lowered(net(name))
    spec = description.methods["forward"]
    x = filled(steps(spec, DRAWS, seed), program, DRAWS)
    return program, description, record(program, description, "forward", x)


def quantised(name: str, dtype: str, heard: Forced) -> tuple[Program, Description]:
    program, description = lowered(net(name))
    values, programs = values_of(net(name)), {"forward": program}
    if dtype == "bf16w":
        for node in program.nodes:
            node.dtype = "bfloat16" if node.kind in CONVS else node.dtype
    else:
        cast(programs)
        signals = {"forward": heard}
        find_weights(programs, values, signals, find_scales(programs, values, signals))
    return program, description


def given_and_drawn(program: Program, description: Description, x: np.ndarray
                    ) -> tuple[np.ndarray, Forced]:
    """What the file's draws are made from when it plays by itself, and what it draws."""
    given = probe(program, description, "forward", judged(program)).process("forward", x[None])[0]
    return given, record(program, description, "forward", x)


# --- the simulation -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
def test_a_q16x8_loop_is_simulated_to_the_bit(name):
    """The C reference plays row by row what the simulator, told the draws, computes at once."""
    _, _, heard = generated(name)
    program, description = quantised(name, "q16x8", heard)
    wanted, played = given_and_drawn(program, description, heard.x.numpy())
    got = Simulator(program, values_of(net(name)), annotated=True, maths=Exact).run(played).numpy()
    assert got.shape == wanted.shape
    assert got.shape[1] == DRAWS
    assert len(np.unique(wanted)) > 500
    np.testing.assert_array_equal(got, wanted)
    assert not np.array_equal(played.drawn, heard.drawn), "rounding that changes no draw is none"


@pytest.mark.parametrize("dtype", ["float32", "bf16w"])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_with_float_rows_are_simulated(name, dtype):
    """But for the order in which a convolution adds."""
    program, description, heard = generated(name)
    if dtype != "float32":
        program, description = quantised(name, dtype, heard)
    wanted, played = given_and_drawn(program, description, heard.x.numpy())
    got = Simulator(program, values_of(net(name)), annotated=True, maths=Exact).run(played).numpy()
    assert got.shape == wanted.shape
    largest = np.abs(wanted).max()
    assert largest > 0.1
    assert np.abs(got - wanted).max() < 1e-5 * largest
    assert np.abs(got[:, 1:] - wanted[:, :-1]).max() > 0.01


def test_a_simulation_without_its_draws_is_refused():
    program, _, heard = generated("loop")
    simulator = Simulator(program, values_of(net("loop")))
    with pytest.raises(ValueError, match="with the draws of that loop"):
        simulator.run(heard.x)
    with pytest.raises(ValueError, match="draws, wanted"):
        simulator.run(Forced(heard.x, heard.drawn[:, 1:]))


def test_the_beginning_of_a_signal_with_draws():
    program, _, heard = generated("loop_tiers")
    unit = program.input.root.rows
    part = first_frames(heard, 10 * unit)
    assert part.x.shape[1] == part.drawn.shape[1] == 10 * unit
    values = values_of(net("loop_tiers"))
    whole, short = (Simulator(program, values).run(x) for x in (heard, part))
    assert short.shape[1] == 10 * unit
    assert torch.allclose(whole[:, : 10 * unit], short, atol=1e-12, rtol=0)


# --- classes ------------------------------------------------------------------------------------


def test_classes_that_were_never_heard_are_told_apart():
    """Ranges found with the lower classes alone: the table is still read by the number drawn."""
    _, _, heard = generated("loop")
    low = Forced(heard.x, heard.drawn.clamp_max(3.0))
    program, _ = quantised("loop", "q16x8", low)
    high = Forced(heard.x, torch.full_like(heard.drawn, CLASSES - 1.0))
    values = values_of(net("loop"))
    seen = {}
    for annotated in (False, True):
        Simulator(program, values, annotated,
                  watch=lambda node, y, a=annotated: seen.setdefault(a, []).append((node, y))
                  if node.kind == "embed" else None).run(high)
    assert len(seen[True]) == 2  # in the loop, and behind it
    for (_, exact), (_, played) in zip(seen[False], seen[True], strict=True):
        assert exact.shape == played.shape
        assert float(exact.abs().max()) > 0.5
        assert torch.allclose(exact.float(), played, atol=1e-6)


def test_no_copy_of_a_class_stays_among_rows_of_16_bits():
    program, _ = lowered(net("loop"))
    insert_casts(program)
    assert not any(node.kind == "copy" for node in program.nodes)
    assert sum(node.kind == "embed" for node in program.nodes) == 2
    for node in program.nodes:
        if node.kind == "embed":
            assert outermost(node.inputs[0].root)[0].scale == 0
    assert not any("embed/dequantise" in node.name for node in program.nodes)


def test_noise_reads_its_number_as_it_was_made():
    beside = Parallel(Identity(1), Tanh(1), Conv1d(1, 1, 2), combine="concat")
    layers = Sequence(beside, Parallel(Sequence(Channels(3, 0, 1), KeyedNoise(3)),
                                       Conv1d(3, 3, 3)), Conv1d(3, 1, 1))
    for net_ in (layers, net("loop_keyed")):
        program, _ = lowered(net_)
        insert_casts(program)
        (noise,) = (node for node in program.nodes if node.kind == "keyed_noise")
        assert outermost(noise.inputs[0].root)[0].scale == 0
        assert not any(f"{noise.name}/dequantise" in node.name for node in program.nodes)
        assert any(node.kind == "quantise" for node in program.nodes)


# --- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
def test_lost_bits_are_those_of_the_distributions(name):
    """None where nothing is rounded, few in q16x8, many with a layer gone; and each layer alone
    loses no more than all."""
    exact_program, _, heard = generated(name)
    values = values_of(net(name))
    drawn, _, _ = loss(exact_program, values, heard)
    assert drawn.lost_bits < 1e-7
    assert 0.5 < drawn.bits < 8
    program, _ = quantised(name, "q16x8", heard)
    found, exact, played = loss(program, values, heard)
    assert 1e-7 < found.lost_bits < 1e-3
    assert found.bits == pytest.approx(drawn.bits)
    if name == "loop":  # here by the definition, one row at a time
        p, q = (x.double().log_softmax(0) for x in (exact, played))
        wanted = (p.exp() * (p - q)).sum(0).mean() / np.log(2)
        assert found.lost_bits == pytest.approx(float(wanted), rel=0.01)
    apart = alone(program, values, heard, exact)
    assert len(apart) == sum(node.kind in CONVS for node in program.nodes)
    together = noise_ratio(program, values, heard, exact)
    assert 0 < max(layer.noise for layer in apart) < 1.5 * together
    last = [node for node in program.nodes if node.kind in CONVS][-1]
    last.integers = [replace(run, step=run.step * 0) for run in last.integers]
    assert loss(program, values, heard)[0].lost_bits > 100 * found.lost_bits


def test_held_out_draws_are_others():
    program, description, heard = generated("loop")
    x = heard.x.numpy()
    again = record(program, description, "forward", x)
    other = record(program, description, "forward", x, held_out=True)
    assert torch.equal(again.drawn, heard.drawn)
    assert float((other.drawn != heard.drawn).double().mean()) > 0.5
    assert torch.equal(record(program, description, "forward", x).drawn, heard.drawn)


# --- mistakes -----------------------------------------------------------------------------------


def test_folders_of_conditions(tmp_path):
    _, description = lowered(net("loop"))
    spec = description.methods["forward"]
    with pytest.raises(ConfigError, match=r"hears no audio, .* NAME.npy \[2 channels"):
        conditions_in(tmp_path, spec)
    np.save(tmp_path / "a.npy", np.zeros((3, 9), np.float32))
    with pytest.raises(ConfigError, match=r"a.npy: shape \[3, 9\], wanted arrays"):
        conditions_in(tmp_path, spec)
    np.save(tmp_path / "a.npy", np.arange(12.0).reshape(2, 6))
    (tmp_path / "b.npy").write_bytes(b"none")
    with pytest.raises(ConfigError, match=r"b.npy: no array"):
        conditions_in(tmp_path, spec)
    np.save(tmp_path / "b.npy", np.arange(12.0, 18.0).reshape(2, 3))
    calibration, held_out = conditions_in(tmp_path, spec)
    assert calibration.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert held_out.tolist() == [[12, 13, 14], [15, 16, 17]]
