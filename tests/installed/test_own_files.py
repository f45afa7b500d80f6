"""Installed code reads nothing that is not installed: tests/ and docs/ stay behind in the tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "training", "export", "firmware", "benchmarks", "nn_tudor")
LEFT_BEHIND = ("tests", "docs", "scripts")


def faults(source: str) -> list[str]:
    """Paths into folders that are left behind, and imports from them. Sentences may name them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split("/")
            if not any(map(str.isspace, node.value)) and set(parts) & set(LEFT_BEHIND):
                found.append(f"line {node.lineno}: {node.value!r}")
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found += [f"line {node.lineno}: import {name}" for name in names
                  if name.split(".")[0] in LEFT_BEHIND or beside_tests(name)]
    return found


def beside_tests(name: str) -> bool:
    return any((ROOT / "tests").rglob(f"{name.split('.')[0]}.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_left_behind_is_read(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {str(path.relative_to(ROOT)): faults(path.read_text("utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("source", [
    'x = ROOT / "tests" / "training"', 'open("docs/mapping.md")', "from tests.golden import golden",
    "import training_helpers",
])
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert faults(source)


def test_the_search_lets_sentences_be() -> None:
    assert not faults('"docs/mapping.md says what such a file holds"')
    assert not faults("import json\nfrom engine.errors import ConfigError")
