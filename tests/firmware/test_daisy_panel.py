"""What a Daisy's panel does and shows: gates and buttons, lights, CV outs, overload, and how deep
its stack was."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from common_models import coder, vae
from numpy.typing import NDArray
from test_daisy import DAISY, HERE, play, rig, stored

from engine.presets import shipped_native
from firmware.host import build as host
from firmware.host.play import command, run_there
from tests.firmware.machines import machine

DONE = np.dtype([("analog", "<f4"), ("level", "<f4"), ("gates", "<u4"), ("load", "<u4")])
SEEN = np.dtype([("cv", "<f4", 2), ("latent", "<f4"), *((name, "<u4") for name in (
    "lights", "led", "clipped", "state", "misses", "frame_blocks"))])
PLAY, FAULT, CLIP, FROZEN, RECORDING, LOOPING = (1 << i for i in range(6))
SECOND = 1000  # blocks
NO_MODEL = b"no model"
SHOWN = 1200  # blocks until the slot's number was shown


def script(blocks: int, **columns: object) -> NDArray[np.void]:
    """What a builder does: levels and knobs that stay as they are, else block by block."""
    made = np.zeros(blocks, DONE)
    for name, value in {"analog": 0.5, "level": 0.1, "load": 300, **columns}.items():
        made[name] = value
    return made


def seen(folder: Path, done: NDArray[np.void], mapping: bytes = b"", model: bytes | None = None,
         *words: str) -> NDArray[np.void]:
    (folder / "store").write_bytes(stored(vae() if model is None else model, mapping))
    done.tofile(folder / "done")
    program = rig("native", "daisy_panel.c")
    told = run_there(command(machine("native"), program, ["store", "done", "seen", *words]), folder)
    assert ("refused 0" in told) == (model != NO_MODEL)
    found = np.fromfile(folder / "seen", SEEN)
    assert len(found) == len(done)
    return found


def held(blocks: int, gate: int, first: int, last: int) -> NDArray[np.uint32]:
    """A gate that is high from a block to another."""
    at = np.arange(blocks)
    return np.where((at >= first) & (at < last), 1 << (gate - 1), 0).astype(np.uint32)


@pytest.mark.parametrize("gate", [1, 2, 3, 4])
def test_four_gates_are_read(gate: int, tmp_path: Path) -> None:
    mapping = b"way source\nknob1 walk 0 0\ngate%d jump\n" % gate
    gates = sum(held(800, n, 300 + 50 * n, 310 + 50 * n) for n in range(1, 5))
    latent = seen(tmp_path, script(800, gates=gates), mapping)["latent"]
    moved = np.flatnonzero(np.diff(latent)) + 1
    assert moved.size > 3
    assert 0 <= moved[0] - (300 + 50 * gate) < 20, "that gate, and no other"


def test_one_model_s_gates_ask_for_no_next(tmp_path: Path) -> None:
    """Derived: freeze, jump, reset, record. The four that the board has."""
    def flags(gate: int) -> int:
        found = seen(tmp_path, script(600, gates=held(600, gate, 300, 500)), model=coder())
        return int(np.bitwise_or.reduce(found["lights"])) & (FROZEN | RECORDING)

    assert flags(1) == FROZEN
    assert flags(4) == RECORDING
    jumped = seen(tmp_path, script(600, gates=held(600, 2, 300, 310)), model=coder())["latent"]
    still = seen(tmp_path, script(600), model=coder())["latent"]
    assert np.array_equal(jumped[:300], still[:300])
    assert np.abs(jumped[330:] - still[330:]).max() > 0.05, "gate 2 jumps"


def test_a_button_that_bounces_is_pressed_once(tmp_path: Path) -> None:
    """Gates 3 and 4 are buttons there, 1 and 2 jacks: those count each edge."""
    at = np.arange(800)
    bouncing = (at >= 300) & ((at < 306) & (at % 2 == 0) | (at >= 306) & (at < 400))

    def jumps(gate: int) -> int:
        gates = np.where(bouncing, 1 << (gate - 1), 0)
        found = seen(tmp_path, script(800, gates=gates),
                     b"way bend\ngate%d freeze mode=toggle\n" % gate)
        frozen = found["lights"] & FROZEN != 0
        return int((np.diff(frozen[299:].astype(int)) != 0).sum())

    assert jumps(3) == jumps(4) == 1
    assert jumps(1) == 4, "every rising edge of a jack toggles"


def test_the_light_says_what_is_held(tmp_path: Path) -> None:
    blocks = 4 * SECOND
    for gate, light, flashes in ((1, FROZEN, 1), (4, RECORDING, 5)):
        found = seen(tmp_path, script(blocks, gates=held(blocks, gate, SHOWN, blocks)),
                     b"way bend\ngate1 freeze\ngate4 record\n")
        late = found[2 * SECOND : 3 * SECOND]
        assert (late["lights"] & light != 0).all()
        assert ((np.diff(late["led"].astype(int)) == 1).sum()) in (flashes, flashes - 1)
        assert (late["led"] == late["lights"] & PLAY).all()
    turned = np.clip((np.arange(blocks) - SHOWN) / 400, 0, 1)
    found = seen(tmp_path, script(blocks, analog=turned, gates=held(blocks, 4, SHOWN, SHOWN + 400)),
                 b"way bend\nknob1 latent 1\ngate4 record\n")
    late = found[2 * SECOND :]
    assert (late["lights"] & LOOPING != 0).all()
    assert 0.7 < late["led"].mean() < 0.95, "on, with short gaps"


def test_the_light_counts_the_slot_and_stays_on(tmp_path: Path) -> None:
    led = seen(tmp_path, script(3 * SECOND))["led"].astype(int)
    assert led[SHOWN:].all()
    assert (np.diff(led[:SHOWN]) == 1).sum() == 2, "one flash, then steady"


def test_a_board_without_a_model_blinks(tmp_path: Path) -> None:
    found = seen(tmp_path, script(2 * SECOND), model=NO_MODEL)
    assert (found["lights"] & FAULT != 0).all()
    assert 3 <= (np.diff(found["led"].astype(int)) == 1).sum() <= 4, "twice a second"


def test_a_stack_that_is_nearly_full_is_a_fault_that_is_seen(tmp_path: Path) -> None:
    found = seen(tmp_path, script(2 * SECOND), b"", None, "crowded")
    assert (found["lights"] & FAULT != 0).all()
    assert 3 <= (np.diff(found["led"].astype(int)) == 1).sum() <= 4
    assert (found["state"][100:] == found["state"][100]).all()
    assert (found["lights"][SHOWN:] & PLAY != 0).all(), "it plays on"


@pytest.mark.parametrize(("level", "clips"), [(0.1, 0), (0.9, 0), (1.0, 1)])
def test_a_clip_at_the_input_is_seen(level: float, clips: int, tmp_path: Path) -> None:
    levels = np.where(np.arange(800) == 500, level, 0.0)
    found = seen(tmp_path, script(800, level=levels), b"way bend\nknob1 wet 0 0\n")
    lit = np.flatnonzero(found["clipped"])
    assert ((found["lights"] & CLIP != 0) == (found["clipped"] != 0)).all()
    assert lit.size == 150 * clips
    assert not clips or lit[0] == 500


def test_a_cv_out_moves_evenly_within_a_frame(tmp_path: Path) -> None:
    """A latent holds for a frame of eight callbacks; what follows it gets there in eight steps."""
    small = shipped_native("techno-tiny", "q16x8")
    assert small is not None
    found = seen(tmp_path, script(2 * SECOND), b"way source\nknob1 walk 1 1\nknob2 rate 4 4\n",
                 small.read_bytes())
    frame = int(found["frame_blocks"][0])
    assert frame == 8
    latent, cv = (x.astype(np.float64)[200:] for x in (found["latent"], found["cv"][:, 0]))
    jumps = np.flatnonzero(np.diff(latent)) + 1
    assert jumps.size > 100
    for at in jumps[1:-2]:
        before, goal = latent[at - 1], latent[at]
        steps = np.diff(cv[at - 1 : at + frame])
        assert np.allclose(steps, (goal - before) / frame, atol=1e-6)
        assert cv[at + frame - 1] == np.float32(goal)
    assert np.abs(np.diff(cv)).max() < 0.2 * np.abs(np.diff(latent)).max()


@pytest.mark.parametrize(("load", "rests"), [(880, False), (920, True)])
def test_a_callback_may_take_nine_tenths_of_its_time(load: int, rests: bool, tmp_path: Path
                                                     ) -> None:
    """Only the instrument is timed: drivers and other interrupts need the rest."""
    found = seen(tmp_path, script(SECOND, load=load))
    assert (found["misses"][-1] > 0) == rests
    assert (found["lights"][-1] & FAULT != 0) == rests


def test_a_stack_s_depth_is_what_was_written(tmp_path: Path) -> None:
    machine("native")
    library = tmp_path / "stack.so"
    subprocess.run([host.tool("gcc"), *host.FLAGS, "-shared", "-fPIC", str(DAISY / "stack.c"),
                    "-o", str(library)], check=True)
    code = ctypes.CDLL(str(library))
    code.stack_deepest.restype = ctypes.c_size_t
    words = (ctypes.c_uint32 * 1000)()
    at = [ctypes.byref(words, 4 * i) for i in (0, 900, 1000)]
    code.stack_paint(at[0], at[1])
    assert words[0] == words[899] != 0 == words[900], "above here it is in use"
    assert code.stack_deepest(at[0], at[2]) == 400
    words[100] = 0
    assert code.stack_deepest(at[0], at[2]) == 4 * 900
    words[0] = 1
    assert code.stack_deepest(at[0], at[2]) == 4 * 1000


@pytest.mark.parametrize("name", ["techno-tiny", "bach-daisy"])
def test_the_stack_of_a_cortex_m7_is_deep_enough(name: str, tmp_path: Path) -> None:
    """From the measuring of a model to its playing; 2 KiB are left for the board's interrupts."""
    small = shipped_native(name, "q16x8")
    assert small is not None
    _, facts = play("m7", tmp_path, stored(small.read_bytes()), blocks=60)
    room = int((HERE.parent.parent / "firmware/daisy/places.h").read_text()
               .partition("PLACES_STACK_BYTES (")[2].partition(" ")[0]) * 1024
    assert room == 16 * 1024
    assert 4096 < facts["stack"] < room - 2048
