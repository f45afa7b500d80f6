"""The Daisy's instrument, here and on an emulated Cortex-M7, and the app on the user's libDaisy."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from common_build import SANITIZED
from common_models import vae, wire
from formats import file_in
from machines import assert_same_bits, machine

from engine.boards.board import BOARDS, KIB, MIB
from engine.boards.fit import fit
from engine.boards.fit_command import read_task
from engine.layers import Conv1d, Streaming
from engine.layers import Sequence as NetSequence
from firmware.flash import daisy
from firmware.host import build as host
from firmware.host.play import command, run_there

HERE = Path(__file__).parent
DAISY = HERE.parent.parent / "firmware" / "daisy"
BLOCKS = 400
MAPPING, CALIBRATION = b"knob1 wet\n", b"# cv2\ncv2 offset=0.02 gain=4.9 curve=s\n"
MEMORIES = BOARDS["daisy"].memories
# What the board has for models; the emulated machine has less memory than SDRAM is large.
ROOMS = [memory.room_bytes for memory in MEMORIES[:3]] + [4 * MIB]


def stored(model: bytes, mapping: bytes = b"", calibration: bytes = b"") -> bytes:
    return daisy.store([daisy.Stored("model", model, mapping)], calibration)


def stored_before(model: bytes, mapping: bytes = b"", calibration: bytes = b"") -> bytes:
    """As it was written before there were lists."""
    data = model + bytes(-len(model) % 64) + mapping + calibration
    return struct.pack("<8sIIIIII32x", b"TUDRSTOR", 1, len(model), len(mapping), zlib.crc32(data),
                       0, len(calibration)) + data


RIG = ("rig.c", "store.c", "stack.c", "bank.c", "apart.c", "memory.c")


def rig(name: str, driver: str = "daisy_rig.c", *flags: str) -> Path:
    """A driver, built for a machine."""
    target = machine(name)
    own = [HERE / driver, *(DAISY / file for file in RIG), *sorted(DAISY.glob("*.h"))]
    sources = [*own[:1 + len(RIG)], host.HERE / "words.c", host.HERE / target.platform]
    folders = (f"-I{folder}" for folder in (DAISY, host.HERE, host.CORE, host.COMMON))
    words = [host.tool(target.compiler), *host.FLAGS, *target.flags, *flags, *folders,
             *map(str, sources), *host.instrument(target, *flags), *host.runtime(target, *flags)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()[:8]
    return host._built(f"rig-{digest}-{name}", [*words, f"-DRIG_{digest}"])


def play(name: str, folder: Path, store: bytes, rooms: Sequence[int] = ROOMS, blocks: int = BLOCKS,
         hold: float | None = None) -> tuple[np.ndarray, dict[str, int]]:
    """What comes out, and the facts. `rooms`: bytes of each memory; hold: what all knobs and CVs
    read."""
    rng = np.random.default_rng(2)
    (folder / "store").write_bytes(store)
    (rng.standard_normal(blocks * 96) * 0.2).astype("<f4").tofile(folder / "in")
    words = ["store", "in", "out", *map(str, rooms)]
    words += [] if hold is None else [str(round((hold + 1) * 10000))]
    text = run_there(command(machine(name), rig(name), words), folder)
    pairs = (line.split() for line in text.splitlines() if len(line.split()) == 2)
    return np.fromfile(folder / "out", "<f4"), {k: int(v) for k, v in pairs}


def test_the_cortex_m7_plays_the_same_bits(tmp_path: Path) -> None:
    store = stored(vae(), calibration=CALIBRATION)
    got, facts = play("native", tmp_path, store)
    assert facts["fault"] == facts["refused"] == facts["misread"] == 0
    assert not np.array_equal(got, play("native", tmp_path, stored(vae()))[0])
    assert facts["blocks"] == facts["fed"] == BLOCKS  # the watchdog's food
    assert 0 < facts["cv1"] != facts["cv2"] > 0
    there, their = play("m7", tmp_path, store)
    assert_same_bits(there, got)
    assert their.pop("stack") > 1024, "only there it is painted"
    assert their == {**facts, "fast_bytes": their["fast_bytes"]}, "pointers are shorter there"


def apart(facts: dict[str, int]) -> dict[str, int]:
    """Bytes of weights that lie apart from the file, by memory."""
    sizes = (facts[f"parts_{name}"] for name in ("dtcm", "axi", "d2", "sdram"))
    return {m.name: size for m, size in zip(MEMORIES, sizes, strict=True) if size}


def _net(width: int, dilation: int) -> Streaming:
    torch.manual_seed(3)
    layers = (Conv1d(1, width, 3), Conv1d(width, width, 3), Conv1d(width, 1, 2, dilation=dilation))
    return NetSequence(*layers).eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("width", "dilation", "dtype", "state", "file"),
    [(16, 1, "float32", "DTCM", "AXI SRAM"), (200, 1, "float32", "DTCM", "SDRAM"),
     (300, 1, "q16x8", "DTCM", "AXI SRAM"), (16, 1500, "float32", "AXI SRAM", "AXI SRAM"),
     (16, 6000, "float32", "SDRAM", "AXI SRAM"), (16, 5000, "q16x8", "AXI SRAM", "AXI SRAM")])
def test_the_board_places_a_model_as_planned(width: int, dilation: int, dtype: str, state: str,
                                             file: str, tmp_path: Path) -> None:
    data = file_in(_net(width, dilation), dtype)
    (tmp_path / "net.tudor").write_bytes(data)
    plan = fit(read_task(str(tmp_path / "net.tudor"), "forward"), "daisy").placement
    planned = {i.what: i.memory for i in plan.items if i.what != "weights"}
    assert planned == {"scratch": "DTCM", "state": state, "model file": file}
    _, facts = play("native", tmp_path, stored(data), blocks=8)
    assert facts["fault"] == facts["refused"] == 0
    names = [memory.name for memory in MEMORIES]
    found = {what: names[facts[f"{what}_in"]] for what in ("fast", "bulk", "model")}
    assert found == {"fast": planned["scratch"], "bulk": planned["state"],
                     "model": planned["model file"]}
    assert apart(facts) == {i.memory: i.bytes for i in plan.items if i.what == "weights"}


def test_the_same_sound_from_every_memory_and_none_without_room(tmp_path: Path) -> None:
    store = stored(vae())
    sound, facts = play("native", tmp_path, store)
    assert (facts["fast_in"], facts["model_in"]) == (0, 1)
    for at in (1, 2, 3):
        rooms = [MIB if i == at else 0 for i in range(4)]
        got, facts = play("native", tmp_path, store, rooms)
        assert [facts[f"{what}_in"] for what in ("fast", "bulk", "model")] == [at] * 3
        assert_same_bits(got, sound)
    got, facts = play("native", tmp_path, store, (MIB, 0, 0, 0))
    assert facts["model_in"] == len(MEMORIES), "played from flash"
    assert_same_bits(got, sound)
    dry, facts = play("native", tmp_path, store, (0, 0, 0, 0))
    assert facts["refused"] > 0
    assert not np.array_equal(dry, sound)


def test_spare_inputs_are_cv_9_to_12(tmp_path: Path) -> None:
    sounds = [play("native", tmp_path, stored(vae(), b"cv%d wet mode=set\n" % number))[0]
              for number in (1, 2, 3, 4, 5, 9, 10, 11, 12)]
    assert all(np.abs(sound).max() > 1e-3 for sound in sounds)
    for i, sound in enumerate(sounds):
        assert not any(np.array_equal(sound, other) for other in sounds[:i])
    # No input is CV 8: nothing moves it.
    nothing, _ = play("native", tmp_path, stored(vae(), b"cv8 wet mode=set\n"))
    assert np.array_equal(nothing, sounds[4])


def test_inputs_read_as_the_calibration_in_the_store_says(tmp_path: Path) -> None:
    """Half the gain under half the range is the same, in all bits."""
    whole, half = b"cv1 wet mode=set in=-5:5\n", b"cv1 wet mode=set in=-2.5:2.5\n"
    wanted, _ = play("native", tmp_path, stored(vae(), whole))
    for text in (half, half + b"\n" * 64):  # wherever the calibration begins
        got, facts = play("native", tmp_path, stored(vae(), text, b"cv1 gain=2.5\n"))
        assert facts["misread"] == 0
        assert_same_bits(got, wanted)
    other, _ = play("native", tmp_path, stored(vae(), half))
    assert not np.array_equal(other, wanted)
    # The app of tomorrow may know lines that this one does not: it plays as if there were none.
    got, facts = play("native", tmp_path, stored(vae(), whole, b"cv1 gain=2\ncv1 slope=2\n"))
    assert (facts["fault"], facts["misread"]) == (0, 2)
    assert_same_bits(got, wanted)


def test_stores_from_before_there_were_lists_still_play(tmp_path: Path) -> None:
    words = (vae(), b"cv1 wet mode=set in=-2.5:2.5\n", b"cv1 gain=2.5\n")
    for count in (1, 2, 3):
        sound, facts = play("native", tmp_path, stored(*words[:count]))
        before, their = play("native", tmp_path, stored_before(*words[:count]))
        assert facts == their
        assert facts["fault"] == facts["refused"] == facts["misread"] == 0
        assert_same_bits(before, sound)


@pytest.mark.parametrize(("offset", "gain"), [(0.02, 4.85), (-0.03, 5.2), (0.01, -4.9)])
def test_a_builder_finds_the_calibration_as_the_page_says(offset: float, gain: float,
                                                          tmp_path: Path) -> None:
    """A voltmeter at CV out 1, whose own scale is off. Then what is patched is what is read."""
    page = (DAISY.parent.parent / "docs/daisy.md").read_text()
    mapping = re.findall(r"```\w*\n(way source\n.*?)```", page, re.DOTALL)[0].encode()
    assert "offset = e0 / 5, gain = 15 / (e3 - e0)" in page

    def shown(volts: float, *calibration: bytes) -> float:
        reading = float(np.clip(volts / gain + offset, -1, 1))
        store = stored(vae(), mapping, *calibration)
        return play("native", tmp_path, store, hold=reading)[1]["cv1_last"] / 1e6

    at = {volts: 0.07 + 4.9 * shown(volts) for volts in (-5, 0, 3, 5)}
    low, high = min(at.values()), max(at.values())
    e0, e3 = (8 * (at[volts] - low) / (high - low) - 4 for volts in (0, 3))
    found = (e0 / 5, 15 / (e3 - e0))
    assert found == pytest.approx((offset, gain), abs=2e-3)
    text = f"cv1 offset={found[0]:.4f} gain={found[1]:.4f}\n".encode()
    for volts in (-3, 0, 1, 3):
        assert 8 * shown(volts, text) - 4 == pytest.approx(volts, abs=0.01)


def _places(kind: str) -> dict[str, int]:
    """Bytes of each memory for models, as the compiler reads them."""
    flags = ["-DPLACES_APP_IN_SRAM"] if kind == "BOOT_SRAM" else []
    names = ("DTCM", "AXI", "D2", "SDRAM", "OWN", "SAVED")
    text = '#include "places.h"\n' + "".join(f"= {n} PLACES_{n}_BYTES\n" for n in names)
    done = subprocess.run([host.tool(machine("native").compiler), "-E", "-P", "-xc", f"-I{DAISY}",
                           f"-I{host.COMMON}", f"-I{host.CORE}", *flags, "-"], input=text,
                          capture_output=True, text=True, check=True)
    found = re.findall(r"^= (\w+) \(([\d u*]+)\)$", done.stdout, re.MULTILINE)
    return {name: math.prod(int(n.strip(" u")) for n in size.split("*")) for name, size in found}


@pytest.mark.parametrize("make", [stored, stored_before])
def test_a_damaged_store_is_refused_and_the_sound_stays_dry(
        make: Callable[..., bytes], tmp_path: Path) -> None:
    whole = make(vae(), MAPPING, CALIBRATION)
    sound, _ = play("native", tmp_path, whole)
    dry, facts = play("native", tmp_path, b"\xff" * 4096)
    assert facts["fault"] == 1
    assert not np.array_equal(dry, sound)
    size = 64 if make is stored else 0  # what stands before the model: an entry
    lengths = [12, 16, 28, 64, 68] if size else [12, 16, 28]
    bad = {2: [whole[:at] + struct.pack("<I", n) + whole[at + 4:] for at in lengths
               for n in (1 << 31, len(whole), 0xFFFFFFC0, 0xFFFFFFFF)]
           + [whole[:12] + bytes(4) + whole[16:], whole[:8] + b"\3" + whole[9:], whole[:-1]],
           3: [whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]]}
    for fault, stores in bad.items():
        for store in stores:
            got, facts = play("native", tmp_path, store, blocks=40)
            assert facts["fault"] == fault
            assert np.array_equal(got, dry[:got.size])


def test_hostile_stores_under_sanitizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CRC is right, for once: whoever wrote it may be wrong all the same."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    rng = np.random.default_rng(3)
    whole = daisy.store([daisy.Stored("a", wire(), b"knob1 wet\n"),
                         daisy.Stored("b", wire(gain=0.5))], CALIBRATION)
    faults = set()
    program = rig("native", "daisy_saves.c", *SANITIZED, "-DTUDOR_ONLY_SCALAR")
    (tmp_path / "flash").write_bytes(b"\xff" * 65536)
    for _ in range(60):
        data = bytearray(whole[64:])
        for at in rng.integers(0, 128, rng.integers(1, 4)):
            data[at] = rng.integers(0, 256)
        length = rng.choice([len(data), len(data), rng.integers(1, len(data))])
        (tmp_path / "store").write_bytes(daisy.STORE.pack(
            daisy.STORE_MAGIC, 2, rng.choice([2, 2, 2, 1, 3, 8]), length, zlib.crc32(data[:length]),
            len(CALIBRATION)) + data)
        text = run_there([str(program), "store", "flash", "after", *map(str, ROOMS),
                          "run", "5", "slot", "1", "run", "50"], tmp_path)
        faults.add(text.split()[1])
    assert {"0", "2"} <= faults


@pytest.mark.only_where("LIBDAISY_DIR" in os.environ, "there is no libDaisy to build against")
@pytest.mark.parametrize("board", ["patch_sm", "seed"])
@pytest.mark.parametrize("kind", ["BOOT_SRAM", "BOOT_QSPI"])
def test_the_app_links_and_fits(board: str, kind: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for part in ("firmware/daisy", "firmware/common", "engine/core"):
        shutil.copytree(HERE.parent.parent / part, tree / part,
                        ignore=shutil.ignore_patterns("build", "__pycache__"))
    done = subprocess.run(["make", "-C", str(tree / "firmware/daisy"), f"BOARD={board}",
                           f"APP_TYPE={kind}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    used = re.findall(r"^\s*(\w+):\s+(\d+) (B|KB|MB|GB)\s+(\d+) (KB|MB)", done.stdout, re.MULTILINE)
    unit = {"B": 1, "KB": KIB, "MB": MIB, "GB": KIB * MIB}
    sizes = {name: (int(n) * unit[u], int(m) * unit[v]) for name, n, u, m, v in used}
    rooms = _places(kind)
    dtcm, axi, d2, sdram = (sizes[n] for n in ("DTCMRAM", "SRAM", "RAM_D2", "SDRAM"))
    assert all(taken <= there for taken, there in sizes.values())
    # The chip has what boards.py says; a bootloader keeps the end of AXI SRAM for itself.
    assert dtcm[1] == MEMORIES[0].bytes
    assert axi[1] == MEMORIES[1].bytes - (32 * KIB if kind == "BOOT_SRAM" else 0)
    assert d2[1] + sizes["RAM_D2_DMA"][1] == MEMORIES[2].bytes
    assert sdram[1] == MEMORIES[3].bytes
    assert rooms["DTCM"] <= dtcm[0] <= MEMORIES[0].bytes - 16 * KIB, "room for the stack"
    assert d2[0] == rooms["D2"] + rooms["OWN"]
    assert sdram[0] == rooms["SDRAM"] + rooms["SAVED"]
    assert axi[0] >= rooms["AXI"]
    build = tree / f"firmware/daisy/build/{board}-{kind}"
    symbols = subprocess.run(["arm-none-eabi-nm", str(build / "tudor.elf")], capture_output=True,
                             text=True, check=True).stdout
    at = {name: int(address, 16) for address, name in
          re.findall(r"^(\w{8}) \w (\w+)$", symbols, re.MULTILINE)}
    for name in ("tudor_process", "tudor_kernels_scalar", "module_process"):
        assert 0 < at[name] < at["tudor_itcm_end"] <= 64 * KIB, f"{name} is not in ITCM"
    assert {"places_watch", "places_healthy"} <= at.keys(), "nobody watches the audio"
    assert 0 < at["qspi_program"] < at["tudor_itcm_end"], "it would write the flash it runs from"
    assert sizes["ITCMRAM"][0] == at["tudor_itcm_end"] > 32 * KIB
    if kind == "BOOT_SRAM":  # models take the room of what was copied to ITCM
        assert at["axi"] < at["tudor_itcm_load"] < at["axi"] + rooms["AXI"] - at["tudor_itcm_end"]
    assert len(daisy.read_app(build / "tudor.bin")) == (build / "tudor.bin").stat().st_size
