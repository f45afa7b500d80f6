"""Boxes and cords of a patch, whatever program it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True)
class Box:
    """One box. `kind`: object, message, text, bang, toggle, number or slider."""

    kind: str
    text: str
    x: int
    y: int
    inlets: int = 1
    outlets: tuple[str, ...] = ("",)  # type of each: "signal", or anything
    minimum: float = 0.0
    maximum: float = 1.0
    value: float = 0.0


@dataclass
class Patch:
    """Boxes by number, and cords (from, outlet, to, inlet)."""

    host: str  # "pd" or "max"
    boxes: list[Box] = field(default_factory=list)
    cords: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, kind: str, text: str, x: int, y: int, **more: object) -> int:
        """Put a box down; returns its number."""
        self.boxes.append(Box(kind, text, x, y, **more))  # type: ignore[arg-type]
        return len(self.boxes) - 1

    def connect(self, source: int, target: int, outlet: int = 0, inlet: int = 0) -> None:
        """Draw a cord."""
        self.cords.append((source, outlet, target, inlet))


def size_of(patch: Patch) -> tuple[int, int]:
    """Pixels of a window that shows the whole patch."""
    return (ceil(max(box.x for box in patch.boxes)) + 260, max(box.y for box in patch.boxes) + 60)
