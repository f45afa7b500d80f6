"""What tudor-module says of its board, and what is set there before it starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pi_build import program, running, settings

from firmware.pi import build
from nn_tudor.cli import main


@pytest.mark.only_where((os.cpu_count() or 1) < 64, "there is a core 63")
def test_what_the_audio_thread_is_not_granted_is_told(models: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, models, cpu=63)
    module = running(tmp_path, config)
    with module:
        told = module.until("^note cpu")
        checked = subprocess.run([str(program()), "--config", str(config), "--check", "1"],
                                 capture_output=True, text=True)
    assert "note cpu = 63: Invalid argument; the audio thread may run on any core" in told
    assert re.search("^WRONG  the program says +cpu = 63", checked.stdout, re.MULTILINE)


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
    # Here the processor may be one that slows down.
    assert found["wrong"] == sum(not check["ok"] for check in found["checks"])
    assert [name for name, c in checks.items() if not c["ok"] and name != "processor"] == [
        "the card runs"]
    assert not checks["the card runs"]["ok"]  # a card that is none has no clock
    assert checks["the card runs"]["detail"].endswith("samples per second, 48000 wanted")
    assert checks["models"] == {"what": "models", "ok": True, "detail": "loaded"}
    told, said = checked("3600", "--json")  # watching on for so long would outlast pytest's limit
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


def test_without_a_module_here_status_asks_for_a_host(capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for word in ("status", "check"):
        with pytest.raises(SystemExit) as ended:
            main(["module", word])
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("error: no module runs on this machine: give --host")
        assert said.count("\n") == 1
