"""An export computes on one thread, whatever it was told before, and leaves that as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from engine.errors import ConfigError
from engine.models.store import Stored
from export.targets import TARGETS, export_model
from tests.export.small_models import small_model

BEFORE = 3


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """More threads than an export takes, and in the end as many as there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(BEFORE)
    yield
    torch.set_num_threads(before)


def test_all_of_an_export_runs_on_one_thread(tmp_path):
    stored = Stored("small", small_model("latent_flow", "loops"), {}, True, None)
    seen: dict[str, int] = {}
    done = export_model(stored, TARGETS["native"], tmp_path / "x.tudor", "q16x8",
                        tell=lambda text: seen.__setitem__(text, torch.get_num_threads()))
    assert done.report.passed
    assert {"rounding weights", "comparing with float32 on held-out audio",
            "verifying x.tudor"} <= set(seen)
    assert set(seen.values()) == {1}
    assert torch.get_num_threads() == BEFORE


def test_an_export_that_fails_gives_the_threads_back(tmp_path):
    stored = Stored("small", small_model(), {}, True, None)
    with pytest.raises(ConfigError, match="--calibrate and --keep"):
        export_model(stored, TARGETS["native"], tmp_path / "x.tudor", keep=("auto",))
    assert torch.get_num_threads() == BEFORE
