"""Records in a flash (firmware/common/save_ring.c) under power cuts, turned bits and worn-out
sectors, on this machine and on emulated processors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from machines import machine

from firmware.host import build as host
from firmware.host.play import command, run_there

HERE = Path(__file__).parent
SOURCES = ("save_ring.c", "crc.c")


def ring(name: str, *flags: str) -> Path:
    """The driver, built for a machine."""
    target = machine(name)
    own = [HERE / "ring_power.c", *(host.COMMON / file for file in SOURCES)]
    sources = [*own, *(host.HERE / file for file in ("words.c", target.platform))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()[:8]
    return host._built(f"ring-{digest}-{name}", [
        host.tool(target.compiler), *host.FLAGS, *target.flags, *flags, f"-DRING_{digest}",
        f"-I{host.HERE}", f"-I{host.COMMON}", *map(str, sources)])


def run(name: str, saves: int, folder: Path, *flags: str) -> dict[str, int]:
    text = run_there(command(machine(name), ring(name, *flags), [str(saves)]), folder)
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def test_a_cut_at_any_byte_leaves_the_last_whole_record(tmp_path: Path) -> None:
    """Also: any turned bit gives the record before, what is not kept is found and told, wear is
    spread. The driver says where it went wrong, and fails."""
    facts = run("native", 40, tmp_path)
    assert facts["cuts"] > 40_000
    assert facts["flips"] > 5_000
    assert facts["told"] == 16
    assert facts["found"] >= 8
    assert facts["most_worn"] - facts["least_worn"] <= facts["most_worn"] // 10


def test_no_byte_outside_is_touched(tmp_path: Path) -> None:
    assert run("native", 3, tmp_path, "-g", "-fsanitize=address,undefined",
               "-fno-sanitize-recover=all") == run("native", 3, tmp_path)


@pytest.mark.parametrize("name", ["aarch64", "m7"])
def test_the_boards_processors_do_the_same(name: str, tmp_path: Path) -> None:
    assert run(name, 3, tmp_path) == run("native", 3, tmp_path)
