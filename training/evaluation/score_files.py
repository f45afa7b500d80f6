"""What `tudor score` does: bits per sample of any sound under a model that draws sound.

    with      the conditions that lie beside a sound, else those that are heard in it
    free      no attention paid to them; a model without conditions has this alone
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from engine.audio import (
    channels_refused,
    match_channels,
    read_audio,
    resample,
    shown_name,
    unfit_rate,
)
from engine.description import Method
from engine.errors import AudioError, ConfigError, nearest
from engine.models.base import Model
from engine.models.looped import Looped
from engine.models.store import load_model
from engine.reports import wide_console
from engine.resolve import FILE, PRESET, RUN, resolve
from engine.scores.conditions import FREE
from training.evaluation.judges.scores_beside import beside, unasked
from training.evaluation.likelihood import model_bits
from training.evaluation.steps import mu_law_steps

FloatArray = NDArray[np.float32]
WITH, WITHOUT = "bits", "free_bits"


@dataclass(frozen=True)
class Scored:
    """Of one sound: bits of a sample (`WITH` conditions, `WITHOUT`), and where the conditions come
    from."""

    name: str
    samples: int
    bits: dict[str, float]
    conditions: str | None = None


def score_files(source: str, files: Sequence[Path], settings: Sequence[str], as_json: bool) -> None:
    """See `tudor score --help`."""
    if resolve(source, (RUN, FILE, PRESET)).kind == FILE:
        raise ConfigError(f"{source} is an exported file, which does not say how likely a sound "
                          "is; score the run or preset that it was made from")
    stored = load_model(source)
    model, console = stored.model, Console(stderr=True)
    spec = _method(model, stored.name)
    held = _held(spec, settings)
    shown = track(files, "scoring", console=console, transient=True,
                  disable=not console.is_terminal)
    found = [_score(model, spec, held, path) for path in shown]
    result = {"model": stored.name, "trained": stored.trained, "steps": len(mu_law_steps()),
              "files": [_plain(one, model.sample_rate_hz) for one in found],
              "all": _plain(_together(found), model.sample_rate_hz)}
    if as_json:
        print(json.dumps(result, indent=2))
        return
    _show(result)


def _method(model: Model, name: str) -> Method:
    """The first that draws one channel of sound."""
    for own, spec in model.methods.items():
        if spec.out_ratio == spec.out_channels == 1 and Looped.of(model, own) is not None:
            return spec
    raise ConfigError(f"{name} draws no sound sample by sample, so no sound has a probability; "
                      "`tudor evaluate` measures what it does")


def _held(spec: Method, settings: Sequence[str]) -> dict[int, float]:
    """Conditions that stay, channel -> value."""
    held = {}
    for setting in settings:
        label, _, text = setting.partition("=")
        if label not in spec.input_labels:
            raise ConfigError(f"--set {setting}: {spec.name} has no condition {label!r}"
                              f"{nearest(label, spec.input_labels)}; it has "
                              f"{', '.join(spec.input_labels)}")
        try:
            held[spec.input_labels.index(label)] = float(text)
        except ValueError:
            raise ConfigError(f"--set {setting}: {text!r} is not a number") from None
    return held


def _score(model: Model, spec: Method, held: dict[int, float], path: Path) -> Scored:
    audio = _sound(path, model.sample_rate_hz)
    if len(audio) < spec.ratio:
        raise AudioError(f"{path} has {len(audio)} samples at {model.sample_rate_hz} Hz; "
                         f"{spec.name} draws at least {spec.ratio}")
    known = beside(path, audio, 0, spec, model.sample_rate_hz)
    asked = {}
    if known is not None:
        asked[WITH] = known.conditions
    if known is None or FREE in spec.input_labels:
        asked[WITHOUT if known is not None else WITH] = unasked(spec, len(audio))
    for rows in asked.values():
        for channel, value in held.items():
            rows[channel] = value
    steps = mu_law_steps()
    bits = {name: float(model_bits(model, spec.name, audio, steps, rows).mean())
            for name, rows in asked.items()}
    origin = None if known is None else "heard" if known.heard else "beside"
    return Scored(shown_name(path), len(audio), bits, origin)


def _sound(path: Path, rate_hz: int) -> FloatArray:
    """A file as one channel at the model's rate [samples]."""
    audio, rate = read_audio(path)
    wrong = unfit_rate(rate) or channels_refused(audio.shape[0], 1)
    if wrong:
        raise AudioError(f"{path} {wrong}")
    if not np.isfinite(audio).all():
        raise AudioError(f"{path} holds numbers that are not finite")
    return match_channels(resample(match_channels(audio, 1), rate, rate_hz), 1)[0]


def _together(found: Sequence[Scored]) -> Scored:
    """Every sample counts alike."""
    samples = sum(one.samples for one in found)
    names = set.intersection(*(set(one.bits) for one in found))
    bits = {name: sum(one.bits[name] * one.samples for one in found) / samples
            for name in (WITH, WITHOUT) if name in names}
    return Scored("all", samples, bits)


def _plain(one: Scored, rate_hz: int) -> dict[str, Any]:
    said = {} if one.conditions is None else {"conditions": one.conditions}
    return {"file": one.name, "seconds": round(one.samples / rate_hz, 3), **said,
            **{name: round(value, 4) for name, value in one.bits.items()}}


def _show(result: dict[str, Any]) -> None:
    free = WITHOUT in result["all"]
    table = Table(title=f"{escape(result['model'])}: bits of a sample, told in {result['steps']} "
                        "steps of mu-law", title_justify="left")
    table.add_column("sound", overflow="fold")
    for heading in ("seconds", "bits", *(("free", "conditions") if free else ())):
        table.add_column(heading, justify="right")
    for row in [*result["files"], *([result["all"]] if len(result["files"]) > 1 else [])]:
        cells = [f"{row['seconds']:.2f}", f"{row[WITH]:.3f}"]
        if free:
            cells += [f"{row[WITHOUT]:.3f}", row.get("conditions", "")]
        table.add_row(escape(row["file"]), *cells)
    console = wide_console(110)
    console.print(table)
    if not result["trained"]:
        console.print("the preset has no trained weights yet: this is its random start")
