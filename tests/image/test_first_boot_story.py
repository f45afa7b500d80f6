"""A builder's first evening, in order, on one emulated card: the image is flashed and boots, and
plays the right samples; a CV is swept, gates of 1 ms and a clock arrive, notes come by the MIDI
jack; the power goes in the middle of a save; the card starts again as it was left, and gets an
update. Run by `make test-image`; `pytest -m image -s tests/image/test_first_boot_story.py` prints
the story."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.pi.build import HERE as PI
from firmware.pi.status import parse
from firmware.tools import MissingToolError, tool
from tests.firmware.common_models import vae
from tests.firmware.pi_build import INTS, skip
from tests.image.image_root import SETTINGS, Stock
from tests.image.image_scripts import APPLY
from tests.image.image_trial import WANTED_BYTES, assert_same, sound, tiny
from tests.image.wired_machine import Cable, WiredMachine, wired

pytestmark = [pytest.mark.image, pytest.mark.timeout(7200)]
CV_STEPS = (0, 1024, 2048, 3072, 4095)  # of the converter, over its range
PULSES, PULSE_US = 6, 1000
BEATS_A_MINUTE, CLOCK_US, CLOCK_PULSES = 100, 150_000, 40  # sixteenths
LED_PLAY, LED_FAULT = 24, 25
MAP = b"""way source
knob1 walk 0 0
cv1 latent 1
cc20 latent 2
gate1 freeze mode=toggle
gate2 clock 4
note play
"""
# `card FILE...`: puts files onto the card, as a builder does.
# `told NAME`: what it then says. `heard N`: waits for the N-th MIDI message. `kept`: waits until
# what was set is on the card, by the program's own word.
WORDS = """
card() {
  mount -o remount,rw /boot/firmware
  cp "$@" /boot/firmware/tudor/
  sync
  mount -o remount,ro /boot/firmware
}
told() { tudor-module --status >out/$1; }
heard() {
  for i in $(seq 100); do
    [ "$(tudor-module --status | sed -n 's/^midi_messages //p')" -ge $1 ] && break
    sleep 0.3
  done
  sleep 1
}
kept() {
  for i in $(seq 100); do
    [ "$(tudor-module --status | sed -n 's/^unsaved //p')" = 0 ] && break
    sleep 1
  done
}
chip=/sys/module/gate_chip/parameters level=/sys/module/adc_chip/parameters/level
"""
FIRST = f"""{WORDS}
played first
cat /etc/tudor/codec.conf >out/codec.conf

card module.conf m.map m.tudor
systemctl restart tudor-module
# On a Pi the kernel tells of edges from a core that the audio thread is not on; here is but one.
for thread in $(pgrep ^irq/); do chrt -f -p 90 $thread; done
sleep 3
told up
cat $chip/levels >out/levels
for value in {" ".join(map(str, CV_STEPS))}; do
  echo 0,0,0,0,$value,2048,2048,2048 >$level
  sleep 1
  told cv.$value
done

for n in $(seq {PULSES}); do
  echo 17 {PULSE_US} >$chip/pulse
  sleep 0.5
  cat $chip/pulse >out/pulse.$n
  told gate.$n
done

echo on >/dev/ttyAMA0
heard 1
told note.on
echo off >/dev/ttyAMA0
heard 2
told note.off
echo 27 5000 {CLOCK_US} {CLOCK_PULSES} >$chip/pulse
sleep 5
told clock

echo high >/dev/ttyAMA0
heard 3
kept
told saved
journalctl --no-pager -b -u tudor-module >out/journal
tar cf /dev/vdc -C out .
sync
echo low >/dev/ttyAMA0
sleep 1000
"""
SECOND = f"""{WORDS}
for i in $(seq 100); do told back && break; sleep 0.3; done
sleep 3
told back
mount -o remount,rw /boot/firmware
rm /boot/firmware/tudor/m.map
card plain/module.conf
{APPLY}played second
"""


@pytest.fixture(scope="module")
def parts(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    try:
        for name in ("apt-get", "make"):
            tool(name)
        return wired(stock, tmp_path_factory.mktemp("wired"))
    except MissingToolError as error:
        skip(str(error))
        raise


def as_shipped() -> bytes:
    """The settings that a card comes with, but for larger blocks: this sound card looks at its
    clock 250 times a second, and an emulator is no Pi."""
    text = (PI / "module.conf").read_text()
    for was, now in (("period = 128 ", "period = 256 "), ("periods = 2 ", "periods = 8 "),
                     ("overload = 95 ", "overload = off ")):
        assert text.count(f"\n{was}") == 1
        text = text.replace(f"\n{was}", f"\n{now}")
    return text.encode()


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


def test_from_the_image_to_an_update(parts: Stock, flashed: Path, old: INTS, tmp_path: Path
                                     ) -> None:
    card = tmp_path / "card.img"
    subprocess.run(["cp", "--sparse=always", str(flashed), str(card)], check=True)
    before: list[bytes] = []  # of the partition for saves, when the last knob is turned

    def low(cable: Cable) -> None:
        before.append(module.saves())
        cable(b"\xb0\x14\x00")

    module = WiredMachine(parts, card, WANTED_BYTES, {
        "on": lambda cable: cable(b"\x90\x3c\x64"), "off": lambda cable: cable(b"\x80\x3c\x00"),
        "high": lambda cable: cable(b"\xb0\x14\x7f"),
        "low": low})
    module.run(FIRST, {"module.conf": as_shipped(), "m.map": MAP, "m.tudor": vae()},
               cut=lambda: bool(before) and module.saves() != before[0])
    found = module.told()
    assert_same(sound_of(found, "first"), old)
    say(f"the card boots and plays: {len(old)} samples, each as on this machine")
    look_at_the_start(found)
    look_at_the_cv(found)
    look_at_the_gates(found)
    look_at_midi(found)
    look_at_the_clock(found)
    lost = module.tear(before[0])
    say(f"the power goes while controller 20 is saved at 0: {lost} bytes do not reach the card")

    again = module.run(SECOND, {"plain/module.conf": (SETTINGS + "saves = off\n").encode(),
                                "m.tudor": tiny()})
    back = parse(again["back"].decode())
    assert lost > 0
    assert back["latent2"] == 1, back  # controller 20, as it was saved before
    assert not back["notes"], back
    say("it starts again with what was saved before that: controller 20 at 127")
    assert (again["rc"], again["told"]) == (b"0\n", b"updated\n")
    assert_same(sound(again, "second"), old)
    say("an update brings another model: each of its samples as on this machine\n")


def sound_of(found: dict[str, bytes], name: str) -> INTS:
    """As `sound`, where the trial's end has told nothing of the service."""
    return sound({**found, "service": found.get("journal", b"")}, name)


def look_at_the_start(found: dict[str, bytes]) -> None:
    """All that is wired was found; the LED "play" is on, "fault" is not."""
    up = parse(found["up"].decode())
    assert b"midi_port = /dev/ttyAMA0" in found["codec.conf"]
    assert (up["state"], up["way"], up["notes"]) == ("playing", "source", []), up
    assert (up["read_errors"], up["models"]) == (0, {1: "m"}), up
    levels = int(found["levels"], 16)
    assert (levels >> LED_PLAY & 1, levels >> LED_FAULT & 1) == (1, 0), hex(levels)
    say(f"with converter, pins and MIDI jack: {up['card']}; the LED play is on")


def look_at_the_cv(found: dict[str, bytes]) -> None:
    """The reading falls when the voltage rises: `cv1 = -adc1.4`."""
    worst = 0.0
    for value in CV_STEPS:
        told = parse(found[f"cv.{value}"].decode())
        assert told["cv1"] == 4095 - value, told
        worst = max(worst, abs(told["latent1"] - (1 - value / 4095)))
    assert worst < 0.005
    say(f"a CV from end to end: latent 1 follows, at most {100 * worst:.2f} % of its range off")


def look_at_the_gates(found: dict[str, bytes]) -> None:
    edges = parse(found[f"cv.{CV_STEPS[-1]}"].decode())["edges"]
    lengths = []
    for n in range(1, PULSES + 1):
        told: dict[str, Any] = parse(found[f"gate.{n}"].decode())
        fell, rose = map(int, found[f"pulse.{n}"].split())
        lengths.append((rose - fell) / 1e6)
        assert told["edges"] == edges + 2 * n, told
        assert told["frozen"] == n % 2, told
    assert max(lengths) < 5, lengths
    say(f"{PULSES} gates of {np.median(lengths):.2f} ms: each one freezes or frees the latents")


def look_at_midi(found: dict[str, bytes]) -> None:
    on, off = (parse(found[name].decode()) for name in ("note.on", "note.off"))
    assert (on["midi_messages"], off["midi_messages"]) == (1, 2), (on, off)
    assert off["out_peak"] < on["out_peak"] / 4, (on, off)
    assert on["out_peak"] > 0.05, on
    say(f"a note by the MIDI jack opens the sound ({on['out_peak']:.2f}) and ends it "
        f"({off['out_peak']:.2f})")


def look_at_the_clock(found: dict[str, bytes]) -> None:
    before, timed, saved = (parse(found[name].decode()) for name in ("note.off", "clock", "saved"))
    assert (before["clocked"], timed["clocked"], saved["clocked"]) == (0, 1, 0), (before, timed)
    assert abs(timed["tempo"] / BEATS_A_MINUTE - 1) < 0.02, timed
    say(f"a clock of {BEATS_A_MINUTE} beats a minute at gate 2: {timed['tempo']} are followed")
    assert (saved["latent2"], saved["unsaved"]) == (1, 0), saved
