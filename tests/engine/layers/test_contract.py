"""The contract of a layer where it is easily half kept: gradients of a stream, how far back a
layer sees, what broken numbers may reach, and how late each value of a graph is. Each with a
planted fault."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.description import GENERATE
from engine.graph import Builder, Graph
from engine.layers import (
    Channels,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Parallel,
    PQMFAnalysis,
    PQMFSynthesis,
    Residual,
    Sequence,
    State,
    Streaming,
)
from engine.models.base import Model
from engine.models.looped import Followed
from engine.models.loops import LoopModel
from engine.models.raw_vae import RawVAE
from engine.models.store import build_from, read_settings
from engine.presets import preset_names, preset_path
from engine.reports import model_facts, print_info
from tests.engine.layers.contract import (
    check_exact_field,
    check_gradients,
    check_padding,
    delays_by_impulse,
    late_stack,
)
from tests.engine.layers.stacks import KINDS, layer, stack

COMMON = {"deadline": None, "derandomize": True,
          "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
CHUNKS = st.lists(st.integers(1, 5), min_size=2, max_size=4)


@settings(max_examples=60, **COMMON)
@given(stack(), CHUNKS, st.sampled_from([1, 2]))
def test_streamed_gradients_equal_offline_ones(net, chunks, batch):
    check_gradients(net.double(), chunks, batch)


@settings(max_examples=80, **COMMON)
@given(stack())
def test_receptive_field_is_exactly_the_one_said(net):
    if net.receptive_field == inf or net.receptive_field < 2000:
        check_exact_field(net.double())


@settings(max_examples=60, **COMMON)
@given(stack())
def test_broken_numbers_reach_nothing_that_does_not_see_them(net):
    if net.receptive_field == inf or net.receptive_field < 2000:
        check_padding(net.double())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_keeps_the_whole_contract(kind):
    """Random stacks might miss a kind; this cannot."""
    @settings(max_examples=6, **COMMON)
    @given(layer(kind, 2), CHUNKS)
    def check(net, chunks):
        net = net.double().eval()
        check_gradients(net, chunks, 2)
        check_exact_field(net)
        check_padding(net)

    check()


def test_fields_of_mixed_rates_are_exact():
    """Sums of fields are wrong in both directions where rates rise and fall."""
    up = ConvTranspose1d(1, 1, 5, 4)
    narrower = Sequence(up, Conv1d(1, 1, 3))  # 1 + 1 + 2 / 4, rounded up, would be 3
    wider = Sequence(Conv1d(1, 1, 4, stride=4), ConvTranspose1d(1, 1, 4, 4), Conv1d(1, 1, 3))
    assert narrower.receptive_field == 2
    assert wider.receptive_field == 8  # 4 + 2 would be 6
    for net in (narrower, wider):
        check_exact_field(net.double())


def preset(name: str) -> Model:
    return build_from(read_settings(preset_path(name))).eval()


@pytest.mark.parametrize("name", preset_names())
def test_fields_of_the_presets_are_exact(name):
    """Measured through the methods, as players are told it. Harmonics, a pitch that is held and
    what hears its own output have heard everything."""
    model = preset(name).double()
    coder = model.codec if isinstance(model, LoopModel) else model
    for method, spec in model.methods.items():
        if (isinstance(coder, RawVAE) and coder.tracked) or spec.role == GENERATE:
            assert spec.receptive_field_samples == inf
            continue
        frames = spec.ratio // spec.in_ratio
        field = int(spec.receptive_field_samples)
        units = field // spec.ratio + 3
        x = (0.05 * torch.randn(1, spec.in_channels, units * frames,
                                dtype=torch.float64)).requires_grad_()
        y, _ = model.step(method, x, model.init_state(method), model.default_attributes())
        y[:, :, -spec.ratio // spec.out_ratio :].square().sum().backward()
        seen = x.grad.abs().sum(dim=(0, 1)).nonzero()
        found = (x.shape[2] - int(seen[0])) * spec.in_ratio
        if Followed.of(model, method):  # silence is noticed later still, which has no gradient
            assert 0 < found <= field, method
        else:
            assert found == field, method


# --- delay of every value -------------------------------------------------------------------------


def graph_of(net: Streaming) -> Graph:
    build_graph = Builder("forward", net.in_channels)
    return build_graph.finish(net.lower(build_graph, build_graph.input))


@settings(max_examples=120, **COMMON)
@given(stack())
def test_a_graph_is_as_late_as_its_layers_say(net):
    graph = graph_of(net)
    assert graph.output.delay == net.lookahead
    for op in graph.ops:
        assert len({value.delay for value in op.inputs}) == 1, f"{op.name} mixes times"
        assert op.output.delay >= op.inputs[0].delay


@settings(max_examples=40, **COMMON)
@given(late_stack())
def test_an_impulse_is_as_late_at_every_value_as_the_graph_says(net):
    """Each value is played by the C runtime, as the output of the graph cut off behind it."""
    graph = graph_of(net)
    assert graph.ops
    for value, told, measured in delays_by_impulse(graph):
        assert told == measured, f"value {value.index}"


def test_a_filter_bank_is_half_as_late_in_the_middle():
    net = Sequence(PQMFAnalysis(4), PQMFSynthesis(4))
    graph = graph_of(net)
    assert [op.output.delay for op in graph.ops] == [10, 20]
    assert graph.output.delay == net.lookahead


@pytest.mark.parametrize("name", preset_names())
def test_methods_are_as_late_as_their_last_value(name):
    model = preset(name)
    for method, spec in model.methods.items():
        assert model.graph(method).output.delay * spec.in_ratio == spec.lookahead_samples


@pytest.mark.parametrize("name", ["techno-tiny", str(preset_path("techno-tiny").with_suffix(
    ".tudor"))])
def test_info_tells_the_delay_of_every_operation(name, capsys):
    facts = model_facts(name, "forward")
    told = [row["delay_samples"] for row in facts["operations"]]
    assert told[0] == 0
    assert told[-1] == facts["methods"]["forward"]["lookahead_samples"] == 80
    assert told == sorted(told), "nothing in this chain waits for a branch"
    assert {row["delay_ms"] for row in facts["operations"]} == {0.0, 2.5, 5.0}
    print_info(name, True, "forward", False)
    lines = capsys.readouterr().out.splitlines()
    assert "delay" in next(line for line in lines if "operation " in line)
    assert "80 (5.0 ms)" in next(line for line in lines if "decoder/13/conv_transpose1d" in line)


# --- planted faults -------------------------------------------------------------------------------


class Severed(Conv1d):
    """Carries its cache without its history of gradients."""

    def forward(self, x, state: State):
        return super().forward(x, tuple(s.detach() for s in state))


class Masking(Conv1d):
    """Multiplies what it does not look at by zero."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.weight.data[:, :, 0] = 0

    @property
    def receptive_field(self):
        return self.kernel_size - 1


class Overstated(Conv1d):
    """Says that it looks further back than it does."""

    @property
    def receptive_field(self):
        return self.kernel_size + 1


class Understated(Overstated):
    @property
    def receptive_field(self):
        return self.kernel_size - 1


class Levelled(Conv1d):
    """Looks at its neighbours in the batch."""

    def forward(self, x, state: State):
        y, state = super().forward(x, state)
        return y - 0.0 * y.mean(dim=0, keepdim=True), state


class Silent(Delay):
    """Lowers to a delay and does not tell."""

    def lower(self, build, x):
        y = super().lower(build, x)
        build.ops[-1] = replace(build.ops[-1], output=replace(y, delay=x.delay))
        return build.ops[-1].output


def test_gradient_check_sees_a_severed_state():
    net = Severed(2, 2, 3).double()
    with pytest.raises(AssertionError, match="gradient"):
        check_gradients(net, [2, 3], 1)


@pytest.mark.parametrize("kind", [Overstated, Understated])
@pytest.mark.parametrize("around", [False, True])
def test_field_check_sees_a_wrong_statement(kind, around):
    net = kind(2, 2, 5)
    if around:
        net = Sequence(Conv1d(2, 2, 2, stride=2), net, ConvTranspose1d(2, 2, 4, 2))
    with pytest.raises(AssertionError, match="receptive field"):
        check_exact_field(net.double())


def test_padding_check_sees_a_multiplication_by_zero():
    with pytest.raises(AssertionError, match="older"):
        check_padding(Masking(2, 2, 4).double())


def test_padding_check_sees_a_look_at_the_neighbours():
    with pytest.raises(AssertionError, match="neighbour"):
        check_padding(Levelled(2, 2, 3).double())


def test_delay_checks_see_a_delay_that_is_not_told():
    net = Sequence(Silent(1, 3), Conv1d(1, 1, 1, bias=False))
    net.layers[1].weight.data.fill_(1)
    graph = graph_of(net)
    assert graph.output.delay != net.lookahead
    assert [(told, measured) for _, told, measured in delays_by_impulse(graph)] == [(0, 3)] * 2


def test_a_slice_may_drop_what_saw_furthest():
    """The one statement that is an upper bound: a field counts for all channels of a layer, and
    channels that are cut off later count too."""
    net = Sequence(Parallel(Conv1d(1, 1, 2), Conv1d(1, 1, 6), combine="concat"), Channels(2, 0, 1))
    assert net.receptive_field == 6
    with pytest.raises(AssertionError, match="is 2, said to be 6"):
        check_exact_field(net.double())


def test_branches_of_different_lateness_meet_in_time():
    early, late = Conv1d(1, 1, 5, lookahead=0), Conv1d(1, 1, 5, lookahead=3)
    graph = graph_of(Parallel(Residual(late), early, combine="concat"))
    assert [(op.kind, op.output.delay) for op in graph.ops] == [
        ("conv1d", 3), ("delay", 3), ("add", 3), ("conv1d", 0), ("delay", 3), ("concat", 3)]
