"""tudor-module's settings and controls: as file and data sheets say, and mistakes named."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pi_build import driver

from firmware.pi import build

WRAPPED = "-Wl," + ",".join(f"--wrap={name}" for name in (
    "open", "ioctl", "read", "write", "close", "fcntl", "module_push", "module_now",
    "module_read_status"))


def controls(*words: object) -> list[str]:
    binary = driver("pi_controls.c", WRAPPED)
    done = subprocess.run([str(binary), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_converters_are_read_as_their_data_sheets_say() -> None:
    said = [line for line in controls("adc") if not line.startswith("lines")]
    pushes = [re.findall(r"kind (\d) source (\d) value (\S+) at (\d+)", line) for line in said]
    first = [(int(k), int(s), float(v), int(at)) for ((k, s, v, at),) in [*pushes[:3], pushes[4]]]
    supply = 3.3 / 4.096 * 2047
    wanted = [(1, 0, 100 / 4095), (1, 1, 3600 / 4095), (2, 0, 1 - 2 * 2100 / 4095),
              (2, 1, 2 * 1200 / supply - 1)]
    for got, (kind, source, value) in zip(first, wanted, strict=True):
        assert got[:2] == (kind, source)
        assert got[2] == pytest.approx(value, abs=1e-5)
        assert got[3] == 1000 + 128
    # An ADS1015 has one round for each input. Only what has moved is pushed again: a CV whose
    # mean has.
    assert [line.startswith("push") for line in said] == [
        *[True] * 3, False, True, False, *[True] * 3, False, *[True] * 2, False, False]
    assert said[-1] == f"readings {5 * 3 + 4} errors 3"


@pytest.mark.parametrize(("looks", "readings"), [(1, 39), (3, 13), (1000, 3)])
def test_an_ads1015_is_asked_whether_it_is_done(looks: int, readings: int) -> None:
    """Read too early, it would give the input before. One that never is done is an error."""
    said = controls("sweep", looks)
    supply = 3.3 / 4.096 * 2047
    wanted = {("1", "1"): 100, ("1", "2"): 500, ("2", "2"): 900, ("2", "1"): 1300}
    got = {(k, s): float(v) for line in said if line.startswith("push")
           for k, s, v in re.findall(r"kind (\d) source (\d) value (\S+) at", line)}
    if looks > 100:
        assert got == {}
        assert said[-1] == f"readings {readings} errors {readings}"
        return
    assert said[-1] == f"readings {readings} errors 0"
    assert got.keys() == wanted.keys()
    for (kind, source), value in got.items():
        reading = wanted[kind, source] / supply
        assert value == pytest.approx(2 * reading - 1 if kind == "2" else reading, abs=1e-5)


def test_an_ads1115_gives_sixteen_bits() -> None:
    said = [line for line in controls("ads1115") if line.startswith(("push", "compl"))]
    supply = 3.3 / 4.096 * 32767
    values = [float(re.findall(r"value (\S+)", line)[0]) for line in said[:-1]]
    assert values == pytest.approx([26399 / supply, 1 - 2 * 13205 / supply], abs=1e-5)
    assert said[-1] == "complaints 0"


def test_gates_and_lights_use_the_header_s_chip() -> None:
    said = controls("gpio")
    # input, both edges, pull-up, nothing asked of the kernel's debouncing; output
    assert said[0] == "lines 2 flags 0x134 attributes 0 of tudor-module: 17 27"
    assert said[1] == "lines 2 flags 0x8 attributes 0 of tudor-module: 24 16"
    assert said[2] == "lines 1 flags 0x8 attributes 0 of tudor-module: 23"
    assert said[3:7] == ["levels 1", "edge 17 0 1000000", "edge 27 0 2000000", "edge 17 1 3000000"]
    # The clip LED's pin is inverted. Play is dark before it counts the slot, then steady.
    assert said[7:10] == ["leds 2 of 3", "leds 3 of 3", "leds 0 of 3"]
    assert said[10:] == ["gate 0 of 1", "gate 1 of 1", "gate 0 of 1",
                         "leds 1 of 3"]  # the input was at full scale in between


def test_midi_becomes_events_stamped_a_block_ahead() -> None:
    said = controls("midi", "903c64f83c00f0010203f7b0017f")
    assert [re.search(r"at (\d+) midi (\w+)", line).groups() for line in said  # type: ignore[union-attr]
            if line.startswith("push")] == [("1128", "903c64"), ("1128", "f80000"),
                                            ("1128", "903c00"), ("1128", "b0017f")]


def test_samples_come_back_from_each_format() -> None:
    said = controls("formats")
    wanted = {0: 2.0**31, 1: 2.0**23, 2: 2.0**23, 3: 2.0**15}
    assert [line.split(":")[0].split()[3] for line in said] == ["4", "3", "4", "2", "4"]
    for number, line in enumerate(said):
        values = [float(v) for v in line.split(": ")[1].split()]
        if number in wanted:
            step = 1 / wanted[number]
            assert values[:3] == pytest.approx([0.5, -1.0, 0.999999], abs=max(step, 1e-7))
            assert values[3] == pytest.approx(1 - step, abs=1e-7)
        else:
            assert values == pytest.approx([0.5, -1.0, 0.999999, 1.5], abs=1e-7)
    assert len(said) == 5


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
    # What the card's maker has written elsewhere shall not be undone here.
    assert "\n# codec = " in (build.HERE / "module.conf").read_text()
    assert "\n# midi_port = off " in (build.HERE / "module.conf").read_text()
    for name in ("codec", "midi_port"):
        assert name not in shipped
        texts.remove(name)
    assert len(texts) == 8
    assert len(numbers) == 12
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


def test_the_governor_and_the_slowest_clock_are_told(tmp_path: Path) -> None:
    assert controls("governor", tmp_path) == ["-1 "]
    for cpu, khz in enumerate((1_000_000, 600_000)):
        folder = tmp_path / f"cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("performance\n")
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    assert controls("governor", tmp_path) == ["1 governor performance, 600 MHz"]
    (tmp_path / "cpu1/cpufreq/scaling_governor").write_text("ondemand\n")
    said = controls("governor", tmp_path)[0]
    assert said.startswith("0 governor ondemand, 600 MHz; ")
    assert "cpufreq.default_governor=performance in cmdline.txt" in said


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
        "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
    text = (build.HERE / "module.conf").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(40):
        data = np.frombuffer(text, np.uint8).copy()
        at = rng.integers(0, data.size, 60)
        data[at] = rng.integers(0, 256, at.size)
        (tmp_path / "m").write_bytes(data.tobytes()[: rng.integers(1, data.size)])
        done = subprocess.run([str(binary), "settings", str(tmp_path / "m")], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
