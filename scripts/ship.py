"""Makes a shipped preset of a run: a coder of sound, loops, strokes, notes.

    python scripts/ship.py RUN NAME --source TEXT     all files of engine/presets/NAME.*
    python scripts/ship.py RUN NAME --exact ...       weights as they were trained
    python scripts/ship.py NAME NAME                  again, of the weights that it ships

The last is for a native format that has changed: files of the older one are still read.

The coder inside a model of loops must be a shipped preset: its weights ship there alone. All others
are rounded to 8 significant bits (bfloat16) unless `--exact` is given: written as float32 they then
pack into a third of the bytes, and every figure is measured with them as they ship.

`[model]` and `[training]` of NAME.toml are written anew, what stands there for people (`summary`,
`[card]`) stays. A new one gets a card of what the run tells; `--source` says, for each corpus, what
it learnt from.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.files import CONFIG_FILE, atomic_write
from engine.models.base import Model
from engine.models.loops import LoopModel
from engine.models.raw_vae import RawVAE
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.store import Stored, load_model
from engine.presets import (
    packed_path,
    preset_path,
    preset_settings,
    shipped_names,
    shipped_native,
)
from engine.presets.packed import pack
from scripts.places import places


class Made(NamedTuple):
    """What presets of a kind make: in a few words, and for a card; of which corpus, and for which
    board where a name does not say it."""

    summary: str
    purpose: str
    corpus: str
    board: str


# Which board a preset is for, by the end of its name, and the numbers that it plays.
BOARDS = {"tiny": ("pi4", "float32"), "daisy": ("daisy", "q16x8"), "pi": ("pi4", "float32"),
          "desktop": ("desktop", "float32")}
PLACES = {"daisy": "a Daisy", "pi4": "one core of a Raspberry Pi 4",
          "desktop": "one core of a laptop"}
ABOUT = "# What the card says and `make figures` cannot measure; docs/presets.md tells of the keys."
NUMBERS = re.compile(r"\[\n((?:    [\d.]+,\n)+)\]")  # a list that was written over several lines
LOOPS, STROKES, NOTES, SOUND = "loops", "strokes", "notes", "sound"  # what presets make
MADE: dict[str, Made] = {
    SOUND: Made("sound from its latents", "A sound, its latents, and sound from these again",
                "techno", "desktop"),
    LOOPS: Made("new techno loops in tempo", "New techno loops that nobody trained on, locked to a "
                "clock, steered while they play", "techno", "desktop"),
    STROKES: Made("drum strokes of a gate", "Drum strokes that nobody recorded, struck by a gate: "
                  "a class, a genre, mixtures of them, and numbers that say which", "drums",
                  "daisy"),
    NOTES: Made("notes of instruments, held by a gate",
                "Notes of instruments that nobody recorded, of an exact pitch, held as long as a "
                "gate: an instrument, mixtures of them, and numbers that say which",
                "instruments", "daisy")}
CODER = "codec."  # how the names of a coder's weights begin inside a model of loops
ALWAYS = ("objective", "data", "coder", "plan_contrast")  # kept, whatever is usual
OWN_KEYS = ("steps", "minutes", "seed", "start_from")  # of a run, not of what is trained


def ship(run: Path, name: str, sources: list[str], exact: bool = False) -> None:
    """Write every file of the preset."""
    from scripts import quantised
    from scripts.preset_measure import checked_card

    again = str(run) == name and name in shipped_names()
    if not again and not (run / CONFIG_FILE).is_file():
        raise SystemExit(f"{run} is no run of `tudor train`: it has no {CONFIG_FILE}")
    stored = load_model(str(run))
    model, coder = stored.model, str(stored.settings["training"].get("coder", ""))
    if isinstance(model, LoopModel):
        check_coder(model, coder, run)
    if not (exact or again):
        round_weights(model)
    settings = preset(stored.settings, name)
    about = people(name, run, stored.settings, sources, made_by(model))
    checked_card(about["card"], f"engine/presets/{name}.toml")
    native = exported(Stored(name, model, settings, True, stored.weights_path))
    for old in preset_path(name).parent.glob(f"{name}.*tudor"):
        old.unlink()
    with atomic_write(preset_path(name)) as temporary:
        temporary.write_text(toml(about, settings), "utf-8")
    whole, coder_native = preset_path(name).with_suffix(".tudor"), shipped_native(coder)
    with atomic_write(packed_path(name) if coder_native else whole) as temporary:
        temporary.write_bytes(pack(native, coder, coder_native.read_bytes())
                              if coder_native else native)
    written = shipped_native(name)
    assert written is not None
    with atomic_write(preset_path(name).with_suffix(".places")) as temporary:
        temporary.write_bytes(places(written, model))
    same_weights(name, model)
    if (dtype := about["card"]["dtype"]) != "float32":
        quantised.ready(name, dtype)
    for path in sorted(preset_path(name).parent.glob(f"{name}.*")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    print(f"{name}: its whole native file has {len(native):,} bytes")


def made_by(model: Model) -> Made | None:
    """The row of `MADE` that is about it; None: of this family a person writes the first card."""
    if isinstance(model, LoopModel):
        return MADE[LOOPS]
    if isinstance(model, SpectrogramGAN):
        return MADE[NOTES if model.config.pitched else STROKES]
    return MADE[SOUND] if isinstance(model, RawVAE) else None


def check_coder(model: LoopModel, coder: str, run: Path) -> None:
    """Give the model its coder's measured latents, if that is a shipped preset with the very
    weights."""
    if not coder or shipped_native(coder) is None:
        raise SystemExit(f"{run}: training.coder is {coder!r}; what ships wants a shipped preset")
    known = load_model(coder).model
    own = {} if model.codec is None else model.codec.state_dict()
    if own.keys() != known.state_dict().keys() or not all(
            torch.equal(own[key], values) for key, values in known.state_dict().items()):
        raise SystemExit(f"{run}: its coder has not the weights that {coder} ships now; train it "
                         "anew")
    model.adopt(known)


@torch.no_grad()
def round_weights(model: Model) -> None:
    """Matrices of all but the coder to the nearest number of 8 significant bits; biases, and what
    was measured, stay."""
    for key, values in model.named_parameters():
        if values.dim() > 1 and not key.startswith(CODER):
            values.copy_(values.bfloat16().float())
    model.changed()


def same_weights(name: str, model: Model) -> None:
    """That what was written gives the weights that were to be written, bit by bit."""
    from export.verify import weights_hash

    if weights_hash(load_model(name).model) != weights_hash(model):
        raise SystemExit(f"{name}: a weight does not come out of its native file as it went in")


def exported(stored: Stored) -> bytes:
    """The whole native file."""
    from export.targets import TARGETS, export_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stored.name}.tudor"
        export_model(stored, TARGETS["native"], path)
        return path.read_bytes()


# --- NAME.toml ------------------------------------------------------------------------------------


def preset(run: dict[str, Any], name: str) -> dict[str, Any]:
    """`[model]` and `[training]` of a run's settings, without what belongs to that run alone or is
    so anyway."""
    from training.run.config import training_config

    training = run["training"]
    usual = training_config({key: training[key] for key in ("objective", "data")},
                            run["model"]["family"]).model_dump(mode="json")
    kept = {key: value for key, value in training.items() if key in ALWAYS
            or (key not in OWN_KEYS and value != usual.get(key))}
    return {"model": run["model"], "training": kept}


def people(name: str, run: Path, settings: dict[str, Any], sources: list[str],
           made: Made | None) -> dict[str, Any]:
    """`summary` and `[card]`: what stands there, or what the run tells."""
    if preset_path(name).exists():
        before = preset_settings(name)
        found = {key: before[key] for key in ("summary", "card") if key in before}
        if "card" in found:
            return found
    if made is None:
        raise SystemExit(f"{name}: of {settings['model']['family']} nothing is known that a card "
                         f"says: write {name}.toml with a [card] first (docs/presets.md)")
    if not sources:
        raise SystemExit(f"{name} has no card yet: say what it learnt from with --source "
                         "'`tudor corpus techno --minutes 150 --seed 0`', once for each corpus")
    board, dtype = BOARDS.get(name.rpartition("-")[2], BOARDS[made.board])
    training = settings["training"]
    rate = settings["model"]["sample_rate_hz"] // 1000
    steps = max(json.loads(line)["step"]
                for line in (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return {"summary": f"{made.summary}, for {PLACES[board]} ({rate} kHz)", "card": {
        "purpose": f"{made.purpose}: for {PLACES[board]}.",
        "board": board, "dtype": dtype, "held_out": [made.corpus],
        "training": [f"`tudor train {name} --data FOLDER --seed {training['seed']}`: {steps:,} "
                     f"steps of {training['batch_size']} crops of {training['crop_seconds']:g} s"],
        "notes": "One seed. Nobody has judged it by ear.",
        "sources": [{"what": what, "licence": "MIT, as this project"} for what in sources]}}


def toml(about: dict[str, Any], settings: dict[str, Any]) -> str:
    """The file, as others are written."""
    text = "\n".join((tomli_w.dumps({"summary": about["summary"]}), tomli_w.dumps(settings), ABOUT,
                      tomli_w.dumps({"card": about["card"]})))
    return NUMBERS.sub(lambda found: f"[{', '.join(found[1].replace(',', '').split())}]", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--source", action="append", default=[],
                        help="what a new preset learnt from, as its card says it")
    parser.add_argument("--exact", action="store_true", help="round no weights")
    options = parser.parse_args()
    ship(options.run, options.name, options.source, options.exact)


if __name__ == "__main__":
    main()
