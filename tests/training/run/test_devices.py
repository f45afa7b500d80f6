"""Which device trains, and what cannot is one line."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import training.run.loop
import training.run.trainer
from engine.errors import ConfigError
from training.run.loop import Machine


def fabrics(monkeypatch: pytest.MonkeyPatch, gpus: int) -> list[dict[str, Any]]:
    """How Lightning's Fabric would be made on a machine with so many CUDA GPUs."""
    asked: list[dict[str, Any]] = []

    class NoFabric:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr("lightning.fabric.Fabric", NoFabric)
    return asked


@pytest.mark.parametrize(("name", "kind", "devices"), [
    ("cuda:1", "cuda", [1]), ("cuda:0", "cuda", [0]), ("cuda", "cuda", 1), ("auto", "cuda", 1),
    ("cpu", "cpu", 1), ("cpu:0", "cpu", 1),
])
def test_a_gpu_can_be_chosen_by_its_number(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str, devices: Any
) -> None:
    asked = fabrics(monkeypatch, 2)
    machine = Machine(name)
    device = training.run.loop._device(machine)
    training.run.loop._fabric(machine, device, False, "auto")
    assert (asked[0]["accelerator"], asked[0]["devices"]) == (kind, devices)
    assert asked[0]["precision"] == ("bf16-mixed" if kind == "cuda" else "32-true")


@pytest.mark.parametrize(("kind", "precision", "asked_for"), [
    ("cpu", "bfloat16", "bf16-mixed"), ("cpu", "float32", "32-true"),
    ("cuda", "float32", "32-true"),
])
def test_the_precision_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, kind: str, precision: str, asked_for: str
) -> None:
    asked = fabrics(monkeypatch, 1)
    training.run.loop._fabric(Machine(kind), kind, False, precision)
    assert asked[0]["precision"] == asked_for


@pytest.mark.parametrize(("machine", "gpus", "said"), [
    (Machine("cuda:2"), 2, "device cuda:2: PyTorch sees 2 CUDA GPUs here, counted from 0"),
    (Machine("cuda:1"), 1, "device cuda:1: PyTorch sees 1 CUDA GPUs here, counted"),
    (Machine("cuda:0"), 0, "PyTorch sees no CUDA GPU here"),
    (Machine("mps:0"), 0, "PyTorch sees no Apple GPU here"),
    (Machine("cuda:x"), 2, "unknown device 'cuda:x'; use cpu, cuda or mps"),
    (Machine("meta"), 2, "unknown device 'meta'; use auto, cpu, cuda, cuda:N or mps"),
    (Machine("cuda:1", devices=2), 2, "--device cuda:1 names one GPU; give --device cuda"),
])
def test_a_device_that_cannot_be_is_one_line(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, gpus: int, said: str
) -> None:
    fabrics(monkeypatch, gpus)
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        training.run.loop._device(machine)
    assert "\n" not in str(error.value)
