"""Gates through a kernel as a Pi's is (250 ticks a second, a GPIO chip that cannot debounce): no
pulse is lost, none is late. Run by `make test-image`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware.tools import MissingToolError, tool
from tests.firmware.pi_build import skip
from tests.image.gate_kernel import Kernel, boot, make_kernel

pytestmark = [pytest.mark.image, pytest.mark.timeout(1500)]
LENGTHS_US = (300, 1000, 2000, 4000, 6000, 20000)
PULSES = 40  # of each, as gate_watch.c makes them
BLOCK_NS = 128 * 10**9 / 48000  # by which every stamp is late
LOCK_OUT_NS = 500_000
MOST_LATE_NS = 300_000  # of the stamp, which is what is played
MOST_AWAY_NS = 1_000_000  # of the event: before the block that its stamp lies in, 2.7 ms later


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    try:
        for name in ("qemu-system-aarch64", "apt-get", "make"):
            tool(name)
        return make_kernel(tmp_path_factory.mktemp("kernel"))
    except MissingToolError as error:
        skip(str(error))
        raise


@dataclass(frozen=True)
class Push:
    """What reached the instrument: its stamp as a time, and when it came."""

    on: bool
    at_ns: int
    now_ns: int


@dataclass(frozen=True)
class Pulse:
    """The pin, which is on when low, and what came of it."""

    length_us: int
    fell_ns: int
    rose_ns: int
    pushes: list[Push]


def pulses(lines: list[list[str]]) -> list[Pulse]:
    pushes = [Push(words[1] == "1", int(words[2]), int(words[3])) for words in lines
              if words[:1] == ["push"]]
    found = []
    for words in lines:
        if words[:1] == ["pulse"]:
            length, fell, rose = map(int, words[1:])
            own = [push for push in pushes if fell <= push.now_ns < rose + 14_000_000]
            found.append(Pulse(length, fell, rose, own))
    assert len(found) > 0
    return found


def test_every_pulse_is_seen_and_none_is_late(kernel: Kernel, tmp_path: Path) -> None:
    made = pulses(boot(kernel, tmp_path, 0, *LENGTHS_US))
    assert len(made) == PULSES * len(LENGTHS_US)
    for pulse in made:
        assert [push.on for push in pulse.pushes] == [True, False], pulse
        wanted = (pulse.fell_ns, max(pulse.rose_ns, pulse.fell_ns + LOCK_OUT_NS))
        for push, at_ns in zip(pulse.pushes, wanted, strict=True):
            assert push.now_ns - at_ns <= MOST_AWAY_NS, pulse
            assert abs(push.at_ns - BLOCK_NS - at_ns) <= MOST_LATE_NS, pulse


def test_the_kernel_s_own_debouncing_would_lose_them(kernel: Kernel, tmp_path: Path) -> None:
    """What is asserted above can fail: with 0.2 ms asked of the kernel it does."""
    made = pulses(boot(kernel, tmp_path, 200, 1000, 20000))
    short = [pulse for pulse in made if pulse.length_us == 1000]
    long = [pulse for pulse in made if pulse.length_us == 20000]
    assert not any(pulse.pushes for pulse in short)
    assert min(pulse.pushes[0].now_ns - pulse.fell_ns for pulse in long) > 3_000_000
