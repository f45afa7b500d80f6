"""Code goes by what a method is for, its role, and not by what a family calls it.

Names of methods may stand in the families that give them, in nn~'s adapter, which is given them by
its hosts, and in tests. Sentences for people may name one too: docstrings and comments are free.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("forward", "encode", "decode", "generate")
FOLDERS = ("engine", "training", "export", "firmware", "benchmarks", "nn_tudor", "scripts",
           "examples")
FREE = ("engine/models", "export/nn", "engine/players/torchscript.py")
# The same words where they name something else.
OTHERS = {
    ("benchmarks/op_cases.py", "forward"): "the name that the cases give their own method",
    ("nn_tudor/cli.py", "generate"): "a command",
    ("nn_tudor/demo.py", "generate"): "a command",
    ("training/objectives/losses.py", "forward"): "the norm of a Fourier transform",
    ("training/objectives/ticks.py", "forward"): "the name that PyTorch gives a layer's own",
}
MEND = ("go by the role: `description.main`, `.coder`, ENCODE, DECODE, GENERATE of "
        "engine/description.py; tudor_find_role in C; or name the exception in tests/roof/"
        "test_names.py")
# In a string: alone, or as what follows `--method`.
SAID = re.compile(rf"^(?:{'|'.join(NAMES)})$|--method[ =](?:{'|'.join(NAMES)})\b")
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
C_STRING = re.compile(rf'"({"|".join(NAMES)})"')


def in_python(source: str) -> list[tuple[int, str]]:
    """Lines and names; docstrings, which are strings that nothing is done with, do not count."""
    tree = ast.parse(source)
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [(node.lineno, node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in idle and SAID.search(node.value)]


def in_c(source: str) -> list[tuple[int, str]]:
    bare = C_COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source)
    return [(bare.count("\n", 0, found.start()) + 1, found[1])
            for found in C_STRING.finditer(bare)]


READERS = {".py": in_python, ".c": in_c, ".h": in_c, ".inc": in_c, ".cpp": in_c}


def read() -> dict[str, list[tuple[int, str]]]:
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in READERS and not name.startswith(FREE) and path.is_file():
                found[name] = READERS[path.suffix](path.read_text("utf-8"))
    return found


def test_no_method_is_named_where_its_role_is_meant() -> None:
    files = read()
    assert {".py", ".c", ".h", ".inc", ".cpp"} <= {Path(name).suffix for name in files}
    assert len(files) > 250
    found = [f"{name}:{line}: {said!r}" for name, lines in files.items() for line, said in lines
             if (name, said) not in OTHERS]
    assert not found, f"{found}: {MEND}"


def test_no_exception_is_left_over() -> None:
    files = read()
    assert all(said in [each for _, each in files[name]] for name, said in OTHERS)


@pytest.mark.parametrize(("source", "found"), [
    ('"""forward"""\nx = model.methods["forward"]', [2]),
    ('def f(method="encode"):\n    "decode"', [1]),
    ("say(f'make one with --method encode')", [1]),
    ('"".encode("utf-8"); self.forward(x); "forward with audio"', []),
])
def test_the_search_in_python_finds_names(source: str, found: list[int]) -> None:
    assert [line for line, _ in in_python(source)] == found


@pytest.mark.parametrize(("source", "found"), [
    ('int m = tudor_find_method(&model, "forward");', [1]),
    ('/* "forward" */\nint a; // "decode"\nf("generate");', [3]),
    ('/* of\n two lines */ f("encode");', [2]),
    ('say("encode and decode");', []),
])
def test_the_search_in_c_finds_names(source: str, found: list[int]) -> None:
    assert [line for line, _ in in_c(source)] == found
