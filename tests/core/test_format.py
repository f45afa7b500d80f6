"""docs/format.md promises that files stay readable: the layout changes only with VERSION, codes are
only added to, and what earlier versions wrote plays with the same bits."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel

HERE = Path(__file__).parent
# Version 2 as it was released: made by `python -m tests.core.test_format` then, and not again.
RELEASED = json.loads((HERE / "format_2.json").read_text(encoding="utf-8"))
CORPUS = sorted((HERE / "fuzz" / "corpus").glob("*.tudor"))
PRESETS = sorted((HERE.parents[1] / "engine" / "presets").glob("*.tudor"))
# What later versions add to the corpus is theirs to keep.
FILES = [path for path in (*CORPUS, *PRESETS) if path in PRESETS or path.name in RELEASED["files"]]
FREE = re.compile(r"reserved_\d+|loop_\w+")  # fields that were 0 in every file: may get a meaning


def layout() -> dict[str, object]:
    faults = re.findall(r"^FAULT\(\s*(\d+), (\w+),", (fmt.CORE / "faults.inc").read_text(), re.M)
    return {
        "records": {name: [list(field) for field in fields]
                    for name, fields in fmt.records().items()},
        "constants": fmt.constants(), "ops": fmt.ops(), "acts": fmt.acts(),
        "faults": {name: int(code) for code, name in faults},
    }


def played(path: Path) -> str:
    """A digest of what the plain C reference makes of whole numbers, over all methods."""
    file, digest = NativeFile(path), hashlib.sha256()
    model = NativeModel(file, isa="ref")
    for name, spec in sorted(file.methods.items()):
        rows = 6 * spec.frame_samples // spec.in_ratio
        count = np.arange(spec.in_channels * rows, dtype=np.int64)
        x = ((count * 7919 % 401) - 200).astype(np.float32) / np.float32(256)
        digest.update(model.process(name, x.reshape(1, spec.in_channels, rows)).tobytes())
    return digest.hexdigest()


def test_the_layout_is_that_of_its_version() -> None:
    now = layout()
    assert fmt.constants()["VERSION"] == 2, "how does version 2 stay readable? docs/format.md"
    for record, fields in RELEASED["records"].items():
        found = now["records"][record]
        assert len(found) == len(fields), f"{record} changed its size"
        for (kind, name), (was_kind, was) in zip(found, fields, strict=True):
            assert kind == was_kind or FREE.fullmatch(was), f"{record}.{was} changed its type"
            assert name == was or FREE.fullmatch(was), f"{record}.{was} is now {name}"


@pytest.mark.parametrize("table", ["constants", "ops", "acts", "faults"])
def test_codes_are_only_added_to(table: str) -> None:
    now, was = layout()[table], RELEASED[table]
    assert len(was) > 5
    assert {name: now.get(name) for name in was} == was


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_released_file_plays_the_same_bits(path: Path) -> None:
    name = path.name
    if name in RELEASED["files"]:  # a preset that was trained anew is another file
        file, wanted = RELEASED["files"][name]
        if hashlib.sha256(path.read_bytes()).hexdigest() == file:
            assert played(path) == wanted
            return
    assert path.parent.name == "presets", f"{name} is no longer the file that was released"


def test_enough_released_files_are_left() -> None:
    kept = [path for path in FILES if hashlib.sha256(path.read_bytes()).hexdigest()
            == RELEASED["files"].get(path.name, ("", ""))[0]]
    assert len(kept) >= 13


if __name__ == "__main__":
    found = {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), played(path))
             for path in FILES}
    print(json.dumps({**layout(), "files": found}, indent=1))
