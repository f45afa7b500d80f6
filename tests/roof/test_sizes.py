"""A file is near 300 lines or has its reason here; tests stand in the folders of what they test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 300
CODE = (".py", ".c", ".h", ".inc", ".cpp", ".sh")
# What is longer, and why it is not split.
REASONS: dict[str, str] = {}
MIRRORED = ("engine", "export", "training")


def code_files() -> dict[str, Path]:
    """By name: what git knows, or would add."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                          cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git checkout: what belongs to the project is not known")
    paths = {name: ROOT / name for name in done.stdout.split("\0") if name.endswith(CODE)}
    return {name: path for name, path in paths.items() if path.exists()}


def too_long(files: dict[str, Path]) -> dict[str, int]:
    lines = {name: path.read_text("utf-8").count("\n") for name, path in files.items()}
    return {name: count for name, count in lines.items() if count > MOST}


def test_files_are_of_a_size_to_read() -> None:
    files = code_files()
    assert len(files) > 400
    found = {name: count for name, count in too_long(files).items() if name not in REASONS}
    assert not found, (f"{found}: split what is over {MOST} lines by its jobs, or say in "
                       "tests/roof/test_sizes.py why it is one")


def test_no_reason_is_left_over() -> None:
    left = REASONS.keys() - too_long(code_files()).keys()
    assert not left, f"{left}: no longer over {MOST} lines; take it out of tests/roof/test_sizes.py"


def test_tests_stand_where_what_they_test_stands() -> None:
    folders = [path for package in MIRRORED for path in (ROOT / "tests" / package).rglob("*")
               if path.is_dir() and any(path.glob("test_*.py"))]
    assert len(folders) > 10
    found = [str(path.relative_to(ROOT)) for path in folders
             if not (ROOT / path.relative_to(ROOT / "tests")).is_dir()]
    assert not found, f"{found}: name a folder of tests as the folder of the code is named"


def test_long_files_are_found(tmp_path: Path) -> None:
    for count in (MOST, MOST + 1):
        (tmp_path / f"{count}.py").write_text("\n" * count)
    assert too_long({path.name: path for path in tmp_path.iterdir()}) == {"301.py": 301}
