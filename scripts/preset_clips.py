"""Renders what docs/sound.md shows and plays, into docs/sound/: MP3 files and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import match_channels
from engine.files import atomic_write
from engine.players.base import Player
from engine.scores.strokes import GATE_ROWS, struck

FloatArray = NDArray[np.float32]
SOUND = Path(__file__).resolve().parents[1] / "docs" / "sound"
SAMPLES = Path("/usr/share/sonic-pi/samples")
# What is played of recordings that nobody trains on, by what a preset is for: what it is called,
# and seconds of each.
CLIPS = {"loops": ("real", {"loop_amen": 1.75, "loop_industrial": 0.9, "loop_mika": 2.2}),
         "ambient": ("ambient", {"ambi_choir": 1.57})}
OWN_SECONDS, OWN_EACH, GAP_SECONDS = 4.5, 2.0, 0.12


def render(name: str, kind: str, title: str, folder: Path, recordings: str) -> dict[str, str]:
    """Clips of a preset and of their originals: recordings, and held-out sound of a kind, which
    lies in `folder`. What each shows: {"real": title, KIND: title}."""
    from training.evaluation.evaluate import as_player
    from training.evaluation.subjects import play

    player = as_player(name)
    channels, rate = player.description.main.in_channels, player.sample_rate_hz
    real, clip = CLIPS[recordings]
    paths = [(SAMPLES / f"{each}.flac", seconds) for each, seconds in clip.items()]
    for what, audio in ((real, _joined(paths, rate, channels)),
                        (kind, own_clip(folder, rate, channels))):
        keep(f"original-{what}-{rate // 1000}k", audio, rate)
        keep(f"{name}-{what}", play(player, audio), rate)
    return {real: ", ".join(f"`{each}`" for each in clip), kind: title}


def own_clip(folder: Path, rate_hz: int, channels: int = 1) -> FloatArray:
    """The first files of a folder, a few seconds of them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".flac")]
    return _joined([(path, OWN_EACH) for path in paths], rate_hz, channels)[
        :, : round(OWN_SECONDS * rate_hz)]


def _joined(parts: list[tuple[Path, float]], rate_hz: int, channels: int) -> FloatArray:
    """The beginnings of recordings, so many seconds of each, one after the other."""
    from training.data.audio_folder import scan
    from training.data.decode import read_range

    gap, have = np.zeros((channels, round(GAP_SECONDS * rate_hz)), np.float32), 0.0
    found: list[FloatArray] = []
    for path, seconds in parts:
        if have >= 2 * OWN_SECONDS:
            break
        source = next(s for s in scan(path.parent).sources if s.path.name == path.name)
        count = round(min(seconds, source.seconds) * rate_hz)
        found += [read_range(source, 0, count, rate_hz, channels), gap]
        have += count / rate_hz + GAP_SECONDS
    return np.ascontiguousarray(np.concatenate(found, axis=1))


def keep(stem: str, audio: FloatArray, rate_hz: int, compression: float = 0.55) -> None:
    """A sound [channels, samples] as MP3 and as a picture."""
    import soundfile

    SOUND.mkdir(parents=True, exist_ok=True)
    with atomic_write(SOUND / f"{stem}.mp3") as temporary:
        soundfile.write(temporary, np.clip(audio.T, -1, 1), rate_hz, format="MP3",
                        bitrate_mode="CONSTANT", compression_level=compression)
    _picture(SOUND / f"{stem}.webp", match_channels(audio, 1)[0], rate_hz)


def _picture(out: Path, mono: FloatArray, rate_hz: int) -> None:
    """A spectrogram, 90 dB deep, frequency by octaves above 200 Hz."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(4.6, 2.9), layout="constrained")
    size = 1024 if rate_hz < 32000 else 2048
    heard = mono + 1e-7 * np.random.default_rng(0).standard_normal(len(mono))  # no log of zero
    axis.specgram(heard, NFFT=size, Fs=rate_hz, noverlap=3 * size // 4, vmin=-130, vmax=-40,
                  cmap="magma")
    axis.set_yscale("symlog", linthresh=200)
    axis.set_ylim(30, rate_hz / 2)
    ticks = [hz for hz in (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000) if hz < rate_hz / 2]
    axis.set_yticks(ticks, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    axis.minorticks_off()
    axis.tick_params(labelsize=8)
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=100, format="webp", pil_kwargs={"quality": 75, "method": 6})
    plt.close(figure)


def played(player: Player, strokes: Sequence[dict[str, float]], every_s: float,
           gate_s: float | None = None) -> FloatArray:
    """Strokes one after another, each of what is asked for: [channels, samples]. `gate_s`: so long
    their gates are open; None: as those of drums are."""
    spec = player.description.main

    def rows_of(seconds: float) -> int:
        return round(seconds * player.sample_rate_hz / spec.in_ratio)

    every = rows_of(every_s)
    late = player.description.config["fft"] // spec.in_ratio  # a stroke is heard so much later
    count = every * len(strokes) + late
    x = struck(spec.input_labels, [(n * every, asked) for n, asked in enumerate(strokes)],
               -(-count // spec.in_frames) * spec.in_frames,
               GATE_ROWS if gate_s is None else rows_of(gate_s))
    player.reset()
    return player.process(spec.name, x)[:, late * spec.in_ratio :]
