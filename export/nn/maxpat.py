"""A patch as a file of Max."""

from __future__ import annotations

import json
from typing import Any

from export.nn.boxes import Box, Patch, size_of

CLASSES = {"object": "newobj", "message": "message", "text": "comment", "bang": "button",
           "toggle": "toggle", "number": "flonum", "slider": "slider"}
LABELLED = ("bang", "toggle", "number", "slider")


def max_text(patch: Patch) -> str:
    """The file, which is JSON."""
    boxes = [_box(number, box) for number, box in enumerate(patch.boxes)]
    labels = [_label(number, box) for number, box in enumerate(patch.boxes)
              if box.kind in LABELLED]
    lines = [_line((source, outlet), (target, inlet))
             for source, outlet, target, inlet in patch.cords]
    for number, box in enumerate(patch.boxes):
        if box.kind in ("slider", "number"):  # shows the default from the start, and sends it
            start = f"obj-{number + 1}-start"
            boxes.append({"box": {
                "id": start, "maxclass": "newobj", "text": f"loadmess {box.value:.10g}",
                "numinlets": 1, "numoutlets": 1, "outlettype": [""], "hidden": 1,
                "patching_rect": [box.x, box.y - 2, 70.0, 20.0]}})
            lines.append({"patchline": {"source": [start, 0], "destination": [_id(number), 0]}})
    width, height = size_of(patch)
    return json.dumps({"patcher": {
        "fileversion": 1, "appversion": {"major": 8, "minor": 0, "revision": 0,
                                         "architecture": "x64", "modernui": 1},
        "classnamespace": "box", "rect": [60.0, 80.0, float(width), float(height)],
        "boxes": boxes + labels, "lines": lines,
    }}, indent=1) + "\n"


def _id(number: int) -> str:
    return f"obj-{number + 1}"


def _box(number: int, box: Box) -> dict[str, Any]:
    wide, high = {"object": (7.0 * len(box.text) + 20, 22.0), "bang": (20.0, 20.0),
                  "message": (7.0 * len(box.text) + 12, 22.0), "text": (360.0, 34.0),
                  "toggle": (20.0, 20.0), "number": (80.0, 22.0),
                  "slider": (130.0, 18.0)}[box.kind]
    entry: dict[str, Any] = {
        "id": _id(number), "maxclass": CLASSES[box.kind],
        "numinlets": 2 if box.kind == "message" else box.inlets, "numoutlets": len(box.outlets),
        "outlettype": list(box.outlets), "patching_rect": [float(box.x), float(box.y), wide, high],
    }
    if box.kind in ("object", "message", "text"):
        entry["text"] = box.text
    if box.kind == "text":
        entry["linecount"] = 2
    if box.kind == "slider":
        entry |= {"floatoutput": 1, "orientation": 1, "min": box.minimum,
                  "size": box.maximum - box.minimum, "parameter_enable": 0}
    if box.kind == "number":
        entry |= {"minimum": box.minimum, "maximum": box.maximum, "format": 6,
                  "parameter_enable": 0, "numoutlets": 2, "outlettype": ["", "bang"]}
    return {"box": entry}


def _label(number: int, box: Box) -> dict[str, Any]:
    beside = {"bang": 24, "toggle": 24, "number": 84, "slider": 134}[box.kind]
    return {"box": {
        "id": f"{_id(number)}-label", "maxclass": "comment", "text": box.text, "numinlets": 1,
        "numoutlets": 0, "outlettype": [],
        "patching_rect": [float(box.x + beside), float(box.y), 7.0 * len(box.text) + 12, 20.0]}}


def _line(source: tuple[int, int], target: tuple[int, int]) -> dict[str, Any]:
    return {"patchline": {"source": [_id(source[0]), source[1]],
                          "destination": [_id(target[0]), target[1]]}}
