"""docs/operations.md says what the rows and the exporters say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from engine.ops import CORE, KINDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def operations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operations", ROOT / "scripts" / "operations.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(operations: ModuleType) -> None:
    assert not operations.stale(), "run `make figures`"


def test_a_changed_row_makes_it_stale(
    operations: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.onnx.operators import EMIT

    monkeypatch.delitem(EMIT, "tanh")
    assert operations.stale()
    assert f"| `tanh` | `map` | yes | {operations.NO} |" in operations.written()


def test_every_operation_stands_in_it(operations: ModuleType) -> None:
    text = operations.written()
    first, second, third = (text.count(f"| `{name}` |") for name in ("conv1d", "conv", "norm"))
    assert (first, second, third) == (2, 3, 3)
    assert all(f"| `{name}` |" in text for name in (*KINDS, *CORE))


def test_what_has_kernels_is_read_from_their_table(operations: ModuleType) -> None:
    own = operations.kernels()
    assert {"conv", "norm", "attention", "copy", "quantise", "dequantise", "gated"} <= own
    assert own & {"guard", "embed", "noise", "categorical"} == set()
    assert own < set(CORE)
