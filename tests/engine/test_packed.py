"""Native files of presets with another's weights inside: packed without them, and whole again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelFileError, TudorError
from engine.presets.packed import common, folders, pack, unpack, whole

RNG = np.random.default_rng(0)


def numbers(count: int, kept_bits: int = 32) -> np.ndarray:
    words = RNG.standard_normal(count).astype(np.float32).view(np.uint32)
    return words & np.uint32((0xFFFFFFFF << (32 - kept_bits)) & 0xFFFFFFFF)


@pytest.fixture
def coder() -> bytes:
    return numbers(3000).tobytes()


@pytest.fixture
def native(coder: bytes) -> bytes:
    words = np.frombuffer(coder, "<u4")
    return np.concatenate([numbers(50), words[200:1200], numbers(7), words[1500:2900],
                           np.zeros(64, np.uint32), numbers(2000, kept_bits=16)]).tobytes()


@pytest.fixture
def packed(tmp_path: Path, coder: bytes, native: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "coder.tudor").write_bytes(coder)
    path = tmp_path / "name.packed"
    path.write_bytes(pack(native, "coder", coder))
    return path


def test_stretches_that_two_files_share(coder: bytes, native: bytes) -> None:
    found = common(np.frombuffer(native, "<u4"), np.frombuffer(coder, "<u4"))
    assert found == [(50, 200, 1000), (1057, 1500, 1400)]
    assert common(np.zeros(500, np.uint32), np.zeros(500, np.uint32)) == []


def test_a_file_is_whole_again_and_made_once(packed: Path, native: bytes) -> None:
    assert packed.stat().st_size < 4 * 57 + 0.55 * 4 * 2000 + 600
    asked = []

    def coder_file(name: str) -> Path:
        asked.append(name)
        return packed.with_name(f"{name}.tudor")

    path = whole(packed, coder_file)
    assert (path.name, path.read_bytes()) == ("name.tudor", native)
    assert whole(packed, coder_file) == path
    assert asked == ["coder"]
    path.write_bytes(native[:-4] + b"\0\0\0\1")
    assert whole(packed, coder_file).read_bytes() == native
    assert len(asked) == 2, "a file that was changed is made anew"


def test_another_coder_or_a_damaged_file_is_refused(
    packed: Path, coder: bytes, native: bytes
) -> None:
    (packed.parent / "coder.tudor").write_bytes(coder[:-4] + b"\0\0\0\1")
    said = r"name\.packed belongs to another coder\.tudor: install again"
    for file in (lambda _: packed.with_name("coder.tudor"), lambda _: None):
        with pytest.raises(ModelFileError, match=said):
            whole(packed, file)
    line, _, rest = packed.read_bytes().partition(b"\n")
    told = json.loads(line)
    assert unpack(told, rest, coder, "n") == native
    for change, said in (
        ({"file": hashlib.sha256(b"").hexdigest()}, "it gives another file than it was made of"),
        ({"words": told["words"] + 1}, "it lacks words"),
    ):
        with pytest.raises(ModelFileError, match=f"n is damaged: {said}"):
            unpack({**told, **change}, rest, coder, "n")
    with pytest.raises(ModelFileError, match="n is damaged"):
        unpack(told, rest[:40], coder, "n")
    packed.write_bytes(b"not JSON\n")
    with pytest.raises(ModelFileError, match=r"name\.packed is damaged"):
        whole(packed, lambda _: None)


def test_where_nothing_can_be_written_it_lies_with_temporary_files(
    packed: Path, native: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder")
    temporary = tmp_path / "temporary"
    monkeypatch.setenv("XDG_CACHE_HOME", str(taken))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))

    def coder_file(name: str) -> Path:
        return tmp_path / f"{name}.tudor"

    path = whole(packed, coder_file)
    assert path.read_bytes() == native
    assert path.is_relative_to(temporary)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(taken))
    with pytest.raises(TudorError, match=r"name\.tudor cannot be put together: .*XDG_CACHE_HOME"):
        whole(packed, coder_file)


def test_folders_of_users_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert folders()[0] == Path("/home/somebody/.cache/nn-tudor")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert folders()[0] == Path("/elsewhere/nn-tudor")
    assert len(folders()) == 2
