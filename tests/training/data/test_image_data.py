"""Data "images": PNG files flat and by class, arrays, and files that mean harm."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import AudioError, ConfigError
from tests.training.training_helpers import QUIET
from training.data import pictures
from training.data.base import Shard
from training.data.images import Images, ImageSettings

SETTINGS = {"seed": 1, "batch_size": 3}


def picture(seed: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, seed: int, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, shape)).save(path)
    return picture(seed, shape)


def opened(folder: Path, **changes: float) -> Images:
    config = SimpleNamespace(**{**ImageSettings(validation_fraction=0.3).model_dump(), **SETTINGS,
                                **changes})
    data = Images(folder, config, folder.parent / "cache")
    data.look()
    data.prepare(None, QUIET)  # type: ignore[arg-type]
    return data


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(
        ">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, body: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body))
            + chunk(b"IEND", b""))


def test_flat_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    wanted = [write(tmp_path / f"data/{i}.png", i) for i in range(5)]
    data = opened(tmp_path / "data")
    assert "5 pictures of 1 x 6 x 5 (2 for validation), 0 files skipped" in data.found()
    assert data.stored_bytes == 5 * 30
    everything = np.concatenate([data.learn, data.held])
    assert sorted(everything) == list(range(5))
    got = data._read(everything)
    assert "label" not in got
    for number, image in zip(everything, got["image"], strict=True):
        assert torch.equal(image, torch.from_numpy(wanted[number][None].astype(np.float32) / 255))
    whole = data.batch(2, Shard())["image"]
    assert whole.shape == (3, 1, 6, 5)
    data.config.batch_size = 1
    assert torch.equal(torch.cat([data.batch(2, Shard(i, 3))["image"] for i in range(3)]), whole)


def test_colour_palettes_and_transparency(tmp_path: Path) -> None:
    colours = write(tmp_path / "data/a.png", 0, (6, 5, 3))
    write(tmp_path / "data/b.png", 1, (6, 5, 4))
    Image.fromarray(picture(2, (6, 5, 3))).quantize(16).save(tmp_path / "data/c.png")
    Image.fromarray(picture(3)).save(tmp_path / "data/grey.png")
    data = opened(tmp_path / "data")
    assert data.found().startswith("3 pictures of 3 x 6 x 5")
    assert [str(item) for item in data.skipped] == ["grey.png: [1, 6, 5] is not the shape "
                                                    "[3, 6, 5]"]
    got = data._read(np.array([0]))["image"][0]
    assert np.array_equal((got * 255).round().numpy(), colours.transpose(2, 0, 1))


def test_folders_are_classes(tmp_path: Path) -> None:
    wanted = {name: write(tmp_path / f"data/{name}", i) for i, name in enumerate(
        ("cats/a.png", "cats/b.png", "dogs/d.png", "dogs/deep/c.png"))}
    (tmp_path / "data/cats/aa.png").write_bytes(png(5, 6, body=b"\0"))
    np.save(tmp_path / "data/birds.npy", np.zeros((1, 1, 6, 5), np.uint8))
    data = opened(tmp_path / "data")
    assert data.classes == ["cats", "dogs"]
    assert data.found().startswith("2 classes, 4 pictures of 1 x 6 x 5")
    assert [item.name for item in data.skipped] == ["birds.npy", "cats/aa.png"]
    assert data.skipped[0].reason == "lies in no folder that names its class"
    got = data._read(np.arange(4))
    assert got["label"].tolist() == [0, 0, 1, 1]
    for image, pixels in zip(got["image"], wanted.values(), strict=True):
        assert np.array_equal((image[0] * 255).round().numpy(), pixels)
    assert data.example(3)["label"].tolist() == [0, 1, 0]
    assert len(data.batch(0, Shard())["label"]) == 3


def test_arrays_and_pictures_lie_side_by_side(tmp_path: Path) -> None:
    write(tmp_path / "data/b.png", 4)
    np.save(tmp_path / "data/a.npy", np.full((2, 1, 6, 5), 0.25, np.float32))
    data = opened(tmp_path / "data")
    got = data._read(np.arange(3))["image"]
    assert torch.equal(got[:2], torch.full((2, 1, 6, 5), 0.25))
    assert np.array_equal((got[2, 0] * 255).round().numpy(), picture(4))


def test_files_that_mean_harm_are_skipped_with_their_reason(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "good.png", 0)
    whole = (folder / "good.png").read_bytes()
    files = {
        "cut.png": whole[: len(whole) // 2 + 8],
        "empty.png": b"",
        "head.png": whole[:20],
        "huge.png": png(2**31 - 1, 2**31 - 1),
        "large.png": png(10000, 10000, body=b"\0"),
        "nothing.png": png(0, 0),
        "short.png": png(5, 6, body=b"\0" * 10),
        "sixteen.png": png(5, 6, depth=16, body=b"\0" * 66),
        "sixteen3.png": png(5, 6, depth=16, colour=2, body=b"\0" * 186),
        "text.png": b"not a picture",
        "torn.png": whole[:50] + bytes(20) + whole[70:],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()
    found = opened(folder)
    reasons = {item.name: item.reason for item in found.skipped}
    assert reasons.keys() == {*files, "folder.png"}
    assert all(reason and "\n" not in reason for reason in reasons.values())
    assert reasons["huge.png"] == reasons["large.png"] == "has more than 64 Mi pixels"
    assert reasons["text.png"] == "is no PNG file"
    assert "16 bits" in reasons["sixteen.png"]
    assert "16 bits" in reasons["sixteen3.png"]
    for name in ("cut.png", "short.png", "torn.png"):
        assert reasons[name].startswith("cannot be decoded ("), reasons[name]
    assert len(found.learn) + len(found.held) == 1


def test_what_was_decoded_is_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    folder, seen = tmp_path / "data", []
    for i in range(3):
        write(folder / f"{i}.png", i)
    (folder / "bad.png").write_bytes(png(5, 6, body=b"\0"))
    original = pictures.decoded
    monkeypatch.setattr(pictures, "decoded", lambda p: (seen.append(p.name), original(p))[1])
    first = opened(folder)
    assert len(seen) == 4
    again = opened(folder)
    assert len(seen) == 4
    assert [item.name for item in again.skipped] == ["bad.png"]
    assert torch.equal(first._read(np.arange(3))["image"], again._read(np.arange(3))["image"])
    write(folder / "1.png", 9, (6, 5))
    changed = opened(folder)._read(np.array([1]))["image"][0, 0]
    assert len(seen) == 8
    assert np.array_equal((changed * 255).round().numpy(), picture(9))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match=r"holds no pictures; data of images wants \.png files"):
        opened(tmp_path / "empty")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_bytes(png(5, 6, body=b"\0"))
    with pytest.raises(AudioError, match=r"holds no pictures \(a\.png: cannot be decoded"):
        opened(tmp_path / "bad")
    write(tmp_path / "data/a.png", 0)
    with pytest.raises(ConfigError, match=r"1 pictures take .* training\.cache_gb is 1e-09"):
        opened(tmp_path / "data", cache_gb=1e-9)
