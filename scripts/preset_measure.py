"""Measures the shipped presets, and renders what docs/sound.md shows and plays.

Into docs/sound/: NAME.json (figures of `tudor evaluate`, by what was heard), and what
`preset_clips` makes: NAME-WHAT.mp3 and .webp, original-WHAT-RATE.* beside them. Material that has
to be made lies in build/figures/.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from engine.files import atomic_write
from engine.presets import preset_settings, shipped_names, shipped_native
from scripts.preset_clips import SAMPLES, SOUND, render

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "figures"
PARTS = WORK / "parts"
CARD_KEYS = {"purpose", "board", "dtype", "held_out", "training", "sources"}
SEED = 1000  # of all that is held out; presets learn from other seeds
NOTES = "notes"
LOOP_FAMILIES = ("latent_flow", "latent_vae")
STROKE_FAMILIES = ("spectrogram_gan",)


class Recordings(NamedTuple):
    """Real sound that a preset is measured on, by what it is for: names of recordings that nobody
    learns from, and of all of that kind."""

    title: str
    them: str
    held: tuple[str, ...]
    every: tuple[str, ...]


RECORDINGS = {
    "loops": Recordings("real loops", "them", ("loop_amen", "loop_industrial", "loop_mika"),
                        ("loop_*",)),
    "ambient": Recordings("real ambient sound", "it", ("ambi_choir",), ("ambi_*",))}
KEPT = ("model", "noise_128", "shifted", "original")  # subjects that cards show
MINUTES = {"techno": 2.0, "textures": 2.0}  # of material that is made; else one


@dataclass(frozen=True)
class Material:
    """Sound that a preset is measured on: its key, what tables call it, and what makes it."""

    key: str
    title: str
    folder: Path
    fill: Callable[[Path], object]

    def ready(self) -> Path:
        """The folder, filled."""
        done = self.folder.parent / f"{self.folder.name}.done"
        if not done.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.fill(self.folder)
            done.touch()
        return self.folder


def draws(name: str) -> bool:
    """Whether a preset draws sound from notes."""
    return bool(preset_settings(name)["training"].get("objective") == "autoregressive")


def makes_loops(name: str) -> bool:
    """Whether a preset makes loops from nothing."""
    return bool(preset_settings(name)["model"]["family"] in LOOP_FAMILIES)


def makes_strokes(name: str) -> bool:
    """Whether a preset is a voice that a gate triggers."""
    return bool(preset_settings(name)["model"]["family"] in STROKE_FAMILIES)


def codes(name: str) -> bool:
    """Whether a preset codes sound that it is given."""
    return not (draws(name) or makes_loops(name) or makes_strokes(name))


def drawn_names() -> list[str]:
    """Shipped presets that draw."""
    return [name for name in shipped_names() if draws(name)]


def coded_names() -> list[str]:
    """Shipped presets that code what they are given."""
    return [name for name in shipped_names() if codes(name)]


def loop_names() -> list[str]:
    """Shipped presets that make loops."""
    return [name for name in shipped_names() if makes_loops(name)]


def stroke_names() -> list[str]:
    """Shipped presets that a gate triggers."""
    return [name for name in shipped_names() if makes_strokes(name)]


def card_of(name: str) -> dict[str, Any]:
    """What a preset's file says of it for people."""
    return checked_card(preset_settings(name).get("card", {}), f"engine/presets/{name}.toml")


def checked_card(card: dict[str, Any], file: str) -> dict[str, Any]:
    """A `[card]`, if it says all that a card must say."""
    from training.corpus.kinds import KINDS

    if missing := CARD_KEYS - set(card):
        raise SystemExit(f"{file}: [card] lacks {', '.join(sorted(missing))}; docs/presets.md says "
                         "what belongs there")
    if unknown := set(card) - CARD_KEYS - {"notes", "recordings"}:
        raise SystemExit(f"{file}: [card] has {', '.join(sorted(unknown))}, which is no key; there "
                         f"are {', '.join(sorted(CARD_KEYS))}, notes and recordings")
    if card.get("recordings", "loops") not in RECORDINGS:
        raise SystemExit(f"{file}: card.recordings is {card['recordings']!r}; wanted one of "
                         f"{', '.join(RECORDINGS)}")
    if not card["held_out"] or set(card["held_out"]) - set(KINDS):
        raise SystemExit(f"{file}: card.held_out is {card['held_out']}; wanted kinds of "
                         f"`tudor corpus`: {', '.join(KINDS)}")
    if not card["sources"] or not all(row.get("what") and row.get("licence")
                                      for row in card["sources"]):
        raise SystemExit(f"{file}: each of [[card.sources]] needs `what` and `licence`")
    return card


def materials(name: str) -> list[Material]:
    """What a preset is measured on: held-out sound of the kinds it learnt from, an independent
    generator, recordings, notes."""
    settings = preset_settings(name)
    rate = settings["model"]["sample_rate_hz"]
    channels = settings["model"].get("channels", 1)
    card, real = card_of(name), recordings(name)
    kinds = list(dict.fromkeys(card["held_out"]))
    learnt = any("sonic-pi" in row["what"] for row in card["sources"])
    found = [_made(kind, rate, channels) for kind in kinds]
    if real is RECORDINGS["loops"]:
        found.append(Material("other", "held out, another generator (`other_loops.py`)",
                              WORK / f"other-{rate}", lambda to: _other(to, rate)))
    folders = [WORK / part if real is RECORDINGS["loops"] else WORK / f"ambient-{part}"
               for part in ("held", "loops")]
    found.append(Material("held", f"{real.title} nobody trained on", folders[0],
                          lambda to: link_recordings(to, real.held)))
    share = f"most of {real.them}" if learnt else "none"
    found.append(Material("loops", f"all {real.title}, {share} learnt from", folders[1],
                          lambda to: link_recordings(to, real.every)))
    if NOTES not in kinds and real is RECORDINGS["loops"]:
        found.append(_made(NOTES, rate, channels))
    return found


def recordings(name: str) -> Recordings:
    """The real sound that a preset is measured on."""
    return RECORDINGS[card_of(name).get("recordings", "loops")]


def _made(kind: str, rate_hz: int, channels: int) -> Material:
    def fill(folder: Path) -> None:
        from training.corpus.kinds import write_corpus

        write_corpus(kind, folder, MINUTES.get(kind, 1.0), SEED, rate_hz, channels)

    return Material(kind, f"held-out {kind}", WORK / f"{kind}-{rate_hz}-{channels}", fill)


def _other(folder: Path, rate_hz: int) -> None:
    from benchmarks.quality.other_loops import write_loops

    write_loops(folder, 1.0, SEED, rate_hz)


def link_recordings(folder: Path, patterns: tuple[str, ...]) -> None:
    """Links to the recordings of such names, in a new folder."""
    found = [path for pattern in patterns for path in sorted(SAMPLES.glob(f"{pattern}.flac"))]
    if len(found) < len(patterns):
        raise SystemExit(f"{SAMPLES} lacks the recordings that presets are measured on: "
                         "apt install sonic-pi-samples")
    folder.mkdir(parents=True)
    for path in found:
        (folder / path.name).symlink_to(path)


def digest(name: str) -> str:
    """Of the weights as shipped."""
    native = shipped_native(name)
    assert native is not None, f"{name} ships no weights"
    return hashlib.sha256(native.read_bytes()).hexdigest()


def measured(name: str, folder: Path = SOUND) -> dict[str, Any] | None:
    """What was measured of a preset, with whatever weights."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def current(name: str) -> bool:
    """Whether what was measured was measured with the weights that are shipped."""
    found = measured(name)
    return found is not None and found["weights"] == digest(name)


def measure(name: str) -> None:
    """Everything of a preset: minutes of one core. What a run that was stopped has measured with
    the same weights is not measured again."""
    found = {material.key: part(name, material) for material in materials(name)}
    if (dtype := card_of(name)["dtype"]) != "float32":
        held = next(material for material in materials(name) if material.key == "held")
        found["exported"] = part(name, replace(
            held, key="exported", title=f"{held.title}, in {dtype}"),
            lambda: _exported(name, dtype))
    own = materials(name)[0]
    clips = render(name, own.key, own.title, own.ready(), card_of(name).get("recordings", "loops"))
    with atomic_write(SOUND / f"{name}.json") as temporary:
        temporary.write_text(told({"preset": name, "weights": digest(name), "clips": clips,
                                   "measured": found}), "utf-8")
    forget(name)


def told(found: dict[str, Any]) -> str:
    """JSON with a line for each material, so that a change is seen where it is."""
    head = [f'"{key}": {json.dumps(value)},' for key, value in found.items() if key != "measured"]
    rows = [f' "{key}": {json.dumps(row)}' for key, row in found["measured"].items()]
    return "\n".join(["{", *head, '"measured": {', ",\n".join(rows), "}}"]) + "\n"


def part(name: str, material: Material, model: Callable[[], Path] | None = None) -> dict[str, Any]:
    """Figures of a preset, or of what `model` makes of it, on one material."""
    from training.evaluation.evaluate import evaluate_folder

    kept = PARTS / f"{name}-{digest(name)[:16]}-{material.key}.json"
    if kept.exists():
        return json.loads(kept.read_text("utf-8"))
    print(f"{name}: {material.title}", flush=True)
    result = evaluate_folder(model() if model else name, material.ready(), only=KEPT)
    found = {"title": material.title, **trimmed(result)}
    PARTS.mkdir(parents=True, exist_ok=True)
    with atomic_write(kept) as temporary:
        temporary.write_text(json.dumps(found), "utf-8")
    return found


def forget(name: str) -> None:
    """What was measured of a preset and not written yet."""
    for path in PARTS.glob(f"{name}-*.json"):
        path.unlink()


def _exported(name: str, dtype: str) -> Path:
    from scripts.quantised import ready

    return ready(name, dtype)


def trimmed(result: dict[str, Any]) -> dict[str, Any]:
    """What cards and pages show of a result of `evaluate_folder`, in four digits."""
    subjects = {name: row for name, row in result["sound"]["subjects"].items() if name in KEPT}
    return short({"files": result["files"], "seconds": result["seconds"],
                   "results": {k: v for k, v in result["results"].items() if k in KEPT},
                   "sound": {**result["sound"], "subjects": subjects},
                   "standing": result["standing"]})


def short(value: Any) -> Any:
    """Numbers in four digits."""
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [short(each) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.4g}")
    return value
