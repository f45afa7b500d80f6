"""A drum voice that gates strike has a clock of frames of its own: any gate is heard a constant
time later, and what is heard is the offline model's stroke, bit by bit, in blocks of any size."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.boards.board import board_named
from engine.boards.fit import fit
from engine.boards.work import task_of_file
from engine.models.registry import build
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.spectrogram_gan_config import ATTRIBUTES
from engine.players.native_model import NativeFile, NativeModel
from engine.scores.strokes import made_up
from export.native.export import compile_programs, lower
from export.quantise.scales import cast, find_scales, find_weights
from firmware.host import build as host
from firmware.simulate_rack import Racked, events, play_rack
from tests.export.small_models import SMALL
from tests.firmware.common_build import SANITIZED, driver
from tests.firmware.machines import assert_same_bits, machine
from tests.firmware.test_common_safety import execute

FloatArray = NDArray[np.float32]
RATE = 48000
FADE, LIMITER = 96, 31  # samples: of what rang before; that the limiter looks ahead
SEEDS = 7919  # from a stroke to the next
FFT, HOP = 256, 64
MAP = "way source\ngate1 latent 1 smooth=0\nvelocity latent 2 smooth=0\nkey latent 1 smooth=0\n"
GATES = (9600, 13301, 17017, 20000, 20333, 30001)  # of which none cuts off a burst


@cache
def voice(dtype: str = "float32", rate: int = RATE) -> bytes:
    """A small one, every weight random, at the board's rate unless another is said."""
    torch.manual_seed(0)
    shape = {**SMALL["spectrogram_gan"]["drums"], "sample_rate_hz": rate, "fft": FFT, "hop": HOP}
    model = build("spectrogram_gan", shape).eval()
    assert isinstance(model, SpectrogramGAN)
    described = model.describe("voice")
    described = replace(described, methods={"generate": described.methods["generate"]})
    programs = lower({"generate": model.graph("generate")}, described)
    if dtype == "q16x8":
        cast(programs)
        signals = {"generate": torch.from_numpy(
            made_up(model.config.labels, model.config.groups, 200, 1))}
        asked = {a.name: torch.tensor([float(a.default)]) for a in ATTRIBUTES}
        find_weights(programs, asked, signals, find_scales(programs, asked, signals))
    return compile_programs(programs, described)


def played(gates: tuple[int, ...], target: str = "native", seconds: float = 0.8,
           data: bytes | None = None, **options: Any) -> Racked:
    script = events([(at / RATE, "gate", 0, high) for gate in gates
                     for at, high in ((gate, 1.0), (gate + 9, 0.0))], RATE)
    run = play_rack(machine(target), [data or voice()], maps=[MAP], script=script,
                    audio=np.zeros((1, round(seconds * RATE)), np.float32), **options)
    assert not run.refused
    return run


def onset(run: Racked) -> int:
    """From a gate to its sound, without the limiter."""
    return int(run.slots[0]["strike_samples"]) - LIMITER


def stroke(number: int, data: bytes, rows: int = 300) -> FloatArray:
    """The offline model's, from its onset on."""
    model = NativeModel(NativeFile.from_bytes(data), isa="ref")
    model.set("seed", np.array([SEEDS * number], np.float32))
    x = np.zeros((1, len(model.methods["generate"].in_labels), rows), np.float32)
    x[0, 0, 0], x[0, 1] = 1, 1  # the gate, the velocity that a mapping rests at
    return model.process("generate", x)[0, 0, FFT:]


@pytest.mark.parametrize("block", [1, 48, 100, 128, 1000])
@pytest.mark.parametrize("burst", [0, 40000])
def test_a_gate_anywhere_is_heard_a_constant_time_later(block: int, burst: int) -> None:
    late = set()
    for number in range(5):
        at = 9600 + 3701 * number
        run = played((at,), block=block, burst=burst, seconds=0.6)
        late.add(int(np.flatnonzero(run.audio[0])[0]) - at)
    assert late == {onset(run) + LIMITER}
    assert (onset(run) == FADE) is (burst == 0)


@pytest.mark.parametrize("dtype", ["float32", "q16x8"])
@pytest.mark.parametrize(("block", "burst"), [
    (1, 0), (48, 0), (100, 40000), (128, 0), (1000, 40000)])
def test_strokes_are_those_of_the_offline_model_to_the_bit(dtype: str, block: int, burst: int
                                                           ) -> None:
    data = voice(dtype)
    run = played(GATES, data=data, block=block, burst=burst, wet=1)
    late, heard = onset(run), 0
    for number, (gate, following) in enumerate(pairwise((*GATES, len(run.audio[0])))):
        wanted = stroke(number, data)[: following - gate - late]
        got = run.audio[0, gate + late :][: len(wanted)]
        assert_same_bits(got, wanted, f"stroke {number}")
        heard += len(got)
        assert not run.audio[0, gate + FADE : gate + late].any()
    assert heard > 20000


def test_any_block_plays_the_same() -> None:
    first = played(GATES, block=16, wet=1).audio[0, 9000:]
    for block in (1, 48, 100, 128, 1000):
        assert_same_bits(played(GATES, block=block, wet=1).audio[0, 9000:], first, str(block))


@pytest.mark.parametrize("target", ["aarch64", "m7"])
@pytest.mark.parametrize("dtype", ["float32", "q16x8"])
def test_the_same_bits_everywhere(target: str, dtype: str) -> None:
    options: dict[str, Any] = {"data": voice(dtype), "block": 48, "burst": 40000, "ahead": 1,
                               "seconds": 0.5}
    wanted, got = (played(GATES, where, **options) for where in ("native", target))
    assert_same_bits(got.audio, wanted.audio, target)
    assert got.status.tobytes() == wanted.status.tobytes()


@pytest.mark.parametrize("rate", [32000, 44100])
def test_at_another_rate_it_is_as_constant(rate: int) -> None:
    """The converter between rates begins anew with the stroke."""
    data, heard = voice(rate=rate), []
    for at in (9600, 9703, 11011):
        run = played((at,), data=data, block=48, wet=1, seconds=0.4)
        heard.append(run.audio[0, at + FADE : at + FADE + 5000])
    assert_same_bits(heard[1], heard[0])
    assert_same_bits(heard[2], heard[0])
    first = int(np.flatnonzero(np.abs(heard[0]) > 1e-3 * np.abs(heard[0]).max())[0])
    assert abs(first + FADE + LIMITER - int(run.slots[0]["strike_samples"])) < 40  # half a filter


def test_what_rings_dies_away_without_a_corner() -> None:
    """No sharper one than the stroke itself has there."""
    for after in (400, 1037, 2400):
        cut = played((9600, 9600 + after), block=48, wet=1).audio[0].astype(np.float64)
        whole = played((9600,), block=48, wet=1).audio[0].astype(np.float64)
        at = 9600 + after
        assert np.array_equal(cut[:at], whole[:at])
        corners, own = (np.abs(np.diff(y, 2)) for y in (cut, whole))
        assert corners[at - 2 : at + FADE - 2].max() < 1.1 * own[at - FFT : at + FADE].max()
        assert np.abs(cut[at : at + FADE]).max() > 1e-4


def test_a_gate_in_a_burst_waits_for_its_onset() -> None:
    """Of two that wait the later one is played."""
    alone = played((9600,), block=48, burst=40000, wet=1)
    late = onset(alone)
    assert late > 200
    run = played((9600, 9700, 9750), block=48, burst=40000, wet=1)
    y = run.audio[0]
    assert not y[9600 + FADE + late : 9600 + 2 * late].any()  # as long as it is made
    wanted = stroke(1, voice())[:5000]
    assert_same_bits(y[9600 + 2 * late :][:5000], wanted)


@pytest.mark.parametrize("dtype", ["float32", "q16x8"])
def test_a_stroke_that_was_made_ahead_is_heard_at_once(dtype: str) -> None:
    """And is the same one. Of a gate that comes too soon, or with what has moved, it is not."""
    data = voice(dtype)
    gates = (9600, 13301, 13801, 20000)
    options: dict[str, Any] = {"data": data, "burst": 20000, "ahead": 1, "wet": 1}
    run = played(gates, block=48, **options)
    late = onset(run)
    assert int(run.slots[0]["ahead_samples"]) - LIMITER == FADE
    assert late > 3 * FADE
    for number, gate in enumerate(gates):
        at = gate + (late if gate == 13801 else FADE)
        wanted = stroke(number, data)[: 400 if gate == 13301 else 3000]
        assert np.array_equal(run.audio[0, at : at + len(wanted)], wanted), number
        assert np.abs(wanted).max() > 1e-3
        assert not run.audio[0, gate + FADE : at].any()
    for block in (16, 128, 1000):
        again = played(gates, block=block, **options)
        assert np.array_equal(again.audio[0, 9600:], run.audio[0, 9600:]), block


def test_what_moved_with_its_gate_is_not_what_was_made_ahead() -> None:
    late, heard = 0, {}
    for moved in ("velocity", "attribute", "nothing"):
        script = [(0.0, "knob", 0, 0.2), (0.0, "knob", 1, 0.5), (0.3, "gate", 0, 1.0)]
        if moved != "nothing":
            script.append((0.3, "knob", ("velocity", "attribute").index(moved), 1.0))
        run = play_rack(machine("native"), [voice()], block=48, burst=20000, ahead=1, wet=1, maps=[
            "way source\ngate1 latent 1 smooth=0\nknob1 latent 2 0 1 smooth=0\n"
            "knob2 attribute grain 0 2 smooth=0\n"], script=events(script, RATE), trace=False,
            audio=np.zeros((1, 30000), np.float32))
        assert not run.refused
        late = onset(run)
        heard[moved] = int(np.flatnonzero(run.audio[0])[0]) - round(0.3 * RATE)
    assert heard == {"velocity": late, "attribute": late, "nothing": FADE}


def test_fit_s_time_from_gate_to_sound_is_the_instrument_s(tmp_path: Path) -> None:
    path = tmp_path / "voice.tudor"
    for data in (voice(), voice("q16x8"), voice(rate=32000)):
        path.write_bytes(data)
        task = task_of_file(NativeFile(path))
        for board, block in (("daisy", 48), ("pi4", 128)):
            instrument = board_named(board).instrument
            assert instrument is not None
            found = fit(task, board)
            run = played((9600,), data=data, block=block, burst=instrument.burst_macs, seconds=0.3,
                         taps=instrument.taps)
            for key in ("strike_samples", "latency_samples"):
                assert int(run.slots[0][key]) == found.spread.strike_samples
            assert found.spread.slices == int(run.slots[0]["slices"])


def test_keys_strike_again_and_velocities_are_heard() -> None:
    def keys(*messages: tuple[float, int]) -> FloatArray:
        script = events([(at, "midi", 0, message) for at, message in messages], RATE)
        run = play_rack(machine("native"), [voice()], maps=[None], script=script, block=48,
                        audio=np.zeros((1, 30000), np.float32), wet=1)
        assert not run.refused
        return run.audio[0]

    one = keys((0.2, 0x90247F))
    again = keys((0.2, 0x90247F), (0.3, 0x90257F))  # the first key is still held
    soft = keys((0.2, 0x902420))
    late = round(0.3 * RATE)
    assert_same_bits(again[:late], one[:late])
    assert np.abs(again[late:] - one[late:]).max() > 1e-3
    assert np.abs(soft - one).max() > 1e-3
    assert np.array_equal(keys((0.2, 0x90247F), (0.21, 0x902501), (0.3, 0x802500))[late:],
                          keys((0.2, 0x90247F), (0.21, 0x902501))[late:])  # one is let go


def test_a_voice_rests_when_its_stroke_is_over_and_a_reset_silences_it() -> None:
    run = played((9600,), block=48, wet=1, seconds=0.9)
    assert np.abs(run.audio[0, 9600:12000]).max() > 1e-2
    assert not run.audio[0, -4800:].any()
    script = [(0.2, "gate", 0, 1.0), (0.25, "nan", 0, 0.0), (0.5, "gate", 0, 0.0),
              (1.5, "gate", 0, 1.0)]
    faulty = play_rack(machine("native"), [voice()], maps=[MAP], script=events(script, RATE),
                       audio=np.zeros((1, 2 * RATE), np.float32), block=48)
    assert int(faulty.facts["faults"]) == 1
    assert np.isfinite(faulty.audio).all()
    assert np.abs(faulty.audio[0, round(1.5 * RATE):]).max() > 1e-3  # and plays again


def test_two_sides_have_noise_of_their_own() -> None:
    run = play_rack(machine("native"), [voice()], maps=[MAP], channels=(2, 2), stereo="1", block=48,
                    script=events([(0.2, "gate", 0, 1.0)], RATE), wet=1,
                    audio=np.zeros((2, 20000), np.float32))
    left, right = run.audio[:, 9600 + FADE :]
    assert_same_bits(left[:4000], stroke(0, voice())[:4000])
    assert np.abs(left - right).max() > 1e-3


@pytest.mark.parametrize(("file", "old", "new"), [
    ("strike.c", "v->unheard = s->lead;", "v->unheard = s->lead - 1;"),
    ("strike.c", "v->onset = at + s->delay;", "v->onset = at + s->delay + 1;"),
    ("strokes.c", "is_first && r == 0 ? 1.0f", "is_first && r == 1 ? 1.0f"),
    ("strokes.c", "SEEDS * v->number", "SEEDS * (v->number + 1)")])
def test_a_planted_difference_is_seen(file: str, old: str, new: str, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "common"
    shutil.copytree(host.COMMON, folder)
    text = (folder / file).read_text()
    assert text.count(old) == 1, f"{file} has changed: plant the fault elsewhere"
    (folder / file).write_text(text.replace(old, new))
    monkeypatch.setattr(host, "COMMON", folder)
    small = replace(machine("native"), flags=("-DTUDOR_ONLY_SCALAR", "-O1"))
    run = play_rack(small, [voice()], maps=[MAP], block=48, wet=1,
                    script=events([(9621 / RATE, "gate", 0, 1.0)], RATE),
                    audio=np.zeros((1, 20000), np.float32))
    wanted = stroke(0, voice())[:5000]
    assert not np.array_equal(run.audio[0, 9621 + FADE :][:5000], wanted), "the fault went unseen"


def test_random_events_under_sanitizers_and_nothing_is_taken(tmp_path: Path) -> None:
    files = []
    for name, data in (("voice", voice()), ("slow", voice("q16x8", 32000))):
        files.append(tmp_path / name)
        files[-1].write_bytes(data)
    for seed, block in ((7, 48), (8, 256)):
        done = execute(driver("common_fuzz.c", *SANITIZED), "events", seed, 30_000, block, *files)
        assert done.returncode == 0, done.stderr[-3000:]
        facts = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
        assert facts["events"] == "30000"
    done = execute(driver("common_realtime.c"), 48, 5000, *files)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert dict(re.findall(r"(\w+)=(\d+)", done.stdout))["mallocs"] == "0"
