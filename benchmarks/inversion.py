"""How well sound is made from magnitudes alone: `Resynth` beside what else there is.

    python -m benchmarks.inversion [--sizes 512/128,1024/256] [--quick]

Real sounds at 16 kHz, 1.5 seconds at most: drums and loops of sonic-pi-samples and, where
fluidsynth and a soundfont are installed, notes of instruments. Spectral convergence is of the
magnitudes of what came out, in decibels: the less, the better. `Resynth` is the C runtime's; the
others are numpy, in float64.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated

import numpy as np
import typer

from benchmarks.inverters import Array, Stft, griffin_lim, polar, rtisi_la, rtpghi, spsi
from benchmarks.op_cases import METHOD, describe, method_of
from engine.audio import read_audio, resample
from engine.errors import TudorError
from engine.graph import Builder
from engine.layers import Resynth
from engine.layers.spectrum import FLOOR, LOG_RANGE
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs

RATE_HZ = 16000
SECONDS, BEFORE, AFTER = 1.5, 0.1, 0.2
SAMPLES = Path("/usr/share/sonic-pi/samples")
HITS = ("bd_808", "bd_haus", "bd_tek", "bd_fat", "sn_dub", "sn_dolf", "sn_zome", "perc_bell",
        "drum_cymbal_open", "drum_cymbal_closed", "drum_tom_mid_hard", "drum_cowbell",
        "drum_snare_hard", "elec_hi_snare", "elec_bell", "elec_cymbal", "perc_snap", "tabla_tun1")
LOOPS = ("loop_amen", "loop_industrial", "loop_garzul", "loop_tabla")
SOUNDFONTS = tuple(Path("/usr/share/sounds") / name for name in (
    "sf3/MuseScore_General_Lite.sf3", "sf3/MuseScore_General.sf3", "sf2/FluidR3_GM.sf2"))
# General MIDI program, and two keys of its range.
NOTES = {"violin": (40, 65, 86), "cello": (42, 43, 62), "trumpet": (56, 60, 74),
         "horn": (60, 48, 65), "clarinet": (71, 57, 76), "flute": (73, 67, 86),
         "oboe": (68, 65, 79), "bassoon": (70, 41, 58), "piano": (0, 42, 75),
         "marimba": (12, 55, 79), "pizzicato": (45, 48, 72), "accordion": (21, 60, 77),
         "alto sax": (65, 56, 72), "harp": (46, 48, 79)}
SIZES = ("512/128", "1024/256", "2048/512")


@dataclass(frozen=True)
class Way:
    """A way to phases, or straight to sound, of magnitudes [frames, bins]. `frames`: how many
    later ones it looks at."""

    name: str
    frames: str
    sound: Callable[[Stft, Array], Array]


def _by(phases: Callable[[Stft, Array], Array]) -> Callable[[Stft, Array], Array]:
    return lambda t, magnitudes: t.inverse(polar(magnitudes, phases(t, magnitudes)))


def resynth(t: Stft, magnitudes: Array) -> Array:
    """What the C runtime makes of it, lined up with `Stft.inverse`."""
    layer = Resynth(t.fft, t.hop)
    build = Builder(METHOD, layer.in_channels)
    graph = build.finish(layer.lower(build, build.input))
    player = NativeModel(NativeFile.from_bytes(
        compile_graphs({METHOD: graph}, describe(method_of(layer)))))
    more = t.fft // t.hop  # until the last window is complete
    x = np.full((1, layer.in_channels, len(magnitudes) + more), LOG_RANGE[0], np.float32)
    x[0, : layer.bins, : len(magnitudes)] = np.log(2 * magnitudes / t.fft).T
    x[0, : layer.bins, len(magnitudes)] = x[0, : layer.bins, len(magnitudes) - 1]
    y = player.process(METHOD, x)[0, 0, t.hop :]
    return np.asarray(y[: (len(magnitudes) - 1) * t.hop + t.fft], np.float64)


WAYS = (
    Way("Griffin-Lim, 32 rounds", "all", _by(lambda t, a: griffin_lim(t, a, 32))),
    Way("Griffin-Lim, 100 rounds", "all", _by(lambda t, a: griffin_lim(t, a, 100))),
    Way("fast Griffin-Lim, 100 rounds", "all", _by(lambda t, a: griffin_lim(t, a, 100, 0.99))),
    Way("SPSI", "0", _by(spsi)),
    Way("RTISI-LA, 4 rounds", "1", _by(lambda t, a: rtisi_la(t, a, 1, 4))),
    Way("RTISI-LA, 4 rounds", "3", _by(lambda t, a: rtisi_la(t, a, 3, 4))),
    Way("RTPGHI", "0", _by(lambda t, a: rtpghi(t, a, 0))),
    Way("RTPGHI", "1", _by(rtpghi)),
    Way("`resynth`", "1", resynth),
)
QUICK = ("RTPGHI", "`resynth`")


def sounds() -> dict[str, Array]:
    """By group and name."""
    if not SAMPLES.is_dir():
        raise TudorError(f"{SAMPLES} is not there: apt install sonic-pi-samples")
    found = {f"hit/{name}": _sample(name) for name in HITS}
    found |= {f"loop/{name}": _sample(name) for name in LOOPS}
    font = next((path for path in SOUNDFONTS if path.exists()), None)
    if font is not None and shutil.which("fluidsynth"):
        found |= {f"note/{name}": x for name, x in _notes(font).items()}
    return {name: _placed(x) for name, x in found.items()}


def _sample(name: str) -> Array:
    return _read(SAMPLES / f"{name}.flac")


def _read(path: Path) -> Array:
    audio, rate_hz = read_audio(path)
    return resample(audio, rate_hz, RATE_HZ).mean(axis=0, dtype=np.float64)  # type: ignore[no-any-return]


def _placed(x: Array) -> Array:
    """Half as loud as may be, between silences."""
    x = x[: int(SECONDS * RATE_HZ)]
    edges = np.zeros(int(BEFORE * RATE_HZ)), np.zeros(int(AFTER * RATE_HZ))
    return np.concatenate((edges[0], 0.5 * x / np.abs(x).max(), edges[1]))


def _notes(font: Path) -> dict[str, Array]:
    """Each note of `NOTES`, 1.2 s held, as fluidsynth plays it."""
    asked = [(f"{name} {key}", program, key) for name, (program, *keys) in NOTES.items()
             for key in keys]
    with TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        midi.write_bytes(_midi([(program, key) for _, program, key in asked]))
        subprocess.run(["fluidsynth", "-ni", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(RATE_HZ),
                        "-F", str(wav), str(font), str(midi)], check=True, capture_output=True)
        whole = _read(wav)
    parts = [whole[2 * n * RATE_HZ : 2 * (n + 1) * RATE_HZ] for n in range(len(asked))]
    return {name: x for (name, _, _), x in zip(asked, parts, strict=True)
            if len(x) == 2 * RATE_HZ and np.abs(x).max() > 1e-3}


def _midi(notes: list[tuple[int, int]]) -> bytes:
    """A file of programs and keys, one every two seconds: 500 ticks a second at the usual tempo."""
    def ticks(count: int) -> bytes:
        return bytes((0x80 | count >> 7, count & 0x7F)) if count > 127 else bytes((count,))

    track = b""
    for program, key in notes:
        track += ticks(0) + bytes((0xC0, program)) + ticks(0) + bytes((0x90, key, 110))
        track += ticks(600) + bytes((0x80, key, 0)) + ticks(400) + bytes((0xB0, 123, 0))
    track += ticks(0) + bytes((0xFF, 0x2F, 0))
    return (b"MThd" + struct.pack(">IHHH", 6, 0, 1, 250)
            + b"MTrk" + struct.pack(">I", len(track)) + track)


def convergence_db(t: Stft, y: Array, magnitudes: Array) -> float:
    """Of the magnitudes of `y`."""
    found = np.abs(t.forward(y))
    assert found.shape == magnitudes.shape
    away = np.linalg.norm(found - magnitudes) / np.linalg.norm(magnitudes)
    return float(20 * np.log10(max(float(away), 1e-12)))


def measured(size: str, ways: tuple[Way, ...], clips: dict[str, Array]
             ) -> list[tuple[Way, dict[str, float], float]]:
    """Of each way: decibels by group and of all, and microseconds of processor time a frame."""
    fft, hop = (int(part) for part in size.split("/"))
    t, rows = Stft(fft, hop), []
    for way in ways:
        found: dict[str, list[float]] = {}
        spent, frames = 0.0, 0
        for name, x in clips.items():
            magnitudes = np.maximum(np.abs(t.forward(t.padded(x))), FLOOR * fft / 2)
            began = process_time()
            y = way.sound(t, magnitudes)
            spent, frames = spent + process_time() - began, frames + len(magnitudes)
            value = convergence_db(t, y, magnitudes)
            for group in ("all", name.split("/")[0]):
                found.setdefault(group, []).append(value)
        rows.append((way, {group: float(np.mean(v)) for group, v in found.items()},
                     1e6 * spent / frames))
    return rows


def inversion(
    sizes: Annotated[str, typer.Option(help="fft/hop, commas between")] = ",".join(SIZES),
    quick: Annotated[bool, typer.Option(help="RTPGHI and resynth alone")] = False,
) -> None:
    """How well sound is made from magnitudes alone: a table."""
    clips = sounds()
    groups = ["all", *dict.fromkeys(name.split("/")[0] for name in clips)]
    counts = {group: sum(group in ("all", name.split("/")[0]) for name in clips)
              for group in groups}
    ways = tuple(way for way in WAYS if not quick or way.name in QUICK)
    print("| fft/hop | way | frames ahead | "
          + " | ".join(f"{group} ({counts[group]})" for group in groups) + " | µs a frame |")
    print("|---|---|---|" + "---|" * (len(groups) + 1))
    for size in sizes.split(","):
        for way, found, spent in measured(size, ways, clips):
            cells = " | ".join(f"{found[group]:.1f}" for group in groups)
            print(f"| {size} | {way.name} | {way.frames} | {cells} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    typer.run(inversion)
