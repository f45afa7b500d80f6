"""How much a family costs: lines of code of each toy. `python -m tests.families.lines` prints them.

Blank lines, comments, docstrings and imports are not counted; neither is `TOY`, which hands the
parts to the tests."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from tests.families import autoregressive, classes, generator, images, paired, prior
from tests.families.driver import Toy

MODULES = (paired, generator, autoregressive, prior, classes, images)
TOYS: dict[str, Toy] = {module.TOY.name: module.TOY for module in MODULES}
FILES: dict[str, Path] = {module.TOY.name: Path(str(module.__file__)) for module in MODULES}
PARTS = ("family", "objective", "preset", "data")


def counted(source: str) -> dict[str, int]:
    """Lines of code of each part of a toy's file."""
    tree, code = ast.parse(source), _lines_of_code(source)
    found = dict.fromkeys(PARTS, 0)
    for node in tree.body:
        part = _part(node)
        if part:
            assert node.end_lineno is not None
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            found[part] += len(code & {*range(first, node.end_lineno + 1)})
    return found


def _part(node: ast.stmt) -> str:
    """Which part of a toy a statement belongs to, "" if it is not counted."""
    if isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node):
        return ""
    if isinstance(node, ast.FunctionDef):
        return "data" if node.name == "fill" else "family"
    if isinstance(node, ast.ClassDef):
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        return "objective" if "Objective" in bases else "family"
    names = {name.id for name in ast.walk(node)
             if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    return "" if names == {"TOY"} else "preset" if names == {"PRESET"} else "family"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(
        node.value.value, str)


def _lines_of_code(source: str) -> set[int]:
    """Numbers of lines that hold more than comments and docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER}
    found = {line for token in tokenize.generate_tokens(io.StringIO(source).readline)
             if token.type not in silent for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if _is_docstring(node):
            found -= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return {line for line in found if source.splitlines()[line - 1].strip()}


def table() -> str:
    """A line for each toy."""
    rows = [("lines of code", *PARTS, "together")]
    for name, file in FILES.items():
        counts = counted(file.read_text("utf-8"))
        rows.append((f"{file.stem} ({name})", *(str(counts[part]) for part in PARTS),
                     str(sum(counts.values()))))
    return "\n".join(f"{row[0]:34}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows)


if __name__ == "__main__":
    print(table())
