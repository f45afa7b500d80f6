"""PNG files as data of images reads them: judged by their headers, decoded once.

    RUN_DIR/cache/index.json     which files there were, and why some of them are not used
    RUN_DIR/cache/pictures.u8    count x channels x height x width, uint8, the usable ones in order

What a header promises is believed of no file: it is decoded whole before training begins.
"""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.errors import ConfigError
from engine.files import atomic_write
from training.data.audio_folder import Skipped
from training.data.cache import INDEX

SUFFIX = ".png"
VERSION = 1
MOST_PIXELS = 1 << 26  # a header may ask for 2^62
TOO_LARGE = f"has more than {MOST_PIXELS >> 20} Mi pixels"
BIT_DEPTH = 24  # place of it in a file
# What a picture is read as.
MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}
BROKEN = (OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError, struct.error,
          zlib.error)  # what the decoder raises
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A file with the shape [channels, height, width] that its header tells."""

    path: Path
    name: str
    shape: tuple[int, int, int]
    size_bytes: int
    modified_ns: int


def inspected(path: Path, name: str) -> Picture | Skipped:
    """A PNG file by its header."""
    try:
        status = path.stat()
        with _opened(path) as image:
            width, height = image.size
            mode = MODES.get(image.mode)
        with path.open("rb") as file:
            bits = file.read(BIT_DEPTH + 1)[BIT_DEPTH]
    except Image.DecompressionBombError:
        return Skipped(name, TOO_LARGE)
    except BROKEN as error:
        return Skipped(name, _reason(error))
    if width * height > MOST_PIXELS:
        return Skipped(name, TOO_LARGE)
    if mode is None or bits == 16:  # half of them would be lost without a word
        return Skipped(name, f"has {bits} bits of each colour; convert it to 8")
    return Picture(path, name, (len(mode), height, width), status.st_size, status.st_mtime_ns)


def decoded(picture: Picture) -> Pictures:
    """The picture [channels, height, width]; transparency is left out."""
    with _opened(picture.path) as image:
        pixels = np.asarray(image.convert(MODES[image.mode]), np.uint8)
    whole = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if whole.shape != picture.shape:
        raise ValueError("changed while it was read")
    return np.ascontiguousarray(whole)


def decoded_once(
    pictures: Sequence[Picture], folder: Path, limit_gb: float
) -> tuple[Pictures, list[Skipped]]:
    """All usable ones [count, channels, height, width], from the cache in `folder`, which is filled
    first; and the others, with the reason. All are of one shape."""
    shape = pictures[0].shape
    needed = len(pictures) * int(np.prod(shape))
    if needed > limit_gb * 1e9:
        raise ConfigError(f"{len(pictures)} pictures take {needed / 1e9:.2g} GB, training.cache_gb "
                          f"is {limit_gb:g}")
    file, index = folder / "pictures.u8", folder / INDEX
    own = {"version": VERSION, "shape": list(shape), "entries": [
        {"name": p.name, "size_bytes": p.size_bytes, "modified_ns": p.modified_ns}
        for p in pictures]}
    reasons = _known(index, own)
    count = len(pictures) - len(reasons or ())
    if reasons is None or not file.exists() or file.stat().st_size != count * np.prod(shape):
        reasons = {}
        with atomic_write(file) as temporary, temporary.open("wb") as out:
            for picture in pictures:
                try:
                    out.write(decoded(picture).tobytes())
                except (*BROKEN, Image.DecompressionBombError) as error:
                    reasons[picture.name] = _reason(error)
        with atomic_write(index) as temporary:
            temporary.write_text(json.dumps({**own, "reasons": reasons}), "utf-8")
        count = len(pictures) - len(reasons)
    skipped = [Skipped(name, reason) for name, reason in reasons.items()]
    if not count:
        return np.zeros((0, *shape), np.uint8), skipped
    return np.memmap(file, np.uint8, "r", shape=(count, *shape)), skipped


def _known(index: Path, own: dict[str, Any]) -> dict[str, str] | None:
    """Why files are not used, if the index is of these very files; else None."""
    try:
        found = json.loads(index.read_text("utf-8"))
        reasons: dict[str, str] = found.pop("reasons")
        return reasons if found == own else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():  # what is large is judged here
        warnings.simplefilter("ignore")
        return Image.open(path, formats=["PNG"])


def _reason(error: BaseException) -> str:
    """A decoder's complaint, without the file's path."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "is no PNG file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = str(error).strip().split("\n")[0]
    return f"cannot be decoded ({said or type(error).__name__})"
