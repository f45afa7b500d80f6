"""Files of long tests are handed out first, and are there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.conftest import LONG, pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parents[2]


def test_files_that_take_long_come_first() -> None:
    assert len(set(LONG)) == len(LONG)
    assert all((ROOT / file).exists() for file in LONG)
    files = ["tests/core/a.py", LONG[2], LONG[0], "tests/core/a.py", LONG[2]]
    items = [SimpleNamespace(nodeid=f"{file}::test_{i}", iter_markers=lambda name: iter(()))
             for i, file in enumerate(files)]
    pytest_collection_modifyitems(SimpleNamespace(), items)
    assert [int(item.nodeid[-1]) for item in items] == [2, 1, 4, 0, 3]
