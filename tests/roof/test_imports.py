"""A folder imports only from folders below it, and no modules import each other in a circle."""

from __future__ import annotations

import pytest

from tests.roof.import_graph import FLOORS, circles, edges, imports, sources

BREAK = ("move what both need into a module of its own that imports neither, or look the other up "
         "in a table, as engine/resolve.py does; importing it inside a function only hides the "
         "circle")


def upward(module: str, source: str) -> list[str]:
    """Imports from a folder that does not lie below the module's own."""
    own = module.split(".")[0]
    above = FLOORS[FLOORS.index(own) + 1 :]
    return [f"{module} line {found.line}: {found.name}" for found in imports(source, module)
            if found.name.split(".")[0] in above]


def test_no_folder_imports_from_one_above_it() -> None:
    found = [line for module, source in sources().items() for line in upward(module, source)]
    assert not found, (f"{found}: move it down to where it is needed; the order is "
                       f"{' < '.join(FLOORS)} (docs/architecture.md)")


@pytest.mark.parametrize("late", [False, True], ids=["as modules load", "in functions too"])
def test_no_import_circles(late: bool) -> None:
    modules = sources()
    assert len(modules) > 200
    found = [" <-> ".join(group) for group in circles(edges(modules, late))]
    assert not found, f"{found}: {BREAK}"


# --- that the search finds what it looks for -----------------------------------------------------

PLANTED = {
    "engine": "",
    "engine.a": "from engine.b import f",
    "engine.b": "from engine import c",
    "engine.c": "def f():\n    import engine.a",
    "engine.d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import engine.e\n",
    "engine.e": "from .d import f\n",
}


def test_circles_are_found_and_late_ones_told_apart() -> None:
    assert circles(edges(PLANTED, late=False)) == []
    assert circles(edges(PLANTED, late=True)) == [["engine.a", "engine.b", "engine.c"]]
    now = {**PLANTED, "engine.c": "if True:\n    import engine.a", "engine.d": "import engine.e"}
    assert circles(edges(now, late=False)) == [["engine.a", "engine.b", "engine.c"],
                                               ["engine.d", "engine.e"]]


@pytest.mark.parametrize(("module", "source", "found"), [
    ("engine.x", "import training.run", 1),
    ("engine.x", "def f():\n    from export.nn import export", 1),
    ("engine.x", "from nn_tudor import load", 1),
    ("training.x", "from engine import files\nimport numpy", 0),
    ("firmware.x", "from benchmarks.machine import processor", 1),
    ("benchmarks.x", "from firmware.host.build import tool", 0),
    ("engine.x", "if TYPE_CHECKING:\n    import training", 0),
])
def test_upward_imports_are_found(module: str, source: str, found: int) -> None:
    assert len(upward(module, source)) == found
