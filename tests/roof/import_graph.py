"""Which module of the project imports which, read from the source: no module is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# From the ground up: each imports only from those before it.
FLOORS = ("engine", "training", "export", "firmware", "benchmarks", "nn_tudor")


@dataclass(frozen=True)
class Import:
    """One of a module's imports, `late` where it stands in a function."""

    name: str
    line: int
    late: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> dict[str, str]:
    """The text of every module, by name."""
    return {module_name(path): path.read_text("utf-8")
            for package in FLOORS for path in sorted((ROOT / package).rglob("*.py"))}


def imports(source: str, module: str = "") -> Iterator[Import]:
    """All of them but those that only a type checker reads. `module` is what they stand in."""
    def walk(node: ast.AST, late: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from walk(child, late)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late)
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            for alias in node.names:  # may be a module or something in one: see `edges`
                yield Import(f"{base}.{alias.name}", node.lineno, late)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, late or inside)

    yield from walk(ast.parse(source), False)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    above = module.split(".")[: -node.level]
    return ".".join([*above, node.module] if node.module else above)


def edges(modules: Mapping[str, str], late: bool) -> dict[str, set[str]]:
    """Per module those that it imports as it is loaded; with `late`, those of its functions too."""
    graph: dict[str, set[str]] = {}
    for module, source in modules.items():
        named = (found.name for found in imports(source, module) if late or not found.late)
        reached = (name if name in modules else name.rpartition(".")[0] for name in named)
        graph[module] = {name for name in reached if name in modules and name != module}
    return graph


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for to in graph[module]:
            if to not in number:
                visit(to)
                lowest[module] = min(lowest[module], lowest[to])
            elif to in stack:
                lowest[module] = min(lowest[module], number[to])
        if lowest[module] == number[module]:
            at = stack.index(module)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in number:
            visit(module)
    return sorted(found)
