"""What holds for all tests: one thread per test process, since several that share two cores only
get in each other's way; and tests that can never run on a machine like this are not collected, so
that a skip always names something that could be installed."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`only_where(condition)`: leaves the test out where it is false."""
    out = [item for item in items
           if not all(mark.args[0] for mark in item.iter_markers("only_where"))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
