"""What `tudor run` does: one file through one method, block by block."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from engine.audio import match_channels, read_audio, resample, shown_name, write_audio
from engine.description import Method
from engine.errors import AudioError, ConfigError
from engine.files import atomic_write
from engine.players.base import FloatArray, Player, load
from engine.players.host import Host


def play_file(
    model: str, source: Path, out: Path, method: str | None, block: int, settings: list[str],
    align: bool,
) -> None:
    """Play `source` through `method` of `model` into `out`; see `tudor run --help`."""
    console = Console(stderr=True)
    _check_output(out)
    player = load(model)
    if not getattr(player, "trained", True):
        _note(console, f"preset {model} has no trained weights yet: this is how its random start "
                       "sounds; train it with `tudor train`")
    for setting in settings:
        apply_setting(player, setting)
    spec = player.description.method(method)
    x = read_input(player, spec, source, console)
    started = time.perf_counter()
    y, latency = stream(player, method, x, block, align, console)
    seconds = time.perf_counter() - started
    _write_output(player, spec, out, y)
    duration = x.shape[1] * spec.in_ratio / player.sample_rate_hz
    if not np.isfinite(y).all():
        raise AudioError(f"{model} produced non-finite numbers; {out} holds them as they are")
    late = "removed" if align else "in the output"
    console.print(
        f"{escape(shown_name(out))}: {y.shape[0]} channels, {y.shape[1]} frames from "
        f"{duration:.2f} s by {player.backend}; latency {latency} samples "
        f"({1000 * latency / player.sample_rate_hz:.1f} ms, {late}); real-time factor "
        f"{seconds / duration:.3f} (lower is better)", highlight=False, soft_wrap=True,
    )


def stream(
    player: Player, method: str | None, x: FloatArray, block: int, align: bool,
    console: Console | None = None,
) -> tuple[FloatArray, int]:
    """`x` [in_channels, frames] through a host with blocks of `block` frames.

    Returns [out_channels, frames'] and the latency in samples. The last block is filled up with
    silence, as a host would go on; audio beyond the input's end is cut off again."""
    host = Host(player, method, block)
    spec, frames = host.spec, x.shape[1]
    late = host.latency_samples // spec.out_ratio if host.same_rate else 0
    skip = late if align else 0
    fill = skip + -(frames + skip) % block if host.same_rate else -frames % spec.in_frames
    padded = np.pad(x, ((0, 0), (0, fill)))
    starts = range(0, padded.shape[1], block)
    if console is not None:
        quiet = not console.is_terminal
        starts = track(starts, "playing", console=console, transient=True, disable=quiet)  # type: ignore[assignment]
    blocks = [host.process(padded[:, start : start + block]) for start in starts]
    y = np.concatenate(blocks, axis=1)
    return (y[:, skip : skip + frames] if host.same_rate else y), host.latency_samples


def apply_setting(player: Player, setting: str) -> None:
    """`name=value` or `name=v1,v2,...` from the command line."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: write ATTRIBUTE=VALUE")
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--set {setting}: {text!r} is not a number") from None
    player.set(name.strip(), values)


def _note(console: Console, text: str) -> None:
    """A note as it stands: a file's name may hold what looks like markup."""
    console.print(f"[yellow]note:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _check_output(out: Path) -> None:
    """Fail before the work, not after it."""
    if out.suffix.lower() not in (".wav", ".flac", ".aiff", ".aif", ".npy"):
        raise AudioError(f"{out}: the output should end in .wav, .flac, .aiff or .npy")
    if out.is_dir():
        raise AudioError(f"{out} is a folder, wanted a file name")


def read_input(player: Player, spec: Method, source: Path, console: Console) -> FloatArray:
    """Audio at the model's rate and channels, or latents as they are."""
    wanted_hz = player.sample_rate_hz / spec.in_ratio
    if source.suffix.lower() == ".npy":
        return _read_array(source, spec)
    x, rate = read_audio(source)
    if spec.in_ratio > 1:
        if x.shape[0] != spec.in_channels:
            raise AudioError(
                f"{source} has {x.shape[0]} channels; {spec.name} takes {spec.in_channels} latents "
                "(make such a file with --method encode)"
            )
        return x
    bad = int((~np.isfinite(x)).sum())
    if bad:
        _note(console, f"{shown_name(source)} holds {bad} samples that are no numbers: silence "
                       "instead")
        x = np.where(np.isfinite(x), x, np.float32(0))
    if rate != wanted_hz:
        _note(console, f"{shown_name(source)} is at {rate} Hz, the model plays at {wanted_hz:.0f} "
                       "Hz: resampled")
        x = resample(x, rate, int(wanted_hz))
    if x.shape[0] > 2 and spec.in_channels == 1:
        _note(console, f"{shown_name(source)}: {x.shape[0]} channels mixed to one")
    return match_channels(x, spec.in_channels)


def _read_array(source: Path, spec: Method) -> FloatArray:
    try:
        x = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AudioError(f"{source} is not a readable .npy file: {error}") from None
    if x.ndim != 2 or x.shape[0] != spec.in_channels or x.shape[1] == 0:
        raise AudioError(
            f"{source} holds an array of shape {list(x.shape)}; {spec.name} takes "
            f"[{spec.in_channels}, frames]"
        )
    return x.astype(np.float32)


def _write_output(player: Player, spec: Method, out: Path, y: FloatArray) -> None:
    """Audio or latents; latents in a WAV carry the frame rate as their sample rate."""
    if out.suffix.lower() == ".npy":
        with atomic_write(out) as temporary:
            np.save(temporary, y)
        return
    rate = player.sample_rate_hz / spec.out_ratio
    write_audio(out, y, max(1, round(rate)))
