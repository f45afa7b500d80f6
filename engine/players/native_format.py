"""The model file's definition, read from the same lists as the C runtime reads: `core/*.inc`."""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path

CORE = Path(__file__).parents[1] / "core"
_TYPES = {"u32": "I", "i32": "i", "f32": "f"}


@cache
def _lines(name: str) -> str:
    text = (CORE / name).read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def rows(name: str, macro: str) -> list[list[str]]:
    """Cells of each `MACRO(...)` of a list; strings without their quotes, those that stand side by
    side as one."""
    found = re.findall(rf'^{macro}\(((?:[^()"]|"[^"]*")*)\)', _lines(name), flags=re.M)
    return [[_cell(cell) for cell in re.findall(r'(?:[^,"]|"[^"]*")+', row)] for row in found]


def _cell(text: str) -> str:
    return "".join(re.findall(r'"([^"]*)"', text)) if '"' in text else text.strip()


@cache
def constants() -> dict[str, int]:
    """Magic, version, limits."""
    return {name: int(value, 0) for name, value in rows("format.inc", "CONSTANT")}


@cache
def records() -> dict[str, tuple[tuple[str, str], ...]]:
    """Per record its fields in order: (type, name)."""
    found: dict[str, list[tuple[str, str]]] = {row[0]: [] for row in rows("format.inc", "RECORD")}
    for record, kind, name in rows("format.inc", "FIELD"):
        found[record].append((kind, name))
    return {record: tuple(fields) for record, fields in found.items()}


@cache
def ops() -> dict[str, int]:
    """Codes of the operations by name."""
    return {name: int(code) for code, _, name, *_ in rows("ops.inc", "OP")}


@cache
def acts() -> dict[str, int]:
    """Codes of the activations by name."""
    return {name: int(code) for code, _, name, *_ in rows("ops.inc", "ACT")}


@cache
def roles() -> dict[str, int]:
    """Codes of what methods are for, by name."""
    return {name: int(code) for code, _, name in rows("roles.inc", "ROLE")}


@cache
def _layout(record: str) -> struct.Struct:
    return struct.Struct("<" + "".join(_TYPES[kind] for kind, _ in records()[record]))


def record_bytes(record: str) -> int:
    """Size of a record in the file."""
    return _layout(record).size


def pack(record: str, **fields: float) -> bytes:
    """A record as bytes; fields that are not given are 0."""
    known = records()[record]
    unknown = set(fields) - {name for _, name in known}
    if unknown:
        raise KeyError(f"{record} has no field {', '.join(sorted(unknown))}")
    return _layout(record).pack(*(
        float(fields.get(name, 0)) if kind == "f32" else int(fields.get(name, 0))
        for kind, name in known
    ))


def unpack(record: str, data: bytes, offset: int = 0) -> dict[str, float]:
    """The fields of a record at `offset`."""
    values = _layout(record).unpack_from(data, offset)
    return {name: value for (_, name), value in zip(records()[record], values, strict=True)}
