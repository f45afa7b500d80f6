"""`tudor module calibrate` over ssh: what it measures, what it writes, what goes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Server, served

from engine.errors import ConfigError, TudorError
from firmware import calibrate as job
from firmware.calibrate_command import Request, calibrate
from firmware.pi import calibrate as pi

STATUS = """
case $1 in --status) ;; *) exit 2 ;; esac
[ ! -e {root}/silent ] || exit 1
blocks=$(($(cat {root}/blocks 2>/dev/null || echo 0) + 8))
echo $blocks >{root}/blocks
echo "blocks $blocks"
cat {root}/readings
echo "calibration {root}/calibration.txt"
grep -q bad {root}/calibration.txt 2>/dev/null && echo "note {root}/calibration.txt:1: bad"
exit 0
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Server]]:
    """A module of scripts: its readings are a file, its service restarts into a list."""
    folder, root = tmp_path / "ssh", tmp_path / "root"
    folder.mkdir()
    root.mkdir()
    script = tmp_path / "put-calibration"
    script.write_text((pi.SCRIPT).read_text().replace(
        "set -u\n", f"set -u\nTUDOR_ROOT={root}\nTUDOR_WAIT=4\n", 1))
    monkeypatch.setattr(pi, "SCRIPT", script)
    monkeypatch.setattr(pi, "READ", pi.READ.replace("sleep 0.1", ":"))
    with served(folder) as server:
        monkeypatch.setenv("PATH", str(server.ssh), prepend=":")
        server.fake("tudor-module", STATUS.format(root=root))
        server.fake("systemctl", f"echo $* >>{root}/restarts; [ ! -e {root}/fails ]")
        (root / "readings").write_text("cv1 2048\ncv1_reading 0.0100\ncv2 9\ncv2_reading -0.5\n")
        yield root, server


def points(folder: Path) -> Path:
    path = folder / "points.csv"
    path.write_text("cv1,0,0.01\ncv1,5,0.98\n")
    return path


def test_a_module_is_measured_and_calibrated(board: tuple[Path, Server], tmp_path: Path) -> None:
    root, server = board
    there = root / "calibration.txt"
    there.write_text("knob1 gain=1.02\ncv1 gain=4\n")
    report = calibrate(Request("board", [], "0,5", measure=1.0))
    assert [(p["input"], p["volts"], p["reading"], p["spread"]) for p in report["points"]] == [
        ("cv1", 1.0, 0.01, 0.0), ("cv2", 1.0, -0.5, 0.0)]
    dry = calibrate(Request("board", [], "0,5", points=points(tmp_path), dry_run=True))
    assert not dry["written"]
    assert there.read_text() == "knob1 gain=1.02\ncv1 gain=4\n"
    done = calibrate(Request("board", [], "0,5", points=points(tmp_path)))
    assert done["written"]
    assert there.read_text() == done["calibration"] == (
        "knob1 gain=1.02\ncv1 at=0.010000:0 at=0.980000:5\n")
    assert (root / "restarts").read_text() == "restart tudor-module\n"
    assert server.left == []
    assert sorted(p.name for p in root.iterdir()) == ["blocks", "calibration.txt", "readings",
                                                      "restarts"]


def test_voltages_are_asked_for(board: tuple[Path, Server], monkeypatch: pytest.MonkeyPatch
                                ) -> None:
    root, _ = board
    asked = []

    def patch(line: str) -> None:
        asked.append(line)
        volts = float(line.split()[1])
        (root / "readings").write_text(f"cv1 1\ncv1_reading {0.01 + 0.194 * volts}\ncv2 1\n"
                                       "cv2_reading 0\n")

    monkeypatch.setattr(job, "at_terminal", patch)
    done = calibrate(Request("board", ["cv1"], "0,2,5"))
    assert asked == [f"patch {v} V into cv1" for v in (0, 2, 5)]
    assert done["lines"] == ["cv1 at=0.010000:0 at=0.398000:2 at=0.980000:5"]
    assert (root / "calibration.txt").read_text() == done["calibration"]
    with pytest.raises(ConfigError, match=r"cv2: reads 0\.0000 at 0 V and 0\.0000 at 2 V; was"):
        calibrate(Request("board", ["cv2"], "0,2,5"))


@pytest.mark.parametrize("old", [None, "cv1 gain=4\n"])
@pytest.mark.parametrize(("trouble", "says"), [
    ("fails", "the service does not start"), ("silent", "the service plays nothing"),
    ("complains", "calibration.txt:1: bad"),
])
def test_what_does_not_play_goes_back(board: tuple[Path, Server], old: str | None, trouble: str,
                                      says: str, tmp_path: Path) -> None:
    root, server = board
    there = root / "calibration.txt"
    if old is not None:
        there.write_text(old)
    with pi.Module("board") as module:
        if trouble != "complains":
            (root / trouble).touch()
        text = "# bad\n" if trouble == "complains" else "cv1 gain=3\n"
        with pytest.raises(TudorError, match=f"{says}; what was there before is back"):
            module.write(text)
    assert (there.read_text() if there.exists() else None) == old
    assert not list(root.glob("*.new"))
    assert server.left == []


def test_nothing_is_written_where_nobody_answers_or_the_program_is_old(
        board: tuple[Path, Server], tmp_path: Path) -> None:
    root, server = board
    server.fake("tudor-module", "echo 'blocks 1'")
    with pytest.raises(TudorError, match="its program is older than this one"):
        calibrate(Request("board", [], "0,5", points=points(tmp_path)))
    (root / "readings").write_text("")
    server.fake("tudor-module", STATUS.format(root=root))
    with pytest.raises(TudorError, match="no CV is read"):
        calibrate(Request("board", [], "0,5", measure=0.0))
    server.fake("tudor-module", "echo nobody >&2; exit 1")
    with pytest.raises(TudorError, match="the module does not answer: nobody"):
        calibrate(Request("board", [], "0,5", measure=0.0))
    with pytest.raises(TudorError, match="cannot be reached by ssh"):
        calibrate(Request("off", [], "0,5", measure=0.0))
    assert not (root / "calibration.txt").exists()
