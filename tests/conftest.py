"""What holds for all tests: one thread per test process, since several that share two cores only
get in each other's way; tests that can never run on a machine like this are not collected, so that
a skip always names something that could be installed; and files that take long come first, so that
no process is left with one of them when the others have nothing more to do."""

from __future__ import annotations

import os

import pytest

# A minute of fuzzing, compilers, emulators, whole walks, trainings.
LONG = ("tests/core/test_native_sanitized.py", "tests/roof/test_demo.py",
        "tests/firmware/test_golden.py", "tests/core/test_native_builds.py",
        "tests/installed/test_wheel.py", "tests/export/test_presets.py",
        "tests/core/test_native_bits.py", "tests/firmware/test_calibrate.py",
        "tests/docs/test_snippets.py", "tests/families/test_drums.py",
        "tests/families/test_note_voice.py")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`only_where(condition)`: leaves the test out where it is false."""
    out = [item for item in items
           if not all(mark.args[0] for mark in item.iter_markers("only_where"))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0]
    return LONG.index(file) if file in LONG else len(LONG)
