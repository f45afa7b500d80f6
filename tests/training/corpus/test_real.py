"""Recordings: copied with their licence, and without what is only measured with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from training.corpus import real


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "package" / "samples"
    for name in ("bd_808.flac", "loop_amen.flac", "loop_amen_full.flac", "sub/Loop_Mika.WAV",
                 "sub/loop_tabla.flac", "ambi_choir.flac", "ambi_drone.flac", ".hidden.wav",
                 "notes.txt", "loop_industrial.flac", "loop_garzul.flac", "loop_breakbeat.flac"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_what_is_only_measured_is_left_out(tmp_path: Path, source: Path) -> None:
    (source / "LICENSE").write_text("CC0", encoding="utf-8")
    shares: list[float] = []
    manifest = real.gather(tmp_path / "out", source, progress=shares.append)
    there = {path.relative_to(tmp_path / "out").as_posix() for path in
             (tmp_path / "out").rglob("*") if path.is_file()}
    assert there == {"bd_808.flac", "sub/loop_tabla.flac", "ambi_drone.flac", "manifest.json",
                     "licence/LICENSE"}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")) == manifest
    assert sorted(manifest["left_out"]) == [
        "ambi_choir.flac", "loop_amen.flac", "loop_amen_full.flac", "loop_breakbeat.flac",
        "loop_garzul.flac", "loop_industrial.flac", "sub/Loop_Mika.WAV"]
    assert manifest["licence"]["files"] == ["LICENSE"]
    for entry in manifest["files"]:
        data = (tmp_path / "out" / entry["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_a_licence_must_be_known(tmp_path: Path, source: Path) -> None:
    (source / "README.md").write_text("all about drums", encoding="utf-8")
    with pytest.raises(ValueError, match="--licence"):
        real.gather(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()
    told = real.gather(tmp_path / "out", source, "my own recordings")["licence"]
    assert told == {"text": "my own recordings", "files": []}
    (source / "README.md").write_text("under the Creative Commons 0 License", encoding="utf-8")
    assert real.gather(tmp_path / "out", source)["licence"]["files"] == ["README.md"]


def test_a_package_keeps_its_licence_at_its_root(tmp_path: Path, source: Path) -> None:
    (source.parent / "LICENSE.md").write_text("CC0", encoding="utf-8")
    assert real.gather(tmp_path / "a", source)["licence"]["files"] == ["LICENSE.md"]


def test_the_users_files_are_safe(tmp_path: Path, source: Path) -> None:
    (source / "LICENSE").write_text("CC0", encoding="utf-8")
    out = tmp_path / "out"
    real.gather(out, source)
    (source / "bd_808.flac").unlink()
    real.gather(out, source)  # an earlier corpus is replaced whole
    assert not (out / "bd_808.flac").exists()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="choose an empty folder"):
        real.gather(out, source)
    for folder in (source, source / "sub", source.parent):
        with pytest.raises(ValueError, match="in one another"):
            real.gather(folder, source)
    with pytest.raises(ValueError, match="no such folder"):
        real.gather(tmp_path / "new", tmp_path / "nowhere")
    assert (out / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_stopped_it_leaves_nothing(tmp_path: Path, source: Path) -> None:
    (source / "LICENSE").write_text("CC0", encoding="utf-8")

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        real.gather(tmp_path / "out", source, progress=stop)
    assert sorted(tmp_path.rglob("*")) == before
