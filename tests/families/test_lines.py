"""What a family costs, and that a toy is nothing but its own file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from engine.models.registry import FAMILIES
from tests.families.lines import FILES, MODULES, PARTS, TOYS, counted, table
from training.data.registry import DATA
from training.objectives.registry import OBJECTIVES

OPEN = {"engine", "training"}  # what a family is written with
FOREIGN = {"numpy", "soundfile", "torch", "PIL"}  # and to write its data
DRIVER = ("tests.families.driver", ("Toy",))
MOST_LINES = 100

EXAMPLE = '''"""Doc
string."""
import x

PRESET = """
[model]

family = "a"
"""

class A(Model):  # a remark
    """Doc."""

    def b(self):
        return (1,

                2)

class B(Objective):
    c = 1

def fill(folder):
    pass

TOY = 1
'''


def test_lines_are_those_of_code() -> None:
    assert counted(EXAMPLE) == {"family": 4, "objective": 2, "preset": 4, "data": 2}


def test_what_each_family_costs() -> None:
    """Few lines, all of them in its file."""
    print(f"\n{table()}")
    for name, file in FILES.items():
        counts = counted(file.read_text("utf-8"))
        assert all(counts[part] for part in ("family", "preset", "data")), name
        assert sum(counts[part] for part in PARTS) <= MOST_LINES, name
        own_loss = TOYS[name].objective is not None
        assert bool(counts["objective"]) == own_loss, name


def faults(source: str) -> list[str]:
    """What a toy's file does that is not its own affair."""
    tree, found = ast.parse(source), []
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        names = [alias.name for alias in node.names] if isinstance(
            node, (ast.Import, ast.ImportFrom)) else []
        home = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
        for module in home if names else ():
            top = module.split(".")[0]
            if (module, tuple(names)) != DRIVER and top not in OPEN | FOREIGN and (
                    top not in sys.stdlib_module_names):
                found.append(f"imports {module}")
            if any(part.startswith("_") and part != "__future__" for part in module.split(".")):
                found.append(f"imports {module}")
        if isinstance(node, ast.ImportFrom):
            found += [f"imports {name}" for name in names if name.startswith("_")]
            modules |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not (
                node.attr.startswith("__")):
            found.append(f"reads {node.attr}")
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(
                node.ctx, (ast.Store, ast.Del)) and _root(node) in modules:
            found.append(f"changes {_root(node)}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
                node.func.id in ("setattr", "exec", "eval", "__import__", "open")):
            found.append(f"calls {node.func.id}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
                node.func.id.startswith("register")):
            found.append("registers by itself")
    return found


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("name", FILES)
def test_toys_use_what_is_public_and_change_nothing_else(name: str) -> None:
    assert faults(FILES[name].read_text("utf-8")) == []


@pytest.mark.parametrize(("line", "said"), [
    ("from engine.layers.draw import _pick", "imports _pick"),
    ("from training._inner import a", "imports training._inner"),
    ("from export.verify import verify", "imports export.verify"),
    ("import nn_tudor", "imports nn_tudor"),
    ("from tests.families.driver import registered", "imports tests.families.driver"),
    ("from engine.models.registry import FAMILIES\nFAMILIES['a'] = 1", "changes FAMILIES"),
    ("import training\ntraining.data.a = 1", "changes training"),
    ("from engine import graph\nx = graph.OPS._hidden", "reads _hidden"),
    ("setattr(int, 'a', 1)", "calls setattr"),
])
def test_what_is_not_its_own_affair_is_seen(line: str, said: str) -> None:
    assert said in faults(line)


def test_no_toy_is_known_where_it_was_not_asked_for() -> None:
    assert len(MODULES) == len(TOYS) == 6
    for name, toy in TOYS.items():
        assert name not in FAMILIES
        assert toy.family.data in DATA
        assert (toy.family.objective in OBJECTIVES) == (toy.objective is None)
        assert Path(FILES[name]).parent == Path(__file__).parent
