"""Steps of a flow: all have the same weights, which are counted once."""

from __future__ import annotations

import pytest
import torch

from engine.boards.cost import method_cost
from engine.boards.fit import fit
from engine.boards.work import task_of_file, task_of_model
from engine.models.flow import STEPS, Flow, Velocity
from engine.models.registry import build
from engine.players.base import load
from engine.players.native_model import NativeFile
from export.native.export import export_native
from tests.export.small_models import SMALL, small_model

WIDTH = {"width": 16, "history_width": 16, "flow_width": 96}


def flow(steps):
    return build("latent_flow", {**SMALL["latent_flow"]["steps"], **WIDTH, "steps": steps}).eval()


def tables(model):
    """Numbers of the tables that several steps need."""
    graph = model.graph("generate")
    return sum({op.weights_key: op.weight_count for op in graph.ops if op.kind == "embed"}.values())


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_weights_are_counted_once(steps, tmp_path):
    one, many = flow(1), flow(steps)
    graph = many.graph("generate")
    assert tables(many) > 0
    shares = one.velocity.size  # of a single step weights of their own, else rows of the table
    assert graph.weight_count == one.graph("generate").weight_count - shares + tables(many)
    assert sum(op.weight_count for op in graph.ops) > graph.weight_count
    cost = method_cost(graph, 100.0)
    assert cost.weights_bytes == 4 * graph.weight_count
    task = task_of_model(many, "x", "generate")
    assert task.weights == graph.weight_count
    assert task.weights_bytes("float32") == 4 * graph.weight_count
    path = tmp_path / "x.tudor"
    export_native(many, path, many.describe("x"))
    packed = load(path).weights_bytes("generate")
    assert 4 * graph.weight_count <= packed < 4.4 * graph.weight_count + 4096
    assert task_of_file(NativeFile(path), "generate").weights_bytes("float32") == packed


def test_each_step_costs_its_arithmetic():
    found = [flow(steps).graph("generate").macs_per_input_frame() for steps in (1, 2, 4)]
    velocity = flow(1).velocity
    each = velocity.size * velocity.width + velocity.width**2 + velocity.width * velocity.size
    assert found[1] - (found[0] - velocity.size) == each
    assert found[2] - found[1] == 2 * each
    model = flow(4)
    lowered = sum(op.macs_per_frame for op in model.graph("generate").ops if op.loop)
    assert lowered == model.loop.macs_per_frame()


def test_a_board_needs_room_for_them_once():
    def needed(steps):
        return fit(task_of_model(flow(steps), "x", "generate"), "daisy", "q16x8").placement

    one, many = needed(1), needed(4)
    assert 0 < many.weights_bytes - one.weights_bytes < 4 * tables(flow(4)) + 2048


def test_how_many_may_be_asked_for():
    attribute = flow(4).describe("x").attributes[STEPS]
    assert (attribute.minimum, attribute.maximum, attribute.default) == (1, 4, 4)
    assert STEPS not in flow(1).describe("x").attributes


@pytest.mark.parametrize(("asked", "taken"), [(1.0, 1), (1.4, 1), (2.0, 2), (3.0, 2), (4.0, 4),
                                              (7.0, 4), (8.0, 8)])
def test_steps_go_from_noise_to_data(asked, taken):
    """A velocity of 1 moves by 1 in all, at the times that such steps have."""
    torch.manual_seed(0)
    velocity, heard = Velocity(3, 2, 8), []
    moves = Flow(velocity, 2, 8)

    with torch.no_grad():  # no share of x itself
        velocity.times[1].weight[16:], velocity.times[1].bias[16:] = 0, 0

    def told(x, context, first, second):
        heard.append(first.reshape(-1))
        return torch.ones(1, 3, x.shape[2])

    velocity.told = told
    x = torch.zeros(1, 5, 4)
    moved, _ = moves(x, (), {STEPS: torch.tensor([asked])})
    assert torch.allclose(moved, torch.ones(1, 3, 4))
    times = torch.arange(taken) / taken
    wanted = velocity.biases(velocity.said(times, torch.full((taken,), 1 / taken)))[0]
    for step in range(taken):
        assert torch.allclose(heard[step].reshape(8, -1)[:, 0], wanted[step], atol=1e-6)


def test_the_default_is_all_of_them():
    model = small_model("latent_flow", "steps")
    x = torch.rand(1, model.methods["generate"].in_channels, 8)
    assert torch.equal(model.offline("generate", x),
                       model.offline("generate", x, steps=torch.tensor([4.0])))
    assert not torch.equal(model.offline("generate", x),
                           model.offline("generate", x, steps=torch.tensor([2.0])))
