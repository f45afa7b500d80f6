"""Native files of presets that hold another preset's weights: NAME.packed.

A model of loops has its coder inside, and that ships by itself. NAME.packed is NAME.tudor without
the words that the coder's file has too:

    a line of JSON     {"file": SHA-256 of NAME.tudor, "words": of 32 bits that it has,
                        "coder": a preset, "coder_file": SHA-256 of its file,
                        "taken": [[word of NAME.tudor, word of the coder's file, words], ...]}
    LZMA               the other words: their lowest bytes, their second ones, and so on

The whole file is made where it is first asked for, in a folder of the user's: what is installed may
be read by everybody and written by nobody.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelFileError, TudorError
from engine.files import atomic_write

Words = NDArray[np.uint32]
SUFFIX = ".packed"
LEAST_WORDS = 16  # that are worth taking from the coder's file


def whole(packed: Path, coder_file: Callable[[str], Path | None]) -> Path:
    """NAME.tudor of NAME.packed, whole; `coder_file`: the native file of a preset."""
    line, _, rest = packed.read_bytes().partition(b"\n")
    try:
        told = json.loads(line)
    except ValueError as error:
        raise ModelFileError(f"{packed.name} is damaged: {error}") from None
    name = f"{packed.stem}.tudor"
    for folder in folders():
        found = folder / told["file"][:16] / name
        if found.exists() and _digest(found.read_bytes()) == told["file"]:
            return found
    coder = coder_file(told["coder"])
    data = unpack(told, rest, b"" if coder is None else coder.read_bytes(), packed.name)
    failed: TudorError | None = None
    for folder in folders():
        found = folder / told["file"][:16] / name
        try:
            with atomic_write(found) as temporary:
                temporary.write_bytes(data)
            return found
        except (TudorError, OSError) as error:
            failed = TudorError(f"{name} cannot be put together: {error}; name a folder that can "
                                "be written in XDG_CACHE_HOME")
    assert failed is not None
    raise failed


def folders() -> tuple[Path, ...]:
    """Where whole files may lie, the best first."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    own = [given / "nn-tudor"] if given.is_absolute() else []
    with suppress(RuntimeError):  # a user without a home
        own = own or [Path.home() / ".cache" / "nn-tudor"]
    user = os.getuid() if hasattr(os, "getuid") else 0
    return (*own, Path(tempfile.gettempdir()) / f"nn-tudor-{user}")


def pack(native: bytes, coder: str, coder_native: bytes) -> bytes:
    """A .packed file of a native one with a preset's weights inside."""
    own, other = _words(native), _words(coder_native)
    taken = common(own, other)
    left = np.ones(len(own), bool)
    for at, _, count in taken:
        left[at : at + count] = False
    told = {"file": _digest(native), "words": len(own), "coder": coder,
            "coder_file": _digest(coder_native), "taken": taken}
    planes = own[left].view(np.uint8).reshape(-1, 4).T.tobytes()
    return json.dumps(told).encode() + b"\n" + lzma.compress(planes, preset=9)


def unpack(told: dict[str, Any], rest: bytes, coder_native: bytes, name: str) -> bytes:
    """The native file of what `pack` told; `name`: of the packed file, for errors."""
    if _digest(coder_native) != told["coder_file"]:
        raise ModelFileError(f"{name} belongs to another {told['coder']}.tudor: install again")
    try:
        planes = np.frombuffer(lzma.decompress(rest), np.uint8).reshape(4, -1)
    except (lzma.LZMAError, ValueError) as error:
        raise ModelFileError(f"{name} is damaged: {error}") from None
    words, other = np.zeros(told["words"], np.uint32), _words(coder_native)
    left = np.ones(len(words), bool)
    for at, place, count in told["taken"]:
        words[at : at + count] = other[place : place + count]
        left[at : at + count] = False
    if left.sum() != planes.shape[1]:
        raise ModelFileError(f"{name} is damaged: it lacks words")
    words[left] = np.ascontiguousarray(planes.T).view(np.uint32)[:, 0]
    data = words.tobytes()
    if _digest(data) != told["file"]:
        raise ModelFileError(f"{name} is damaged: it gives another file than it was made of")
    return data


def common(own: Words, other: Words) -> list[tuple[int, int, int]]:
    """Stretches that two files share, `LEAST_WORDS` long at least and in which words differ: where
    in `own`, where in `other`, how long; in order, without overlaps."""
    size = 4 * LEAST_WORDS
    mine, theirs = own.tobytes(), other.tobytes()
    known: dict[bytes, int] = {}
    for at in range(0, len(theirs) - size + 1, 4):
        known.setdefault(theirs[at : at + size], at // 4)
    found, at = [], 0
    while at + LEAST_WORDS <= len(own):
        piece = mine[4 * at : 4 * at + size]
        place = known.get(piece)
        if place is None or piece == piece[:4] * LEAST_WORDS:
            at += 1
            continue
        longest = min(len(own) - at, len(other) - place)
        differ = np.flatnonzero(own[at : at + longest] != other[place : place + longest])
        count = int(differ[0]) if len(differ) else longest
        found.append((at, place, count))
        at += count
    return found


def _words(native: bytes) -> Words:
    if len(native) % 4:
        raise ValueError("a native file is whole words of 32 bits")
    return np.frombuffer(native, "<u4").astype(np.uint32)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
