"""A way through the numbers that tell a model how to sound, as a file of knots.

    place   0 ........ 0.4 ................ 1     rising; between two knots lies a straight line
    knot    z0         z1                   z2    one number for each of `labels`

A file is JSON: `LatentPath` says what stands in it. Files come from anywhere: all of it is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import ConfigError
from engine.files import atomic_write

FloatArray = NDArray[np.float32]
SUFFIX = ".path"
VERSION = 1
KINDS = ("traversal", "line", "sphere", "walk", "circle", "spiral", "geodesic", "arc-length line",
         "notes")
MOST_BYTES, MOST_KNOTS, MOST_NUMBERS, LARGEST = 1 << 22, 4096, 64, 64.0
MOST_SEED, MOST_HELD, LONGEST = 2**24 - 1, 64, 200  # of a word
WHOLE = {"version": (1, 2**31), "seed": (0, MOST_SEED), "sample_rate_hz": (1, 768000),
         "row_samples": (1, 2**20)}
WORDS = ("kind", "model", "method")
KEYS = (*WHOLE, *WORDS, "labels", "held", "places", "knots")


@dataclass(frozen=True)
class LatentPath:
    """Where a path goes, and of what it is one.

    The numbers are the inputs `labels` of the method `method` of a model called `model`, which
    takes a row for every `row_samples` samples at `sample_rate_hz`. `held`: other inputs and
    attributes that were set while it was made; `seed` is that of the noise then."""

    kind: str
    model: str
    method: str
    sample_rate_hz: int
    row_samples: int
    labels: tuple[str, ...]
    places: NDArray[np.float64]  # [knots], from 0 to 1
    knots: FloatArray  # [knots, numbers]
    seed: int = 0
    held: Mapping[str, float] = field(default_factory=dict)

    def at(self, places: ArrayLike) -> FloatArray:
        """The numbers at places of 0 to 1, any number of them: [places, numbers]."""
        wanted = np.asarray(places, np.float64).reshape(-1)
        return np.stack([np.interp(wanted, self.places, knot) for knot in self.knots.T],
                        axis=1).astype(np.float32)

    def plain(self) -> dict[str, Any]:
        """As the file holds it."""
        return {"version": VERSION, "kind": self.kind, "model": self.model, "method": self.method,
                "sample_rate_hz": self.sample_rate_hz, "row_samples": self.row_samples,
                "seed": self.seed, "labels": list(self.labels), "held": dict(self.held),
                "places": [round(float(place), 9) for place in self.places],
                "knots": [[float(f"{number:.8g}") for number in knot] for knot in self.knots]}


def even_places(count: int) -> NDArray[np.float64]:
    """Of so many knots at the same distances."""
    return np.linspace(0.0, 1.0, count)


def write_path(path: LatentPath, file: Path) -> None:
    """Whole or not at all."""
    text = json.dumps(path.plain(), indent=1, allow_nan=False)
    with atomic_write(file) as temporary:
        temporary.write_text(text + "\n", "utf-8")


def check_path_name(file: Path) -> None:
    """Fail before the work, not after it."""
    if file.suffix.lower() != SUFFIX:
        raise ConfigError(f"{file}: a path's file name ends in {SUFFIX}")
    if file.is_dir():
        raise ConfigError(f"{file} is a folder, wanted a file name")


def read_path(file: Path) -> LatentPath:
    """A path from a file that may hold anything; what is wrong is one line."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{file}: a path has at most {MOST_BYTES} bytes")
        data = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{file} is no path: it is not JSON") from None
    try:
        return _checked(data)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _checked(data: Any) -> LatentPath:
    if not isinstance(data, dict):
        raise ConfigError("a path is a JSON object with version, kind, labels, places, knots")
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(f"written by a newer tudor (version {version}, this one reads "
                          f"{VERSION}); upgrade nn-tudor")
    missing = [key for key in KEYS if key not in data]
    unknown = [str(key)[:40] for key in data if key not in KEYS]
    if missing or unknown:
        raise ConfigError(f"{missing[0]} is missing" if missing else f"unknown key {unknown[0]!r}")
    for key, (low, high) in WHOLE.items():
        if type(data[key]) is not int or not low <= data[key] <= high:
            raise ConfigError(f"{key} must be a whole number of {low} to {high}")
    for key in WORDS:
        _word(data[key], key)
    if data["kind"] not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, not {data['kind']!r}")
    return LatentPath(
        data["kind"], data["model"], data["method"], data["sample_rate_hz"], data["row_samples"],
        _labels(data["labels"]), *_knots(data), data["seed"], _held(data["held"]))


def _word(value: Any, said: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise ConfigError(f"{said} must be a text of 1 to {LONGEST} printable characters")
    return value


def _labels(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_NUMBERS:
        raise ConfigError(f"labels must be a list of 1 to {MOST_NUMBERS} names")
    found = tuple(_word(label, "each of labels") for label in value)
    if len(set(found)) != len(found):
        raise ConfigError("labels must differ from each other")
    return found


def _held(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > MOST_HELD:
        raise ConfigError(f"held must be an object of at most {MOST_HELD} numbers by name")
    return {_word(key, "each name in held"): float(_numbers([number], f"held {key!r}", 1e6)[0])
            for key, number in value.items()}


def _knots(data: Mapping[str, Any]) -> tuple[NDArray[np.float64], FloatArray]:
    rows, count = data["knots"], len(data["labels"])
    if not isinstance(rows, list) or not 2 <= len(rows) <= MOST_KNOTS:
        raise ConfigError(f"knots must be a list of 2 to {MOST_KNOTS}")
    if not isinstance(data["places"], list) or len(data["places"]) != len(rows):
        raise ConfigError(f"places must be a list of {len(rows)} numbers, one for each knot")
    places = _numbers(data["places"], "places", 1.0)
    if places[0] != 0 or places[-1] != 1 or not (np.diff(places) > 0).all():
        raise ConfigError("places must rise from 0 to 1")
    found = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != count:
            raise ConfigError(f"knot {number} must be a list of {count} numbers, one a label")
        found.append(_numbers(row, f"knot {number}", LARGEST))
    return places, np.array(found, np.float32)


def _numbers(values: Sequence[Any], said: str, most: float) -> NDArray[np.float64]:
    """Finite numbers of -`most` to `most`; booleans are none."""
    for value in values:
        if type(value) not in (int, float) or not -most <= value <= most:
            raise ConfigError(f"{said}: numbers of {-most:g} to {most:g}, not {str(value)[:40]!r}")
    return np.array(values, np.float64)
