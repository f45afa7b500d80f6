"""The Daisy's instrument on this machine and on an emulated Cortex-M7, and the app against the
user's own libDaisy."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from common_models import vae
from machines import assert_same_bits, machine

from engine.boards import BOARDS
from firmware.flash import daisy
from firmware.host import build as host
from firmware.host.play import command, run_there

HERE = Path(__file__).parent
DAISY = HERE.parent.parent / "firmware" / "daisy"
BLOCKS = 400
MAPPING = b"knob1 wet\n"


def rig(name: str) -> Path:
    """The driver, built for a machine."""
    target = machine(name)
    sources = [HERE / "daisy_rig.c", DAISY / "rig.c", DAISY / "store.c",
               *(host.HERE / file for file in ("words.c", target.platform)),
               *sorted(host.COMMON.glob("*.c")), *sorted(host.CORE.glob("*.c"))]
    words = [host.tool(target.compiler), *host.FLAGS, *target.flags, f"-I{DAISY}",
             f"-I{host.HERE}", f"-I{host.CORE}", f"-I{host.COMMON}", *map(str, sources)]
    own = hashlib.sha256(b"".join(path.read_bytes() for path in sources[:3])).hexdigest()[:8]
    return host._built(f"rig-{own}-{name}", [*words, f"-DRIG_{own}"])


def play(name: str, folder: Path, store: bytes, cpu: str | None = None
         ) -> tuple[np.ndarray, dict[str, int]]:
    """What comes out, and the facts."""
    rng = np.random.default_rng(2)
    (folder / "store").write_bytes(store)
    (rng.standard_normal(BLOCKS * 96) * 0.2).astype("<f4").tofile(folder / "in")
    text = run_there(command(machine(name), rig(name), ["store", "in", "out"], cpu), folder)
    pairs = (line.split() for line in text.splitlines() if len(line.split()) == 2)
    return np.fromfile(folder / "out", "<f4"), {k: int(v) for k, v in pairs}


def test_the_cortex_m7_plays_the_same_bits(tmp_path: Path) -> None:
    store = daisy.store(vae())
    got, facts = play("native", tmp_path, store)
    assert facts["fault"] == facts["refused"] == 0
    assert facts["blocks"] == BLOCKS
    assert 0 < facts["cv1"] != facts["cv2"] > 0
    there, their = play("m7", tmp_path, store)
    assert_same_bits(there, got)
    assert their == facts


def test_a_damaged_store_is_refused_and_the_sound_stays_dry(tmp_path: Path) -> None:
    whole = daisy.store(vae(), MAPPING)
    sound, _ = play("native", tmp_path, whole)
    dry, facts = play("native", tmp_path, b"\xff" * 4096)
    assert facts["fault"] == 1
    assert not np.array_equal(dry, sound)
    bad = {2: [whole[:12] + struct.pack("<I", n) + whole[16:]
               for n in (0, 1 << 31, len(whole), 0xFFFFFFFF)]
           + [whole[:16] + struct.pack("<I", 0xFFFFFFC0) + whole[20:], whole[:-1]],
           3: [whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]]}
    for fault, stores in bad.items():
        for store in stores:
            got, facts = play("native", tmp_path, store)
            assert facts["fault"] == fault
            assert np.array_equal(got, dry)


def test_app_and_flasher_agree_on_the_places() -> None:
    text = (DAISY / "store.h").read_text()
    told = {k: int(v, 16) for k, v in re.findall(r"#define (STORE_\w+) (0x\w+)u", text)}
    assert told == {"STORE_ADDRESS": daisy.MODEL_ADDRESS, "STORE_END": daisy.END_ADDRESS}
    assert daisy.STORE.size == int(re.findall(r"STORE_HEADER_BYTES (\d+)u", text)[0])


@pytest.mark.parametrize("board", ["patch_sm", "seed"])
@pytest.mark.parametrize("kind", ["BOOT_SRAM", "BOOT_QSPI"])
def test_the_app_links_and_fits(board: str, kind: str, tmp_path: Path) -> None:
    if not os.environ.get("LIBDAISY_DIR"):
        pytest.skip("LIBDAISY_DIR is not set: no libDaisy to build against")
    tree = tmp_path / "tree"
    for part in ("firmware/daisy", "firmware/common", "engine/core"):
        shutil.copytree(HERE.parent.parent / part, tree / part,
                        ignore=shutil.ignore_patterns("build", "__pycache__"))
    done = subprocess.run(["make", "-C", str(tree / "firmware/daisy"), f"BOARD={board}",
                           f"APP_TYPE={kind}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    used = re.findall(r"^\s*(\w+):\s+(\d+) (B|KB|MB|GB)\s+(\d+) (KB|MB)", done.stdout, re.MULTILINE)
    unit = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    sizes = {name: (int(n) * unit[u], int(m) * unit[v]) for name, n, u, m, v in used}
    assert {"SRAM", "DTCMRAM", "SDRAM", "QSPIFLASH"} <= set(sizes)
    assert all(taken <= there for taken, there in sizes.values())
    app = tree / f"firmware/daisy/build/{board}-{kind}/tudor.bin"
    assert len(daisy.read_app(app)) == app.stat().st_size
    assert any("daisy" in name for name in BOARDS)
