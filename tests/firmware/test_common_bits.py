"""One script of knobs, gates, notes, slots and faults: the same bits on x86, aarch64, Cortex-M7."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.host import build
from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_models import FloatArray, coder, generator, vae, wire
from tests.firmware.machines import assert_same_bits, machine

RATE = 48000
MAPS = [None, "way source\nknob1 walk\nknob2 rate 0 8\nnote jump\ncv1 latent 1 curve=s\n"
        "knob3 depth cv1 -1 0.5\n",
        "way effect\nknob1 wet\nknob3 latent 2\ncv2 spread 1 mode=set\n"
        "knob2 attribute temperature\ngate1 clock 4\ngate2 tap\nknob4 tempo\n",
        "way bend\nknob4 swap\ngate1 freeze\ngate5 record mode=toggle at=0.5\ncv1 latent 1\n"
        "knob5 depth cv1\ncv2 depth cv3 0 1\ncv3 latent 3\n"
        "knob1 latent 2\nbeat jump chance=0.5\nknob2 walk\nknob3 rate unit=beat\nmeter 3\n",
        None]


def models() -> list[bytes]:
    """Four families of files, three sample rates."""
    return [vae(), coder(6, 32), vae(16000, 32, seed=2), coder(4, 16, 44100), generator()]


def script(seconds: float, seed: int = 0) -> NDArray[np.void]:
    """A few controls a second of every kind, every slot in turn, some faults."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, str, int, float]] = []
    for _ in range(round(12 * seconds)):
        kind = ("knob", "cv", "gate", "midi")[rng.integers(4)]
        value = float(rng.uniform(-1, 1)) if kind == "cv" else float(rng.uniform())
        if kind == "midi":
            value = float(int(rng.choice([0x90, 0x80, 0xB0, 0xD0, 0xE0])) << 16
                          | int(rng.integers(128)) << 8 | int(rng.integers(128)))
        rows.append((float(rng.uniform(0, seconds)), kind, int(rng.integers(8)), value))
    clock = np.arange(0.2, seconds, 60 / 172 / 24)
    clock += rng.uniform(-1e-3, 1e-3, clock.size)
    rows += [(float(at), "midi", 0, 0xF80000) for at in clock]
    rows += [(float(at), "midi", 0, 0xFA0000) for at in np.arange(0.19, seconds, 5.7)]
    rows += [(at + off, "tempo", 0, tempo) for at in np.arange(3.1, seconds, 9.0)
             for off, tempo in ((0.0, 96.0), (0.5, 0.0))]
    rows += [(0.7 * i, "select", i % 5, 0.0) for i in range(1, round(seconds / 0.7))]
    rows += [(at, "nan", 0, 0.0) for at in np.arange(1.1, seconds, 3.3)]
    rows += [(at, "load", 0, load) for at in np.arange(2.0, seconds, 6.0)
             for at, load in ((at, 1.2), (at + 0.1, 0.4))]
    return events(rows, RATE)


def run(target: str, seconds: int, **options: int) -> Racked:
    return play_rack(machine(target), models(), maps=MAPS, seconds=seconds, channels=(2, 2),
                     script=script(seconds), rate=RATE, **options)


@pytest.mark.parametrize(("block", "stereo"), [(48, 0), (256, 0), (48, 2)])
def test_a_short_script_gives_the_same_bits_everywhere(block: int, stereo: int) -> None:
    """stereo 2: auto, which the script's overloads take back."""
    wanted = run("native", 4, block=block, overlap=1, stereo=stereo)
    assert wanted.refused == ()
    assert set(wanted.status["slot"]) == {0, 1, 2, 3, 4}
    assert set(wanted.status["state"]) >= {1, 2, 4}
    assert int(wanted.facts["faults"]) > 0
    assert set(wanted.status["streams"]) == ({1, 2} if stereo else {1})
    for target in ("aarch64", "m7"):
        got = run(target, 4, block=block, overlap=1, stereo=stereo)
        assert_same_bits(got.audio, wanted.audio, target)
        assert got.status.tobytes() == wanted.status.tobytes(), target


@pytest.mark.slow
@pytest.mark.parametrize(("block", "overlap"), [(48, 0), (128, 1)])
def test_a_minute_gives_the_same_bits_everywhere(block: int, overlap: int) -> None:
    digests = {}
    for target in ("native", "aarch64", "m7"):
        played = play_rack(machine(target), models(), maps=MAPS, seconds=60, channels=(2, 2),
                           script=script(60), rate=RATE, block=block, overlap=overlap, digest=True,
                           trace=False)
        digests[target] = played.digests
        assert int(played.facts["overloads"]) > 0
    assert len(digests["native"]) == len(set(digests["native"])) == 60
    assert digests["aarch64"] == digests["native"]
    assert digests["m7"] == digests["native"]


@cache
def played_small() -> FloatArray:
    """Of a build that is compiled in seconds."""
    small = replace(machine("native"), flags=("-DTUDOR_ONLY_SCALAR", "-O1"))
    return play_rack(small, models(), maps=MAPS, seconds=3, channels=(2, 2), script=script(3),
                     block=48, rate=RATE).audio


@pytest.mark.parametrize(("file", "old", "new"), [
    ("walk.c", "from + (to - from) * smooth_step(part)", "from + (to - from) * part"),
    ("resample.c", "flushed((a + b) + (c + d))", "flushed(((a + b) + c) + d)"),
    ("output.c", "(now - before) + m->dc_keep * y", "now - before + 0.99995f * m->dc_keep * y"),
    ("controls.c", "if (ahead < future) break;", "if (ahead < future / 20000) break;"),
    ("slots.c", "if (m->crossed == full) take_over(m);",
     "if (m->crossed + block >= full) take_over(m);"),
])
def test_a_planted_difference_is_seen(
    file: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = played_small()
    folder = tmp_path / "common"
    shutil.copytree(build.COMMON, folder)
    text = (folder / file).read_text()
    assert text.count(old) == 1, f"{file} has changed: plant the fault elsewhere"
    (folder / file).write_text(text.replace(old, new))
    monkeypatch.setattr(build, "COMMON", folder)
    got = played_small.__wrapped__()
    assert got.shape == wanted.shape
    assert not np.array_equal(got, wanted), "the fault went unseen"


def test_the_same_sound_in_any_block() -> None:
    """Blocks change when controls and faults arrive, not what a model plays."""
    audio = np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32)
    outs = []
    for block in (16, 48, 64, 100, 512):
        played = play_rack(machine("native"), [wire(16)], maps=["way effect"], audio=audio * 0.1,
                           block=block)
        late = int(played.facts["latency_samples"])
        outs.append(played.audio[0, RATE // 2 + late : RATE // 2 + late + 10000])
    for out in outs[1:]:
        assert np.abs(out - outs[0]).max() < 1e-5
