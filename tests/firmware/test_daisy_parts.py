"""Weights of two methods in two memories of a Daisy: placed as `tudor fit` plans it, and the same
sound as from one."""

from __future__ import annotations

from pathlib import Path

import pytest
from common_models import vae
from machines import assert_same_bits
from test_daisy import DAISY, MEMORIES, apart, play, stored

from engine.boards import placement
from engine.boards.board import BOARDS, KIB, MIB
from engine.boards.fit import fit
from engine.boards.fit_command import read_task
from engine.presets import shipped_native
from firmware.flash import daisy

METHODS = {"bend": "encode+decode", "source": "decode", "effect": "forward"}
SDRAM, FLASH = 3, 4


def _rooms(path: Path, way: str, dtcm: int) -> list[int]:
    """Memories that hold what is written, and about half of the weights."""
    weights = fit(read_task(str(path), METHODS[way]), "daisy").placement.weights_bytes
    return [dtcm, weights // 3, weights // 5, MIB]


@pytest.mark.parametrize("way", METHODS)
def test_the_same_sound_from_two_memories(way: str, tmp_path: Path) -> None:
    data = vae(compression=32)
    (tmp_path / "vae.tudor").write_bytes(data)
    store = stored(data, f"way {way}\n".encode())
    wanted, facts = play("native", tmp_path, store)
    assert (facts["model_in"], apart(facts)) == (1, {}), "in one piece, where it finds room"
    written = facts["fast_bytes"] + facts["bulk_bytes"] + 2 * KIB
    rooms = _rooms(tmp_path / "vae.tudor", way, written)
    got, facts = play("native", tmp_path, store, rooms)
    assert facts["model_in"] == SDRAM
    assert {"AXI SRAM", "D2 SRAM"} <= apart(facts).keys()
    assert_same_bits(got, wanted)
    flash, facts = play("native", tmp_path, store, (*rooms[:3], 0))
    assert facts["model_in"] == FLASH
    assert {"AXI SRAM", "D2 SRAM"} <= apart(facts).keys()
    assert_same_bits(flash, wanted)
    there, their = play("m7", tmp_path, store, rooms, blocks=100)
    assert their["model_in"] == SDRAM
    assert len(apart(their)) >= 2
    assert_same_bits(there, play("native", tmp_path, store, blocks=100)[0])


@pytest.mark.parametrize(("dtype", "share"), [("float32", 3), ("q16x8", 2), ("q16x8", 7)])
@pytest.mark.parametrize("way", METHODS)
def test_the_loader_and_fit_make_the_same_plan(way: str, dtype: str, share: int,
                                               tmp_path: Path) -> None:
    """To the byte, in rooms that hold so much of the weights."""
    path = shipped_native("techno-tiny", dtype)
    assert path is not None
    task = read_task(str(path), METHODS[way])
    free = task.weights_bytes(dtype) // share
    rooms = [128 * KIB + free // 3, free, free // 2, 4 * MIB]
    _, facts = play("native", tmp_path, stored(path.read_bytes(), f"way {way}\n".encode()), rooms,
                    blocks=8)
    assert facts["model_in"] == SDRAM
    left = dict(zip((memory.name for memory in MEMORIES), rooms, strict=True))
    for what in ("fast", "bulk"):
        left[MEMORIES[facts[f"{what}_in"]].name] -= -(-facts[f"{what}_bytes"] // 64) * 64
    items: list[placement.Item] = []
    call = fit(task, "daisy").spread.call_samples
    where = placement._apart(task, BOARDS["daisy"], left, items, dtype, call)
    found: dict[str, int] = {}
    for item in items:
        found[item.memory] = found.get(item.memory, 0) + item.bytes
    assert found == apart(facts)
    assert len(found) >= 2
    methods = {item.what for item in items}
    assert methods == ({"weights of encode", "weights of decode"} if way == "bend"
                       else {"weights"})
    assert "" in where, "some is left in the file"


def test_two_that_would_take_each_other_s_room_take_turns(tmp_path: Path) -> None:
    data, mapping = vae(compression=32), b"way effect\n"
    (tmp_path / "vae.tudor").write_bytes(data)
    _, facts = play("native", tmp_path, stored(data, mapping))
    written = 2 * (facts["fast_bytes"] + facts["bulk_bytes"] + 128)
    store = daisy.store([daisy.Stored(name, data, mapping) for name in "ab"])
    rooms = _rooms(tmp_path / "vae.tudor", "effect", written)
    assert play("native", tmp_path, store, rooms)[1]["turns"] == 1
    none = (written, 0, 0, MIB)
    assert play("native", tmp_path, store, none)[1]["turns"] == 1, "DTCM holds a little of it"


def test_both_count_no_more_parts_than_the_list_holds() -> None:
    text = (DAISY / "apart.h").read_text()
    assert f"#define APART_MOST {placement.PARTS_LIMIT}u" in text
    text = (DAISY / "apart.c").read_text()
    assert f"#define SPARE {placement.SPARE}u" in text
    assert placement.ALIGN == placement.SPARE == 64
