"""A patch as a file of Pure Data."""

from __future__ import annotations

from export.nn.boxes import Box, Patch, size_of

SLIDER = 129  # pixels: positions are hundredths of a pixel, and 128 of them divide evenly
FONT = "0 10 #fcfcfc #000000 #000000"  # label's font and size, colours


def pd_text(patch: Patch) -> str:
    """The file: a window, boxes in order, then cords by the numbers of their boxes."""
    width, height = size_of(patch)
    lines = [f"#N canvas 60 60 {width} {height} 12;"]
    lines += [_box(box) for box in patch.boxes]
    lines += [f"#X connect {' '.join(map(str, cord))};" for cord in patch.cords]
    return "\n".join(lines) + "\n"


def _box(box: Box) -> str:
    at = f"{box.x} {box.y}"
    label = f"empty empty {_word(box.text)}"
    if box.kind == "object":
        return f"#X obj {at} {box.text};"
    if box.kind == "message":
        return f"#X msg {at} {_escaped(box.text)};"
    if box.kind == "text":
        return f"#X text {at} {_escaped(box.text)}, f 56;"
    if box.kind == "bang":
        return f"#X obj {at} bng 18 250 50 0 {label} 22 9 {FONT};"
    if box.kind == "toggle":
        return f"#X obj {at} tgl 18 0 {label} 22 9 {FONT} 0 1;"
    if box.kind == "number":
        limits = f"{box.minimum:.10g} {box.maximum:.10g}"
        return (f"#X obj {at} nbx 9 16 {limits} 0 1 {label} 82 8 {FONT} "
                f"{box.value:.10g} 256;")
    assert box.kind == "slider"
    position = (box.value - box.minimum) / (box.maximum - box.minimum) * (SLIDER - 1) * 100
    # init 1: the slider stands at the default from the start, and says so to the model
    return (f"#X obj {at} hsl {SLIDER} 16 {box.minimum:g} {box.maximum:g} 0 1 {label} 134 8 {FONT} "
            f"{position:.0f} 1;")


def _escaped(text: str) -> str:
    return "".join(f" \\{c}" if c in ",;" else f"\\{c}" if c == "$" else c for c in text)


def _word(text: str) -> str:
    """A label is one word."""
    return "".join("_" if c.isspace() else c for c in text if c not in ",;$\\")
