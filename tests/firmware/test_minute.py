"""A minute of a patch with the models that are shipped for a Daisy: a clock that trembles, depths
of CVs, freezes, loops, changes of slot, and the power going off in the middle. The same bits on
every instruction set of x86, on aarch64 and on a Cortex-M7."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.presets import shipped_native
from firmware import simulate_rack
from firmware.host import build
from firmware.host.build import COMMON, CORE, FLAGS, RACK, WRAPPED, Target, tool
from firmware.simulate_rack import CLOCKED, Racked, events, play_rack
from tests.firmware.machines import instruction_sets, machine

RATE, BPM, JITTER_SECONDS = 48000, 120, 1e-3
BAR = 4 * 60 / BPM
FROZEN, LOOPING = 1, 4
# bach-daisy is a voice: its derived mapping plays it by gates, CVs and keys.
MODELS = {"techno-tiny": """way bend
knob1 wet 0.5 1
knob2 latent 1
knob3 depth cv1 -1 1
cv1 latent 2
knob4 depth cv2
cv2 spread 3 0 2
knob5 walk
knob6 rate unit=beat
gate1 freeze
gate2 record at=bar
gate3 loop at=bar
beat jump chance=0.25
""", "bach-daisy": None, "techno-daisy": "way effect\nknob1 wet\nknob2 latent 1\ncv1 latent 3\n"
          "knob3 depth cv1 -1 1\ngate2 record\ngate3 loop\ngate1 reset\n"}


def models(count: int) -> tuple[list[bytes], list[str | None]]:
    paths = [shipped_native(name, "q16x8") for name in list(MODELS)[:count]]
    return [path.read_bytes() for path in paths if path], list(MODELS.values())[:count]


def script(seconds: float, slots: int, seed: int) -> NDArray[np.void]:
    """What a player does: all of it on the clock's grid or near it."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, str, int, float]] = [(0.04, "midi", 0, 0xFA0000)]
    pulses = np.arange(0.05, seconds, 60 / BPM / 24)
    rows += [(float(at), "midi", 0, 0xF80000)
             for at in pulses + rng.uniform(-JITTER_SECONDS, JITTER_SECONDS, pulses.size)]
    for at in np.arange(0.1, seconds, 0.02):  # two slow waves, and a hand that turns four knobs
        rows += [(float(at), "cv", 0, float(np.sin(2.1 * at))),
                 (float(at), "cv", 1, float(np.cos(0.7 * at)))]
        knob = int(rng.integers(6))
        rows.append((float(at), "knob", knob, float(0.5 + 0.5 * np.sin((knob + 1) * 0.3 * at))))
    for at in np.arange(0.3, seconds, BAR / 2):
        length = float(rng.uniform(0.1, 0.4))
        gate, note = int(rng.integers(3)), int(rng.integers(48, 72))
        rows += [(float(at), "gate", gate, 1.0), (float(at) + length, "gate", gate, 0.0),
                 (float(at) + 0.1, "midi", 0, float(0x900060 | note << 8)),
                 (float(at) + 0.2, "midi", 0, float(0x800000 | note << 8))]
    # A gesture of a bar, then its loop, then a freeze.
    for at in np.arange(0.5, seconds - 3 * BAR, 8 * BAR):
        rows += [(float(at) + off, "gate", gate, value) for off, gate, value in (
            (0, 1, 1), (BAR, 1, 0), (1.5 * BAR, 2, 1), (2.6 * BAR, 0, 1), (2.9 * BAR, 0, 0))]
    rows += [(at, "select", turn % slots, 0.0)
             for turn, at in enumerate(np.arange(2.2, seconds, 3.3), 1)]
    return events([row for row in rows if row[0] < seconds], RATE)


def halves(play: Callable[..., Racked], seconds: int, count: int = 3) -> list[Racked]:
    """Played to the middle, saved; begun anew with what was saved, and played to the end."""
    files, maps = models(count)
    half, found, saved = seconds // 2, [], None
    for seed in (1, 2):
        played = play(files, maps=maps, seconds=half, channels=(2, 2), rate=RATE, block=48,
                      script=script(half, count, seed), digest=True, restore=saved, save=True)
        assert played.refused == ()
        saved = played.saved
        found.append(played)
    return found


def told(runs: list[Racked]) -> list[tuple[tuple[str, ...], bytes, bytes]]:
    """All that a machine gives: digests of the sound, the status of every block, what is saved."""
    return [(run.digests, run.status.tobytes(), run.saved) for run in runs]


@pytest.fixture(scope="module")
def any_isa() -> Path:
    """The rack, whose instruction set the environment names."""
    target = machine("native")
    sources = [Path(__file__).parent / "choose_isa.c", *(build.HERE / name for name in RACK),
               build.HERE / target.platform]
    wrapped = [f"--wrap={name}" for name in (*WRAPPED, "tudor_find_kernels")]
    digest = hash(sources[0].read_bytes()) & 0xFFFF
    return build._built(f"rack-any-{digest}", [
        tool(target.compiler), *FLAGS, f"-I{CORE}", f"-I{COMMON}", "-Wl," + ",".join(wrapped),
        *map(str, sources), *build.instrument(target), *build.runtime(target)])


def on_x86(program: Path, isa: str, monkeypatch: pytest.MonkeyPatch, seconds: int,
           count: int) -> list[Racked]:
    with monkeypatch.context() as patched:
        patched.setattr(simulate_rack, "rack", lambda target, *flags: program)
        patched.setenv("RACK_ISA", isa)
        return halves(lambda *files, **words: play_rack(machine("native"), *files, **words),
                      seconds, count)


def assert_everywhere(program: Path, monkeypatch: pytest.MonkeyPatch, seconds: int,
                      count: int) -> None:
    wanted = on_x86(program, "ref", monkeypatch, seconds, count)
    first, second = wanted
    assert len(first.digests + second.digests) == len(set(first.digests + second.digests)) \
        == seconds
    for run in wanted:
        assert set(run.status["slot"]) >= set(range(count))
        assert set(run.status["state"]) >= {1, 2}
        assert np.all(run.status["flags"][-100:] & CLOCKED)
        assert np.abs(run.status["tempo"][-1] - BPM) < 0.5
        assert np.any(run.status["flags"] & FROZEN)
        assert np.any(run.status["flags"] & LOOPING)
        assert np.median(run.status["envelope"]) > 1e-3, "silence proves nothing"
    assert first.saved
    assert first.saved != second.saved
    for isa in instruction_sets()[1:]:
        assert told(on_x86(program, isa, monkeypatch, seconds, count)) == told(wanted), isa
    for name in ("aarch64", "m7"):
        target = machine(name)

        def there(*files: object, target: Target = target, **words: object) -> Racked:
            return play_rack(target, *files, **words)  # type: ignore[arg-type]

        assert told(halves(there, seconds, count)) == told(wanted), name


def test_a_few_bars_give_the_same_bits_everywhere(any_isa: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller two, for sixteen seconds: the minute of all takes too long for every day."""
    assert_everywhere(any_isa, monkeypatch, 16, 2)


@pytest.mark.slow
def test_a_minute_of_a_patch_gives_the_same_bits_everywhere(
    any_isa: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_everywhere(any_isa, monkeypatch, 60, 3)


@pytest.mark.parametrize(("file", "old", "new"), [
    ("hear.c", "value * p->depth[cv]", "value * p->depth[cv] * 0.999999f"),
    ("keep.c", "put_float(c, left_at(m, i))", "put_float(c, 0.999999f * left_at(m, i))"),
])
def test_a_planted_difference_is_seen(file: str, old: str, new: str, tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(machine("native"), flags=("-DTUDOR_ONLY_SCALAR", "-O1"))  # compiles in seconds

    def played() -> list[tuple[tuple[str, ...], bytes, bytes]]:
        return told(halves(lambda *files, **words: play_rack(small, *files, **words), 16, 1))

    wanted = played()
    folder = tmp_path / "common"
    shutil.copytree(COMMON, folder)
    text = (folder / file).read_text()
    assert old in text, f"{file} has changed: plant the fault elsewhere"
    (folder / file).write_text(text.replace(old, new, 1))
    monkeypatch.setattr(build, "COMMON", folder)
    assert played() != wanted, "the fault went unseen"
