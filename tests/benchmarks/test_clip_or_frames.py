"""A whole clip beside frames: what is counted, and the table."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.clip_or_frames import LATENTS, ClipGenerator, spent, table


def test_a_clip_has_its_size_and_its_multiplications_are_counted() -> None:
    generator = ClipGenerator(65, 40)
    found = 0.0

    def count(layer: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        nonlocal found
        if isinstance(layer, nn.Linear):
            found += layer.weight.numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            found += layer.weight.numel() * given[0][0, 0].numel()
        elif isinstance(layer, nn.Conv2d):
            found += layer.weight.numel() * made[0, 0].numel()

    for layer in generator.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        assert generator(torch.zeros(2, LATENTS)).shape == (2, 65, 40)
    assert generator.macs() == found


def test_time_is_of_the_processor() -> None:
    assert 0 <= spent(lambda: None, 3) < 0.01
    assert spent(lambda: sum(range(300_000)), 3) > 1e-4


def test_the_table_has_a_cell_for_each_figure() -> None:
    lines = table([{"what": "a", "pytorch": 0.5, "waits": "all"},
                   {"what": "b", "macs_per_second": 2e6, "native": 0.01, "m7": 0.3, "m7_how": "x",
                    "waits": "2 ms"}])
    assert {line.count("|") for line in lines} == {8}
    assert lines[2] == "| a | - | 0.5 | - | - | - | all |"
    assert lines[3] == "| b | 2 | - | - | 0.01 | 0.3 (x) | 2 ms |"
