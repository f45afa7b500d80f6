"""Where weights lie: checked by hand on small tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.boards.board import KIB, board_named
from engine.boards.fit import fit
from engine.boards.placement import SPARE, place
from engine.boards.work import task_of_model
from engine.errors import ConfigError
from engine.models.registry import build
from tests.engine.boards.test_fit import DAISY, SMALL, task, work


def test_a_cache_is_chosen_by_the_working_set() -> None:
    places = [fit(task(work(1e6, 1000, count)), "pi5").placement.weights_in[0]
              for count in (50_000, 300_000, 3_000_000)]
    assert places == ["L2 cache", "L3 cache", "DRAM"]


def test_weights_lie_apart_where_there_is_room_fastest_layers_first() -> None:
    works = [work(1e6, rows, 40 * KIB, f"{rows}") for rows in (1000, 16000, 4000, 48000, 8000)]
    board = board_named("daisy")
    plan = place(task(*works), board, "float32", 48)
    rooms = {m.name: m.room_bytes for m in board.memories}
    for name, room in rooms.items():
        assert sum(item.bytes for item in plan.items if item.memory == name) <= room
    assert plan.apart
    order = ["DTCM", "AXI SRAM", "D2 SRAM", "SDRAM"]
    by_rate = sorted(zip((1000, 16000, 4000, 48000, 8000), plan.weights_in, strict=True),
                     reverse=True)
    ranks = [order.index(name) for _, name in by_rate]
    assert ranks == sorted(ranks) == [1, 1, 3, 3, 3], "of 160 KiB each, two in AXI SRAM"
    sizes = [(item.memory, item.bytes) for item in plan.items if item.what == "weights"]
    assert sizes == [("AXI SRAM", 2 * (160 * KIB + SPARE))]
    assert not place(task(*works), board, "float32", 48, in_one_piece=True).apart


def test_a_file_that_finds_room_stays_in_one_piece() -> None:
    plan = fit(task(work(1e6, 48000, 90 * KIB)), "daisy").placement
    assert [i.what for i in plan.items] == ["scratch", "state", "model file"]
    assert (plan.weights_in, plan.apart) == (("AXI SRAM",), False)
    assert fit(task(work(1e6, 48000, 90 * KIB)), "daisy").worst_in_one_piece is None


def test_what_lies_apart_is_counted_where_it_is_read() -> None:
    """By hand: a fast and a slow layer of 80 KiB each, and one that finds no room anywhere."""
    works = (work(1e6, 48000, 20 * KIB, "fast"), work(1e6, 1000, 20 * KIB, "slow"),
             work(1e6, 1000, 200 * KIB, "large"))
    found = fit(task(*works), "daisy")
    assert found.placement.weights_in == ("DTCM", "AXI SRAM", "SDRAM")
    read = {t.memory: t.bytes_per_second.low for t in found.traffic}
    assert read == {"DTCM": 80e3 * KIB, "AXI SRAM": 80e3 * KIB, "D2 SRAM": 0, "SDRAM": 800e3 * KIB}
    whole = found.worst_in_one_piece
    assert whole is not None
    slower = 1000 * 80 * KIB * 12 * (1 / 0.1e9 - 1 / 1.9e9)  # 48 rows in a call, four at a time
    slower += 1000 * 80 * KIB * (1 / 0.1e9 - 1 / 0.5e9)
    assert whole.high - found.worst_callback.high == pytest.approx(slower, rel=1e-6)


def test_methods_in_a_row_are_placed_one_by_one() -> None:
    """What is read once in a chunk of 2048 samples stays behind what is read every callback."""
    model = build("raw_vae", {**SMALL, "widths": (160, 160), "sample_rate_hz": 48000})
    row = task_of_model(model, "x", "encode+decode")
    alone = [task_of_model(model, "x", method) for method in ("encode", "decode")]
    assert row.macs_per_second == pytest.approx(sum(t.macs_per_second for t in alone))
    assert row.weights == sum(t.weights for t in alone)
    assert row.frame_samples == alone[0].frame_samples == alone[1].frame_samples
    assert row.lookahead_samples == sum(t.lookahead_samples for t in alone)
    rare = tuple(replace(w, rows_per_second=w.rows_per_second / 1000) if w.method == "encode" else w
                 for w in row.works)
    found = fit(replace(row, works=rare), "daisy")
    assert found.placement.apart
    whats = {item.what for item in found.placement.items}
    assert {"weights of decode"} <= whats <= {"weights of encode", "weights of decode", "scratch",
                                              "state", "model file"}
    slowest = [w.method for w, where in zip(rare, found.placement.weights_in, strict=True)
               if where == "SDRAM" and w.weights]
    assert slowest
    assert slowest.count("encode") > slowest.count("decode")
    with pytest.raises(ConfigError, match=r"decode\+decode: decode puts out 1 channels, one row "):
        task_of_model(model, "x", "decode+decode")


def test_what_each_memory_has_to_give() -> None:
    found = fit(task(work(1e6, 8000, 200 * KIB), work(1e6, 1000, 10)), "daisy")
    by_name = {t.memory: t for t in found.traffic}
    assert list(by_name) == [m.name for m in DAISY.memories]
    read = by_name["SDRAM"]
    assert read.bytes_per_second.low == 819200000, "all but ten numbers, which lie apart"
    assert by_name["DTCM"].bytes_per_second.low == 40000
    assert read.share.high == pytest.approx(read.bytes_per_second.high / 100e6)
    assert read.share.low == pytest.approx(read.bytes_per_second.low / 200e6)
    assert by_name["AXI SRAM"].bytes_per_second.high == 0
