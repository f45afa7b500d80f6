"""tudor-module: the same sound as the instrument on every machine, nothing forbidden on its audio
path, broken models named, systemd told."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from common_models import vae, wire
from pi_build import driver, emulated, play, program, running, settings

from engine.presets import shipped_native
from firmware.host.build import TARGETS
from firmware.pi import package
from firmware.pi.status import lines, parse
from firmware.simulate_rack import play_rack

BLOCKS = 400


def noise(samples: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.standard_normal((samples, 2)) * 0.2 * 2**31).clip(-(2**31), 2**31 - 1).astype("<i4")


def as_ints(audio: np.ndarray) -> np.ndarray:
    """[channels, samples] as block_write makes it: to nearest, halves away from zero."""
    scaled = audio.astype(np.float64).T * 2.0**31
    return np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).clip(-(2.0**31), 2.0**31 - 1)


def assert_same(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    assert np.abs(wanted).max() > 1e6, "silence proves nothing"
    differ = np.flatnonzero((got != wanted).any(axis=1))
    assert differ.size == 0, f"{differ.size} of {len(got)} samples differ, first {differ[0]}"


def test_it_plays_what_the_instrument_plays(models: Path, tmp_path: Path) -> None:
    audio = noise(BLOCKS * 128)
    settings(tmp_path, models)
    got = play([str(program())], tmp_path, audio, BLOCKS)
    racked = play_rack(TARGETS["native"], [vae()], audio=(audio.T / 2.0**31).astype(np.float32),
                       channels=(2, 2), block=128, overlap=1, trace=False)
    assert_same(got, as_ints(racked.audio))


@pytest.mark.parametrize("how", ["on", "auto"])
def test_a_mono_model_plays_each_side_by_itself(how: str, models: Path, tmp_path: Path) -> None:
    """auto, where nothing is timed and no block comes late."""
    audio = noise(BLOCKS * 128)
    settings(tmp_path, models, stereo=how)
    got = play([str(program())], tmp_path, audio, BLOCKS)
    racked = play_rack(TARGETS["native"], [vae()], audio=(audio.T / 2.0**31).astype(np.float32),
                       channels=(2, 2), block=128, overlap=1, trace=False, stereo=1)
    assert_same(got, as_ints(racked.audio))
    assert np.abs(racked.audio[0] - racked.audio[1]).max() > 1e-3


def test_how_often_a_model_is_played_is_told() -> None:
    told = {"slot": 1, "way": "bend", "models": {1: "a"}, "notes": [], "instances": 2}
    assert ", as bend, in stereo: two instances" in lines(told)[0]
    assert ", as bend, once: two instances take too long" in lines(
        {**told, "instances": 1, "narrowed": 1})[0]
    assert lines({**told, "instances": 1, "narrowed": 0})[0].endswith(", as bend")


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_an_arm_plays_the_same_bits(models: Path, tmp_path: Path, cpu: str) -> None:
    preset = shipped_native("techno-tiny")
    assert preset is not None
    (models / "0-tiny.tudor").write_bytes(preset.read_bytes())
    settings(tmp_path, models, period=256)
    audio = noise(200 * 256)
    wanted = play([str(program())], tmp_path, audio, 200, 256)
    words, _ = emulated(program("arm64"), cpu)
    got = play(words, tmp_path, audio, 200, 256)
    assert_same(got, wanted)


def facts(*words: object) -> dict[str, str]:
    """What the audio driver says."""
    binary = driver("pi_audio.c")
    done = subprocess.run([str(binary), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr}"
    return dict(re.findall(r"(\w+)=(.*?)(?= \w+=|\n)", done.stdout))


def test_nothing_forbidden_happens_between_blocks(models: Path) -> None:
    told = facts(models / "a.tudor", 2000)
    assert (told["played"], told["mallocs"], told["locks"]) == ("2000", "0", "0")
    assert int(told["heard"]) == 2000 * 256
    assert int(told["peak"]) > 1 << 24


@pytest.mark.parametrize(("plant", "caught"), [("malloc", "mallocs"), ("lock", "locks")])
def test_what_is_forbidden_would_be_counted(models: Path, plant: str, caught: str) -> None:
    assert int(facts(models / "a.tudor", 50, f"plant={plant}")[caught]) >= 50


def test_a_system_call_would_end_the_driver(models: Path) -> None:
    binary = driver("pi_audio.c")
    done = subprocess.run([str(binary), str(models / "a.tudor"), "50", "plant=syscall"])
    assert done.returncode == -31  # SIGSYS


def test_a_card_that_gives_its_memory_in_pieces_sounds_the_same(models: Path) -> None:
    whole = facts(models / "a.tudor", 300)
    for piece in (1, 37, 100):
        told = facts(models / "a.tudor", 300, f"odd={piece}")
        assert (told["digest"], told["played"]) == (whole["digest"], "300")


def test_a_late_block_is_counted_and_played_on(models: Path) -> None:
    told = facts(models / "a.tudor", 300, "xrun=100")
    assert (told["xruns"], told["misses"], told["played"], told["why"]) == ("1", "1", "300", "")


def test_a_card_that_is_gone_ends_the_program_with_its_reason(models: Path) -> None:
    told = facts(models / "a.tudor", 300, "gone=100")
    assert told["played"] == "100"
    assert told["why"] == "memory: stopped: the card is gone"


@pytest.mark.parametrize(("tick", "buffer"), [(128, 256), (192, 512), (256, 512), (400, 1024)])
def test_a_card_that_looks_at_its_clock_rarely_gets_a_larger_buffer(
        models: Path, tick: int, buffer: int) -> None:
    """Two blocks of 128 are what is asked for: too little where 192 pass at once, as they do with
    snd-aloop on a kernel of 250 ticks a second. What it plays then is what any card plays."""
    told = facts(models / "a.tudor", 3000, f"tick={tick}")
    assert (told["played"], told["buffer"], told["why"]) == ("3000", str(buffer), "")
    assert (int(told["xruns"]) > 0) == (buffer > 256)
    assert int(told["xruns"]) < 40, "it goes on beginning anew"
    assert told["open"] == "2"


def test_a_card_that_is_never_late_again_keeps_its_buffer(models: Path) -> None:
    told = facts(models / "a.tudor", 300, "tick=128", "xrun=100")
    assert (told["xruns"], told["buffer"], told["played"]) == ("1", "256", "300")


def test_a_model_that_is_too_slow_is_no_fault_of_the_card(models: Path) -> None:
    """A block takes 3 ms of its 2.7: a larger buffer would only put off the next time."""
    told = facts(models / "a.tudor", 60, "tick=192", "plant=slow")
    assert (told["buffer"], told["played"]) == ("256", "60")
    assert int(told["xruns"]) > 6


def test_a_card_that_wakes_for_nothing_ends_the_program(models: Path) -> None:
    """Else the audio thread would go round for ever, at real-time priority."""
    told = facts(models / "a.tudor", 300, "tick=128", "early")
    assert told["played"] == "10"
    assert told["why"] == "memory: stopped: another error"
    assert int(told["waits"]) > 0


def chosen(codec: str, *cards: str) -> tuple[str, str, str, list[str]]:
    """Card, capture and why not, and the notes."""
    done = subprocess.run([str(driver("pi_audio.c")), "cards", codec, *cards], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, *notes = done.stdout.splitlines()
    found = re.fullmatch(r"card=(.*) capture=(.*) why=(.*)", first)
    assert found is not None
    return found[1], found[2], found[3], [note.removeprefix("note ") for note in notes]


KEYS = "Keystep:Arturia KeyStep 37:-"  # a keyboard: MIDI only
CAMERA = "C920:HD Pro Webcam C920:c"
INJECTOR = "audioinjectorpi:audioinjector-pi-soundcard:pc"
SCREEN = "vc4hdmi0:vc4-hdmi-0:p"
SYNTH = "UAC1:A synth with sound:pc"
PLAYER = "sndrpihifiberry:snd_rpi_hifiberry_dac:p"


@pytest.mark.parametrize(("codec", "cards", "card"), [
    ("", [INJECTOR], 0),
    ("", [KEYS, INJECTOR], 1),
    ("", [CAMERA, INJECTOR], 1),
    ("", [SCREEN, KEYS, CAMERA, PLAYER], 3),
    ("", [PLAYER, SYNTH], 1),  # unknown: what also records
    ("audioinjectorpi", [SYNTH, INJECTOR], 1),
    ("IQaudIOCODEC,audioinjectorpi", [KEYS, SYNTH, CAMERA, INJECTOR], 3),
    ("sndrpihifiberry", [SYNTH, PLAYER], 1),
    ("audioinjectorpi", [KEYS, SYNTH, INJECTOR, "late=3"], 2),  # its driver was slower
])
def test_the_codec_is_played_on_whatever_else_is_plugged_in(codec: str, cards: list[str],
                                                            card: int) -> None:
    name, capture, why, notes = chosen(codec, *cards)
    assert (name, why, notes) == (f"hw:{card}", "", [])
    assert capture == f"hw:{card}"


def test_a_codec_that_does_not_come_is_told_and_another_card_plays() -> None:
    name, _, why, notes = chosen("audioinjectorpi", KEYS, SYNTH)
    assert (name, why) == ("hw:1", "")
    assert notes == ["codec = audioinjectorpi: did not come; hw:1 is played on instead"]


def test_without_a_card_that_plays_those_that_are_there_are_named() -> None:
    _, _, why, _ = chosen("", KEYS, CAMERA)
    assert why == ("no sound card that plays was found (only Keystep, C920); is the codec seated, "
                   "and its overlay in config.txt?")


def test_a_second_device_that_plays_is_found() -> None:
    assert chosen("", "odd:odd card:cP")[:2] == ("hw:0,1", "hw:0")


def test_broken_models_are_skipped_and_named(models: Path, tmp_path: Path) -> None:
    whole = (models / "a.tudor").read_bytes()
    (models / "B.TUDOR").write_bytes(whole[: len(whole) // 2])
    (models / "c.tudor").write_bytes(b"")
    (models / "._a.tudor").write_bytes(b"left by a computer")
    (models / "d.tudor").write_bytes(wire())
    (models / "d.map").write_text("knob1 nonsense\n")
    (models / "e.tudor").write_bytes(wire())
    (models / "e.map").mkdir()  # stands for whatever cannot be read
    config = settings(tmp_path, models)
    with running(tmp_path, config) as told:
        found = parse(told)
    assert found["models"] == {1: "a"}
    skipped = [note.split(" is skipped: ")[0] for note in found["notes"] if "skipped" in note]
    assert skipped == ["B.TUDOR", "c.tudor", "d.tudor", "e.tudor"]
    assert "e.tudor is skipped: its mapping e.map: Is a directory" in found["notes"]
    shown = "\n".join(lines(found))
    assert "slot 1: a" in shown
    assert "48000 Hz, blocks of 128, 2 in, 2 out" in shown
    assert "120.0 beats a minute, of its own" in shown
    held = "\n".join(lines({**found, "clocked": 1, "frozen": 1, "looping": 1}))
    assert "120.0 beats a minute, follows a clock, frozen, looping" in held


def test_systemd_is_told_when_it_plays_and_that_it_still_does(models: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, models)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(300)
        with running(tmp_path, config, NOTIFY_SOCKET=str(tmp_path / "notify")):
            assert listener.recv(100).decode() == "READY=1\nWATCHDOG=1"
            assert listener.recv(100).decode() == "WATCHDOG=1"
        while (told := listener.recv(100).decode()) == "WATCHDOG=1":
            pass
        assert told == "STOPPING=1"


def test_without_a_card_it_says_so(tmp_path: Path) -> None:
    config = settings(tmp_path, tmp_path, device="hw:7")
    done = subprocess.run([str(program()), "--config", str(config)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("hw:7: cannot be opened")
    done = subprocess.run([str(program()), "--config", str(config), "--status"],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "does tudor-module run?" in done.stderr


def test_the_package_is_the_same_each_time(tmp_path: Path) -> None:
    program("arm64")
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    first = package.build_package(tmp_path / "x")
    second = package.build_package(tmp_path / "y")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert int(package.needed_libc(program("arm64")).split(".")[1]) <= 36  # Debian 12
