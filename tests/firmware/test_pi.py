"""tudor-module: the same sound as the instrument on every machine, nothing forbidden on its audio
path, controls read as the data sheets say, status told, mistakes named."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from common_models import vae, wire
from pi_build import alsa, driver, emulated, play, program, settings

from engine.presets import shipped_native
from firmware.host.build import TARGETS
from firmware.pi import build, package
from firmware.pi.status import lines, parse
from firmware.simulate_rack import play_rack
from nn_tudor.cli import main

BLOCKS = 400
WRAPPED = "-Wl," + ",".join(f"--wrap={name}" for name in (
    "open", "ioctl", "read", "write", "close", "fcntl", "module_push", "module_now"))


def noise(samples: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.standard_normal((samples, 2)) * 0.2 * 2**31).clip(-(2**31), 2**31 - 1).astype("<i4")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.tudor").write_bytes(vae())
    return folder


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


def controls(*words: object) -> list[str]:
    binary = driver("pi_controls.c", WRAPPED)
    done = subprocess.run([str(binary), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_converters_are_read_as_their_data_sheets_say() -> None:
    said = [line for line in controls("adc") if not line.startswith("lines")]
    pushes = [re.findall(r"kind (\d) source (\d) value (\S+) at (\d+)", line) for line in said]
    first = [(int(k), int(s), float(v), int(at)) for ((k, s, v, at),) in pushes[:4]]
    supply = 3.3 / 4.096 * 2047
    wanted = [(1, 0, 100 / 4095), (1, 1, 3600 / 4095), (2, 0, 1 - 2 * 2100 / 4095),
              (2, 1, 2 * 1200 / supply - 1)]
    for got, (kind, source, value) in zip(first, wanted, strict=True):
        assert got[:2] == (kind, source)
        assert got[2] == pytest.approx(value, abs=1e-5)
        assert got[3] == 1000 + 128
    # Only what has moved by a step is pushed again.
    assert [line.startswith("push") for line in said[4:9]] == [False, False, True, True, True]
    assert said[9] == "round"
    assert said[10] == "readings 16 errors 3"


def test_gates_and_lights_use_the_header_s_chip() -> None:
    said = controls("gpio")
    # input, both edges, pull-up; output
    assert said[0] == "lines 2 flags 0x134 debounce 200 of tudor-module: 17 27"
    assert said[1] == "lines 3 flags 0x8 debounce 0 of tudor-module: 24 16 23"
    assert said[2:6] == ["levels 1", "edge 17 0", "edge 27 0", "edge 17 1"]
    assert said[6:] == ["set 7 of 7", "set 0 of 7"]


def test_midi_becomes_events_stamped_a_block_ahead() -> None:
    said = controls("midi", "903c64f83c00f0010203f7b0017f")
    assert [re.search(r"at (\d+) midi (\w+)", line).groups() for line in said  # type: ignore[union-attr]
            if line.startswith("push")] == [("1128", "903c64"), ("1128", "903c00"),
                                            ("1128", "b0017f")]


def test_samples_come_back_from_each_format() -> None:
    said = controls("formats")
    wanted = {0: 2.0**31, 1: 2.0**23, 2: 2.0**15}
    for number, line in enumerate(said):
        values = [float(v) for v in line.split(": ")[1].split()]
        if number in wanted:
            step = 1 / wanted[number]
            assert values[:3] == pytest.approx([0.5, -1.0, 0.999999], abs=max(step, 1e-7))
            assert values[3] == pytest.approx(1 - step, abs=1e-7)
        else:
            assert values == pytest.approx([0.5, -1.0, 0.999999, 1.5], abs=1e-7)
    assert len(said) == 4


def test_the_settings_that_come_with_the_package_are_understood() -> None:
    said = controls("settings", build.HERE / "module.conf")
    assert said == ["device auto period 128 cpu -1 overload 95 knob1 0.0 cv1 0.4- gate1 17-"]


def test_the_settings_that_come_with_the_package_are_all_and_the_defaults() -> None:
    """Names, ranges and defaults of module.conf against settings.c."""
    source = (build.HERE / "settings.c").read_text()
    shipped = dict(re.findall(r"^(\w+) = ((?:[^#\n]|(?<! )#)*\S) *(?:#|$)",
                              (build.HERE / "module.conf").read_text(), re.MULTILINE))
    comments = dict(re.findall(r"^(\w+) = .*?# (.*)$", (build.HERE / "module.conf").read_text(),
                               re.MULTILINE))
    texts = re.findall(r" TEXT_KEY\((\w+)\),", source)
    numbers = re.findall(r'NUMBER_KEY\("(\w+)", (\w+), (\d+), (\d+)', source)
    assert len(texts) == 6
    assert len(numbers) == 10
    told = dict(re.findall(r'\.(\w+) = "?([^",\s]+)', source))
    for name, field in [*((t, t) for t in texts), *((n, f) for n, f, _, _ in numbers)]:
        assert shipped[name] == told[field].replace("AUTO", "auto"), name
    for name, _, least, most in numbers:
        if name not in ("cpu", "inputs", "outputs"):  # told in other words
            assert f"{least} to {most}" in comments[name], name


def test_flags_of_the_supply_are_found_on_every_pi(tmp_path: Path) -> None:
    assert controls("throttled", tmp_path) == ["-1"]
    for number, folder in enumerate(("soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware")):
        path = tmp_path / str(number) / folder
        path.mkdir(parents=True)
        (path / "get_throttled").write_text("50005\n")
        assert controls("throttled", tmp_path / str(number)) == [str(0x50005)]


def test_what_the_audio_thread_is_not_granted_is_told(models: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, models, cpu=63)
    if (os.cpu_count() or 1) > 63:
        pytest.skip("this machine has the core that none should have")
    with running(tmp_path, config) as told:
        for _ in range(50):
            if "note cpu" in told:
                break
            time.sleep(0.05)
            told = subprocess.run([str(program()), "--config", str(config), "--status"],
                                  capture_output=True, text=True, check=True).stdout
        checked = subprocess.run([str(program()), "--config", str(config), "--check", "1"],
                                 capture_output=True, text=True)
    assert "note cpu = 63: Invalid argument; the audio thread may run on any core" in told
    assert re.search("^WRONG  the program says +cpu = 63", checked.stdout, re.MULTILINE)


def test_settings_that_windows_wrote_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"\xef\xbb\xbfperiod = 64\r\ncpu = 2 # two\r\n")
    assert controls("settings", path)[0].startswith("device auto period 64 cpu 2 ")
    assert len(controls("settings", path)) == 1


def test_mistakes_in_the_settings_are_named_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text("period = 7\nperod = 128\nknob1 = adc1.0\nadc1 = mcp9999 /dev/x\ngate1 = 17\n"
                    "midi = of\n"
                    "device = " + "x" * 90 + "\njunk\ncv1=adc2.9\ncpu = auto\noverload = off\n")
    said = controls("settings", path)
    assert said[0] == ("device auto period 128 cpu -1 overload -2 knob1 -2.0 cv1 -2.0 gate1 -2")
    told = "\n".join(said[1:])
    for number, word in ((1, "period wants 16 to 4096"), (2, "perod is no setting"),
                         (4, "adc1 wants"), (5, "gate1 wants a pin"), (6, "midi wants on or off"),
                         (7, "device is too long"), (8, "junk wants"), (9, "cv1 wants a channel")):
        assert f":{number}: {word}" in told
    assert "knob1 reads adc1.0, which is not there" in told


def test_random_settings_never_crash(tmp_path: Path) -> None:
    binary = driver("pi_controls.c", WRAPPED, flags=(
        "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    text = (build.HERE / "module.conf").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(40):
        data = np.frombuffer(text, np.uint8).copy()
        at = rng.integers(0, data.size, 60)
        data[at] = rng.integers(0, 256, at.size)
        (tmp_path / "m").write_bytes(data.tobytes()[: rng.integers(1, data.size)])
        done = subprocess.run([str(binary), "settings", str(tmp_path / "m")], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_broken_models_are_skipped_and_named(models: Path, tmp_path: Path) -> None:
    whole = (models / "a.tudor").read_bytes()
    (models / "B.TUDOR").write_bytes(whole[: len(whole) // 2])
    (models / "c.tudor").write_bytes(b"")
    (models / "._a.tudor").write_bytes(b"left by a computer")
    (models / "d.tudor").write_bytes(wire())
    (models / "d.map").write_text("knob1 nonsense\n")
    config = settings(tmp_path, models)
    with running(tmp_path, config) as told:
        found = parse(told)
    assert found["models"] == {1: "a"}
    skipped = [note.split(" is skipped: ")[0] for note in found["notes"] if "skipped" in note]
    assert skipped == ["B.TUDOR", "c.tudor", "d.tudor"]
    shown = "\n".join(lines(found))
    assert "slot 1: a" in shown
    assert "48000 Hz, blocks of 128, 2 in, 2 out" in shown


class running:  # noqa: N801
    """tudor-module for the time of a block; gives its status, once it plays."""

    def __init__(self, folder: Path, config: Path, **surroundings: str) -> None:
        self.folder, self.config, self.surroundings = folder, config, surroundings

    def __enter__(self) -> str:
        (self.folder / "asound.conf").write_text(
            "pcm.filed { type null }\npcm.played { type null }\n")
        self.process = subprocess.Popen(
            [str(program()), "--config", str(self.config)], stderr=subprocess.PIPE, text=True,
            env={**alsa(self.folder), **self.surroundings})
        for _ in range(100):
            done = subprocess.run([str(program()), "--config", str(self.config), "--status"],
                                  capture_output=True, text=True)
            if done.returncode == 0 and not re.search(r"^blocks 0$", done.stdout, re.MULTILINE):
                return done.stdout
            time.sleep(0.05)
        self.process.kill()
        raise AssertionError(f"it does not play: {self.process.stderr.read()}")  # type: ignore

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(10) == 0


def test_systemd_is_told_when_it_plays_and_that_it_still_does(models: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, models)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
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


def test_check_finds_what_is_wrong(models: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, models)
    with config.open("a") as file:
        file.write("adc1 = mcp3208 /dev/none\nknob1 = adc1.0\n")
    with running(tmp_path, config):
        done = subprocess.run([str(program()), "--config", str(config), "--check", "1"],
                              capture_output=True, text=True)
    assert done.returncode == 1
    told = {line[7:].split("  ")[0].strip(): line[:5] for line in done.stdout.splitlines()}
    # A card that is none has no clock; nothing answers at the converter's place.
    assert told["the card runs"] == "WRONG"
    assert told["knob1"] == "WRONG"
    assert told["models"] == "ok   "
    assert told["xruns"] == "ok   "
    assert "adc1: /dev/none: No such file" in done.stdout


def test_check_is_told_to_scripts_and_at_once_where_nothing_runs(
        models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    config = settings(tmp_path, models)
    path = tmp_path / "bin" / "tudor-module"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {program()} --config {config} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")

    def checked(*words: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["module", "check", "--seconds", *words])
        assert ended.value.code == 1
        return capsys.readouterr()

    with running(tmp_path, config):
        told, _ = checked("1", "--json")
        plain, _ = checked("1")
    found = json.loads(told)
    checks = {check["what"]: check for check in found["checks"]}
    assert len(checks) == len(found["checks"]) == len(plain.splitlines()) - 2
    assert found["wrong"] == sum(not check["ok"] for check in found["checks"]) == 1
    assert not checks["the card runs"]["ok"]  # a card that is none has no clock
    assert checks["the card runs"]["detail"].endswith("samples per second, 48000 wanted")
    assert checks["models"] == {"what": "models", "ok": True, "detail": "loaded"}
    began = time.monotonic()
    told, said = checked("20", "--json")
    assert time.monotonic() - began < 10
    assert told == ""
    assert said.startswith("error: ")
    assert said.strip().endswith("does tudor-module run?")
    assert said.count("\n") == 1


# Controls of the kernel's drivers, and their last step: sound/soc/codecs/wm8731.c and da7213.c,
# the jacks' of sound/soc/bcm/iqaudio-codec.c. A mixer's begin with its own name.
WM8731 = {"Master Playback Volume": 127, "Capture Volume": 31, "Line Capture Switch": 1,
          "Output Mixer HiFi Playback Switch": 1}
DA7213 = {"Aux Volume": 63, "Mixin PGA Volume": 15, "ADC Volume": 127, "DAC Volume": 127,
          "Headphone Volume": 63, "Aux Switch": 1, "Mixin PGA Switch": 1, "ADC Switch": 1,
          "Headphone Switch": 1, "Mixin Left Aux Left Switch": 1, "Mixin Right Aux Right Switch": 1,
          "Mixout Left DAC Left Switch": 1, "Mixout Right DAC Right Switch": 1,
          "AUX Jack Switch": 1, "HP Jack Switch": 1}
CARDS = {"audioinjectorpi": WM8731, "sndrpiproto": WM8731, "Zero": DA7213, "IQaudIOCODEC": DA7213}


def test_codecs_that_wake_up_silent_are_switched_on(tmp_path: Path) -> None:
    """A card of each kind, one that needs nothing; then the program runs, also without amixer."""
    for number, card in enumerate([*CARDS, "Headphones"]):
        folder = tmp_path / f"proc/asound/card{number}"
        folder.mkdir(parents=True)
        (folder / "id").write_text(f"{card}\n")
    for path, text in (("usr/bin/tudor-module", 'echo "plays $*"'),
                       ("bin/amixer", f'echo "$@" >>{tmp_path}/calls; exit 1')):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / path).chmod(0o755)
    (tmp_path / "bin/grep").symlink_to(shutil.which("grep") or "/bin/grep")

    def started(folders: str) -> str:
        return subprocess.run(["/bin/sh", str(build.HERE / "start"), "--blocks", "3"], check=True,
                              capture_output=True, text=True,
                              env={"TUDOR_ROOT": str(tmp_path), "PATH": folders}).stdout

    def told() -> dict[str, dict[str, str]]:
        """What each card was set to, in order."""
        assert started(str(tmp_path / "bin")) == "plays --blocks 3\n"
        found: dict[str, dict[str, str]] = {}
        for call in (tmp_path / "calls").read_text().splitlines():
            card, name, value = re.findall(r"^-q -c (\w+) cset name='(.*)' (\w+)$", call)[0]
            found.setdefault(card, {})[name] = value
        (tmp_path / "calls").unlink()
        return found

    first = told()
    assert first.keys() == CARDS.keys()
    for card, values in first.items():
        assert values.keys() == CARDS[card].keys(), card
        for name, value in values.items():
            assert value == "on" if CARDS[card][name] == 1 else 0 < int(value) <= CARDS[card][name]
        switched = [value == "on" for value in values.values()]
        assert switched == sorted(switched), "loud before the levels are set"
    # 0 dB: their drivers count from -121 dB and -34.5 dB in steps of 1 dB and 1.5 dB,
    # from -57 dB in steps of 1 dB, and from -78 dB at step 8 on by 0.75 dB.
    assert int(first["sndrpiproto"]["Master Playback Volume"]) - 121 == 0
    assert int(first["sndrpiproto"]["Capture Volume"]) * 1.5 - 34.5 == 0
    assert int(first["Zero"]["Headphone Volume"]) - 57 == 0
    assert (int(first["Zero"]["DAC Volume"]) - 8) * 0.75 - 78 == 0
    # Who has stored levels keeps them.
    (tmp_path / "var/lib/alsa").mkdir(parents=True)
    (tmp_path / "var/lib/alsa/asound.state").write_text("state.Zero {\n\tcontrol.1 {\n")
    second = told()
    assert second["Zero"].keys() == {name for name, last in DA7213.items() if last == 1}
    assert {**second, "Zero": first["Zero"]} == first
    assert started("/nothing") == "plays --blocks 3\n"
    assert not (tmp_path / "calls").exists()


def test_the_package_is_the_same_each_time(tmp_path: Path) -> None:
    program("arm64")
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    first = package.build_package(tmp_path / "x")
    second = package.build_package(tmp_path / "y")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert int(package.needed_libc(program("arm64")).split(".")[1]) <= 36  # Debian 12
