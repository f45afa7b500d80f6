"""Digits in the fonts that matplotlib brings along, turned, sheared, scaled and moved: a set that
needs no files of anybody else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif",
         "DejaVuSerif-Bold", "DejaVuSerif-Italic", "cmr10", "cmb10", "cmss10")
CANVAS = 64  # pixels in which a digit is drawn before it is turned


def printed(count: int, side: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures [count, 1, side, side] and which digits they are, all equally often."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 10)
    found = np.zeros((count, 1, side, side), np.uint8)
    for row, label in zip(found, labels, strict=True):
        drawn = _drawn(FONTS[rng.integers(len(FONTS))], int(label))
        angle, shear = rng.normal(0, 0.12), rng.normal(0, 0.12)
        grown = CANVAS / side * rng.uniform(0.9, 1.15)
        turn = np.array([[np.cos(angle), np.sin(angle) + shear], [-np.sin(angle), np.cos(angle)]])
        matrix = grown * turn
        middle = np.full(2, CANVAS / 2) - matrix @ (side / 2 + rng.uniform(-0.06, 0.06, 2) * side)
        affine = (*matrix[0], middle[0], *matrix[1], middle[1])
        smooth = drawn.transform((2 * side, 2 * side), Image.Transform.AFFINE,
                                 [v / 2 if i % 3 < 2 else v for i, v in enumerate(affine)],
                                 Image.Resampling.BILINEAR)
        row[0] = np.asarray(smooth.resize((side, side), Image.Resampling.BOX))
    return found, labels


@cache
def _drawn(font: str, digit: int) -> Image.Image:
    import matplotlib

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    image = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(image).text((CANVAS / 2, CANVAS / 2), str(digit), 255,
                               ImageFont.truetype(str(path), round(0.9 * CANVAS)), "mm")
    return image
