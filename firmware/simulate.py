"""`tudor module simulate`: a patch heard, and a mapping tuned, before anything is soldered."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from engine.audio import read_audio, resample, shown_name, unfit_rate, write_audio
from engine.audio_check import heard
from engine.errors import AudioError, ConfigError, TudorError
from engine.players.native_model import NativeFile
from firmware.fits import check_fit, model_file
from firmware.host.build import TARGETS, rack
from firmware.host.play import command, run_there
from firmware.simulate_rack import CLOCKED, STATES, FloatArray, Racked, calibrated, play_rack
from firmware.simulate_script import Board, Row, board_named, converted, read_script
from firmware.stereo import mode_named, settled

MAPPING_SUFFIX = ".map"
WAYS = {1: "effect", 2: "bend", 4: "source"}
AFTER_SCRIPT_SECONDS = 2


def simulate_command(
    models: list[str], out: Path, script: Path | None, source: Path | None, board_name: str,
    mapping: Path | None, calibration: Path | None, seconds: int | None,
    rate: int | None, block: int | None, seed: int, plot: bool, as_json: bool, force: bool = False,
    stereo: str | None = None,
) -> None:
    """Everything of `tudor module simulate`: see its help."""
    board, mode = board_named(board_name), mode_named(stereo) if stereo else None
    board = replace(board, sample_rate_hz=rate or board.sample_rate_hz,
                    block_samples=block or board.block_samples)
    if len(models) > 8:
        raise ConfigError(f"an instrument has 8 slots, not {len(models)}")
    files = [model_file(name, board.name) for name in models]
    maps = [mapping_beside(path) for path in files]
    if mapping:
        maps[0] = mapping.read_text("utf-8", "replace")
    fits = [check_fit(path, board.name, None, force, block, text, mode)
            for path, text in zip(files, maps, strict=True)]
    twice = [any(fact.get("instances") == 2 for fact in data) for _, data in fits]
    rows = read_script(script) if script else []
    _check_slots(rows, len(files), script)
    audio, notes = _audio(source, board, files) if source else (None, [])
    length = audio.shape[1] / board.sample_rate_hz if audio is not None else float(
        seconds or max([row.seconds for row in rows], default=0) + AFTER_SCRIPT_SECONDS)
    if audio is None:
        audio = np.zeros((1, round(length * board.sample_rate_hz)), np.float32)
    played = _play(files, maps, twice, calibration, rows, audio, board, length, seed)
    _check(played, files, mapping, source)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for line, _ in [] if as_json else fits:
        print(line)
    write_audio(out, played.audio, board.sample_rate_hz)
    picture = out.with_suffix(".png")
    if plot:
        from firmware.simulate_plot import draw

        draw(picture, played, rows, board)
    _report(played, out, picture if plot else None, as_json, [data for _, data in fits], board)


def _check_slots(rows: list[Row], count: int, script: Path | None) -> None:
    for row in rows:
        if row.kind == "slot" and row.number > count:
            raise ConfigError(f"{script}: slot{row.number} is empty: name {row.number} models, or "
                              f"choose from {count}")


def _audio(path: Path, board: Board, files: list[Path]) -> tuple[FloatArray, list[str]]:
    """A sound at the board's rate, one channel or two, and what is odd about it."""
    audio, rate_hz = read_audio(path)
    unfit = unfit_rate(rate_hz)
    if unfit:
        raise AudioError(f"{path}: {unfit}")
    if audio.shape[0] > 2:
        raise AudioError(f"{path} has {audio.shape[0]} channels, an instrument has one or two: "
                         "choose two of them (sox IN.wav OUT.wav remix 1 2)")
    mono = [file.name for file in files if _hears_one(file)]
    cleaned, notes = heard(audio, shown_name(path), 1 if mono else audio.shape[0])
    if audio.shape[0] > 1 and mono:
        notes = [f"{note} for {mono[0]}" if note.endswith("mixed to one") else note
                 for note in notes]
    if rate_hz == board.sample_rate_hz:  # the instrument replaces and counts them itself
        return audio, [note for note in notes if "silence instead" not in note]
    return resample(cleaned, rate_hz, board.sample_rate_hz), notes


def _hears_one(path: Path) -> bool:
    """Whether a model takes one channel of sound: the instrument mixes two for it."""
    return any(method.in_ratio == 1 and method.in_channels == 1
               for method in NativeFile(path).methods.values())


def mapping_beside(path: Path) -> str | None:
    """The text of MODEL.map beside a model."""
    beside = path.with_suffix(MAPPING_SUFFIX)
    return beside.read_text("utf-8", "replace") if beside.is_file() else None


def read_calibration(path: Path) -> str:
    """The text of a calibration file."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"--calibration {path}: {error.strerror}; docs/mapping.md says what such "
                          "a file holds") from None


def _play(
    files: list[Path], maps: list[str | None], twice: list[bool], calibration: Path | None,
    rows: list[Row], audio: FloatArray, board: Board, seconds: float, seed: int,
) -> Racked:
    """`twice`: where stereo is auto, what the modelled load allows."""
    text = read_calibration(calibration) if calibration else None
    how = calibrated(text, calibration) if calibration and text is not None else None
    channels = audio.shape[0]
    return play_rack(
        TARGETS["native"], [path.read_bytes() for path in files],
        maps=[settled(*each) for each in zip(maps, twice, strict=True)], audio=audio,
        script=converted(rows, board, seconds, seed, how), channels=(channels, channels),
        calibration=text, seed=seed, lane=4096, stereo="".join(str(int(two)) for two in twice),
        captures=int(board.name != "daisy"),
        **{**board.words, "slots": max(board.slots, len(files))},
    )


def about(why: str, model: Path, mapping: Path) -> str:
    """What the instrument said to a model, behind the file that it is about: only of a mapping
    does it name a line."""
    return f"{mapping if why.startswith('line ') else model}: {why}"


def _check(played: Racked, files: list[Path], mapping: Path | None, source: Path | None) -> None:
    """Refusals are errors here: nobody listens to a patch that lacks a model."""
    for refused, at in zip(played.refused, played.refused_slots, strict=True):
        beside = files[at].with_suffix(MAPPING_SUFFIX)
        raise TudorError(about(refused.partition(": ")[2], files[at],
                               mapping if mapping and at == 0 else beside))
    for path, slot in zip(files, played.slots, strict=True):
        way = WAYS[int(slot["way"])]
        if source is None and way != "source":
            raise ConfigError(f"{path} is played as {way}, which wants a sound: give --in, or a "
                              "mapping with 'way source'")


def _beats(status: NDArray[np.void]) -> dict[str, float] | None:
    """The tempo that was followed at last, and lines of beats that were passed meanwhile."""
    led = status[status["flags"] & CLOCKED > 0]
    if not led.size:
        return None
    return {"tempo": round(float(led["tempo"][-1]), 2),
            "passed": int((np.diff(led["beat"].astype(np.int64)) != 0).sum())}


def _strikes(slot: dict[str, Any], board: Board) -> str:
    samples, ahead = (slot[key] for key in ("strike_samples", "ahead_samples"))
    made = (f", {1000 * ahead / board.sample_rate_hz:.1f} ms where it was made ahead"
            if ahead else "")
    return (f", from a gate to its sound {samples} samples, "
            f"{1000 * samples / board.sample_rate_hz:.1f} ms{made}") if samples else ""


def _report(played: Racked, out: Path, picture: Path | None, as_json: bool,
            fits: list[list[dict[str, Any]]], board: Board) -> None:
    status = played.status
    slots = [{"way": WAYS[int(slot["way"])], "latency_samples": int(slot["latency_samples"]),
              "strike_samples": int(slot["strike_samples"]),
              "ahead_samples": int(slot["ahead_samples"]),
              "slices": int(slot["slices"]), "instances": int(slot["streams"]),
              "memory_bytes": int(slot["fast_bytes"]) + int(slot["bulk_bytes"]),
              "jack_ms": round(board.jack_ms(int(slot["latency_samples"])), 1)}
             for slot in played.slots]
    beats = _beats(status)
    facts = {
        "out": str(out), "picture": str(picture) if picture else None, **slots[0], "slots": slots,
        "peak": round(float(np.abs(played.audio).max()), 4),
        "limited_blocks": int((status["reduction"] < 0.999).sum()),
        "faults": int(played.facts["faults"]), "ignored": int(played.facts["ignored"]),
        "dropped": int(played.facts["dropped"]), "nonfinite": int(played.facts["nonfinite"]),
        "beats": beats, "fit": fits,
        "states": {STATES[s]: int((status["state"] == s).sum())
                   for s in np.unique(status["state"])},
    }
    if as_json:
        print(json.dumps(facts))
        return
    console = Console(highlight=False, soft_wrap=True)
    ways = "; ".join((f"slot {i} " if slots[1:] else "")
                     + f"as {slot['way']}{', twice for two sides' * (slot['instances'] == 2)}, "
                     f"{slot['latency_samples']} samples late, about "
                     f"{slot['jack_ms']:.0f} ms from jack to jack{_strikes(slot, board)}"
                     for i, slot in enumerate(slots, 1))
    console.print(f"{out}: played {ways}; peak {facts['peak']}")
    if beats:
        console.print(f"clock: {beats['tempo']} beats a minute at last, {beats['passed']} beats")
    if picture:
        console.print(f"{picture}: controls, latents and levels")
    for name, what in (("nonfinite", "samples of the sound were no numbers: silence instead"),
                       ("faults", "times the model gave what is no audio"),
                       ("limited_blocks", "blocks were limited"),
                       ("dropped", "events found no room")):
        if facts[name]:
            console.print(f"{facts[name]} {what}")


def print_mapping(model: str, board_name: str) -> None:
    """The derived mapping of a model: the lines of it whose knob, CV or gate the board has."""
    board = board_named(board_name)
    path = model_file(model, board.name)
    NativeFile(path)  # says what is wrong with a file, where something is
    target = TARGETS["native"]
    with TemporaryDirectory(prefix="tudor-rack-") as name:
        (Path(name) / "m0").write_bytes(path.read_bytes())
        words = ["models=m0", "derive=1", f"rate={board.sample_rate_hz}", f"slots={board.slots}"]
        text = run_there(command(target, rack(target), words), Path(name))
    for line in text.splitlines():
        if board.has(line.partition(" ")[0]):
            print(line)
