"""What `tudor run` does: one file through one method, block by block."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from engine.audio import (
    FORMATS,
    channels_of,
    channels_refused,
    match_channels,
    read_audio,
    resample,
    shown_name,
    unfit_rate,
    write_audio,
)
from engine.audio_check import heard
from engine.description import GENERATE, Method
from engine.errors import AudioError, ConfigError
from engine.files import atomic_write
from engine.players.base import FloatArray, Player, load
from engine.players.host import Host

FLAC_CHANNELS = 8


def play_file(
    model: str, source: Path, out: Path, method: str | None, block: int, settings: list[str],
    align: bool, stereo: bool = False,
) -> None:
    """Play `source` through `method` of `model` into `out`; see `tudor run --help`."""
    console = Console(stderr=True)
    check_output(out)
    is_array = source.suffix.lower() == ".npy"
    player = load(model, batch=channels_of(source) if stereo and not is_array else 1)
    if not getattr(player, "trained", True):
        _note(console, f"preset {model} has no trained weights yet: this is how its random start "
                       "sounds; train it with `tudor train`")
    for setting in settings:
        apply_setting(player, setting)
    spec = player.description.method(method)
    _check_wishes(player, spec, out, align, stereo)
    x = read_input(player, spec, source, console, stereo)
    started = time.perf_counter()
    played = _play(player, method, x[:, None] if stereo else x, block, align, console)
    seconds = time.perf_counter() - started
    y = played.y[:, 0] if stereo else played.y
    write_output(player, spec, out, y)
    if not np.isfinite(y).all():
        raise AudioError(f"{model} produced non-finite numbers; {out} holds them as they are")
    rate, latency = player.sample_rate_hz, played.latency_samples
    late = "removed" if align else "in the output"
    console.print(
        f"{escape(shown_name(out))}: {y.shape[0]} channels, {y.shape[1]} frames from "
        f"{x.shape[1] * spec.in_ratio / rate:.2f} s by {player.backend}; latency {latency} samples "
        f"({1000 * latency / rate:.1f} ms, {late}); real-time factor "
        f"{seconds * rate / (played.frames * spec.in_ratio):.3f} (lower is better)",
        highlight=False, soft_wrap=True,
    )


@dataclass(frozen=True)
class Played:
    """What came out, how late it is, and how many input frames were played, silence at the end
    included."""

    y: FloatArray
    latency_samples: int
    frames: int


def stream(player: Player, method: str | None, x: FloatArray, block: int, align: bool
           ) -> tuple[FloatArray, int]:
    """`x` [in_channels, frames] through a host with blocks of `block` frames.

    Returns [out_channels, frames'] and the latency in samples. The last block is filled up with
    silence, as a host would go on; audio beyond the input's end is cut off again."""
    played = _play(player, method, x, block, align)
    return played.y, played.latency_samples


def _play(player: Player, method: str | None, x: FloatArray, block: int, align: bool,
          console: Console | None = None) -> Played:
    """`x` may be [streams, in_channels, frames]. No block is longer than what there is to play."""
    host = Host(player, method, block)
    spec, frames = host.spec, x.shape[-1]
    skip = host.latency_samples // spec.out_ratio if align and host.same_rate else 0
    whole = host.step if host.same_rate else spec.in_frames
    fed = -(-(frames + skip) // whole) * whole
    total = fed if host.same_rate else fed // spec.in_frames * spec.out_frames
    y = np.empty((*x.shape[:-2], spec.out_channels, total), np.float32)
    starts = range(0, fed, block)
    if console is not None:
        quiet = not console.is_terminal
        starts = track(starts, "playing", console=console, transient=True, disable=quiet)  # type: ignore[assignment]
    at = 0
    for start in starts:
        part = x[..., start : start + block]
        missing = min(block, fed - start) - part.shape[-1]
        if missing:
            part = np.pad(part, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
        out = host.process(part)
        y[..., at : at + out.shape[-1]] = out
        at += out.shape[-1]
    if host.same_rate:
        y = y[..., skip : skip + frames]
    return Played(y, host.latency_samples, fed)


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


def check_output(out: Path) -> None:
    """Fail before the work, not after it."""
    if out.suffix.lower() not in (*FORMATS, ".npy"):
        raise AudioError(f"{out}: the output should end in {', '.join(FORMATS)} or .npy")
    if out.is_dir():
        raise AudioError(f"{out} is a folder, wanted a file name")


def _check_wishes(player: Player, spec: Method, out: Path, align: bool, stereo: bool) -> None:
    """What was asked for must make sense together."""
    if align and spec.in_ratio != spec.out_ratio:
        raise ConfigError(
            f"--align is for methods from sound to sound: {spec.name} changes the rate, and its "
            f"latency of {spec.lookahead_samples} samples stays (leave --align out)")
    if stereo and (spec.in_ratio > 1 or spec.out_ratio > 1):
        raise ConfigError(f"--stereo is for methods from sound to sound, not {spec.name}: leave it "
                          "out, or play each channel alone")
    if stereo and (spec.in_channels, spec.out_channels) != (1, 1):
        raise ConfigError(f"--stereo gives each channel a stream through a mono model; "
                          f"{player.name}.{spec.name} has {spec.in_channels} in and "
                          f"{spec.out_channels} out: leave it out")
    if out.suffix.lower() != ".flac":
        return
    check_latents(spec, out)
    channels = player.batch * spec.out_channels
    if channels > FLAC_CHANNELS:
        raise AudioError(f"{out}: FLAC holds {FLAC_CHANNELS} channels, not {channels}; write to "
                         ".wav")


def check_latents(spec: Method, out: Path) -> None:
    """An error for latents in a file that would clip them."""
    if spec.out_ratio > 1 and out.suffix.lower() == ".flac":
        raise AudioError(f"{out}: latents go beyond full scale, which FLAC cannot hold; write them "
                         "to .wav or .npy")


def read_input(player: Player, spec: Method, source: Path, console: Console, stereo: bool = False
               ) -> FloatArray:
    """Sound at the model's rate and channels, or latents as they are."""
    if source.suffix.lower() == ".npy":
        return _read_array(source, spec)
    if spec.in_ratio > 1:
        return _read_latents(player, spec, source)
    return read_sound(player, None if stereo else spec.in_channels, source, console)


def read_sound(player: Player, channels: int | None, source: Path, console: Console
               ) -> FloatArray:
    """Sound at the model's rate in so many channels (None: its own); what is odd about it is said.
    """
    name = shown_name(source)
    x, rate = read_audio(source)
    unfit = unfit_rate(rate)
    if unfit:
        raise AudioError(f"{source}: {unfit}")
    have, wanted = x.shape[0], x.shape[0] if channels is None else channels
    refused = channels_refused(have, wanted)
    if refused:
        raise AudioError(f"{source} {refused}")
    x, notes = heard(x, name, wanted, "--stereo plays each by itself")
    for note in notes:
        _note(console, note)
    if rate != player.sample_rate_hz:
        _note(console, f"{name} is at {rate} Hz, the model plays at {player.sample_rate_hz} Hz: "
                       "resampled")
        if wanted < have:
            x = match_channels(x, wanted)
        x = resample(x, rate, player.sample_rate_hz)
    return match_channels(x, wanted)


def _read_latents(player: Player, spec: Method, source: Path) -> FloatArray:
    x, _ = read_audio(source)
    if x.shape[0] != spec.in_channels:
        coder = player.description.coder
        made = f" (make such a file with --method {coder[0].name})" if coder else ""
        wanted = f"{spec.in_channels} latents{made}"
        if spec.role == GENERATE:
            wanted = (f"conditions, a channel each ({', '.join(spec.input_labels)}); `tudor "
                      "generate` needs no file")
        raise AudioError(f"{source} has {x.shape[0]} channels; {spec.name} takes {wanted}")
    return x


def _read_array(source: Path, spec: Method) -> FloatArray:
    try:
        x = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AudioError(f"{source} is not a readable .npy file: {error}") from None
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        kind = x.dtype if isinstance(x, np.ndarray) else "several arrays"
        raise AudioError(f"{source} holds {kind}; {spec.name} takes floating-point numbers")
    if x.ndim != 2 or x.shape[0] != spec.in_channels or x.shape[1] == 0:
        raise AudioError(
            f"{source} holds an array of shape {list(x.shape)}; {spec.name} takes "
            f"[{spec.in_channels}, frames]"
        )
    return x.astype(np.float32)


def write_output(player: Player, spec: Method, out: Path, y: FloatArray) -> None:
    """Audio or latents; latents in a WAV carry the frame rate as their sample rate."""
    if out.suffix.lower() == ".npy":
        with atomic_write(out) as temporary:
            np.save(temporary, y)
        return
    rate = player.sample_rate_hz / spec.out_ratio
    write_audio(out, y, max(1, round(rate)))
