"""Measures the shipped presets, and renders what docs/sound.md shows and plays.

Into docs/sound/: NAME.json (figures of `tudor evaluate`, by what was heard), NAME-WHAT.mp3 and
.webp, and original-WHAT-RATE.* beside them. Material that has to be made lies in build/figures/.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import match_channels
from engine.files import atomic_write
from engine.presets import preset_settings, shipped_native

FloatArray = NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[1]
SOUND = ROOT / "docs" / "sound"
WORK = ROOT / "build" / "figures"
PARTS = WORK / "parts"
SAMPLES = Path("/usr/share/sonic-pi/samples")
CARD_KEYS = {"purpose", "board", "dtype", "held_out", "training", "sources"}
SEED = 1000  # of all that is held out; presets learn from other seeds
HELD = ("loop_amen", "loop_industrial", "loop_mika")
KEPT = ("model", "noise_128", "shifted", "original")  # subjects that cards show
MINUTES = {"techno": 2.0, "textures": 2.0}  # of material that is made; else one
CLIP = {"loop_amen": 1.75, "loop_industrial": 0.9, "loop_mika": 2.2}  # seconds that are played
OWN_SECONDS, OWN_EACH, GAP_SECONDS = 4.5, 2.0, 0.12


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


def card_of(name: str) -> dict[str, Any]:
    """What a preset's file says of it for people."""
    return checked_card(preset_settings(name).get("card", {}), f"engine/presets/{name}.toml")


def checked_card(card: dict[str, Any], file: str) -> dict[str, Any]:
    """A `[card]`, if it says all that a card must say."""
    from training.corpus.kinds import KINDS

    if missing := CARD_KEYS - set(card):
        raise SystemExit(f"{file}: [card] lacks {', '.join(sorted(missing))}; docs/presets.md says "
                         "what belongs there")
    if unknown := set(card) - CARD_KEYS - {"notes"}:
        raise SystemExit(f"{file}: [card] has {', '.join(sorted(unknown))}, which is no key; there "
                         f"are {', '.join(sorted(CARD_KEYS))} and notes")
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
    kinds = list(dict.fromkeys(card_of(name)["held_out"]))
    learnt = any("sonic-pi" in row["what"] for row in card_of(name)["sources"])
    found = [_made(kind, rate, channels) for kind in kinds]
    found.append(Material("other", "held out, another generator (`other_loops.py`)",
                          WORK / f"other-{rate}", lambda to: _other(to, rate)))
    found.append(Material("held", "real loops nobody trained on", WORK / "held",
                          lambda to: _recordings(to, HELD)))
    found.append(Material("loops", "all real loops" + (", most of them learnt from" if learnt
                                                       else ", none learnt from"),
                          WORK / "loops", lambda to: _recordings(to, ("loop_*",))))
    if "notes" not in kinds:
        found.append(_made("notes", rate, channels))
    return found


def _made(kind: str, rate_hz: int, channels: int) -> Material:
    def fill(folder: Path) -> None:
        from training.corpus.kinds import write_corpus

        write_corpus(kind, folder, MINUTES.get(kind, 1.0), SEED, rate_hz, channels)

    return Material(kind, f"held-out {kind}", WORK / f"{kind}-{rate_hz}-{channels}", fill)


def _other(folder: Path, rate_hz: int) -> None:
    from benchmarks.quality.other_loops import write_loops

    write_loops(folder, 1.0, SEED, rate_hz)


def _recordings(folder: Path, patterns: tuple[str, ...]) -> None:
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
        found["exported"] = part(name, Material(
            "exported", f"real loops nobody trained on, in {dtype}", WORK / "held",
            lambda to: _recordings(to, HELD)), lambda: _exported(name, dtype))
    clips = render(name)
    with atomic_write(SOUND / f"{name}.json") as temporary:
        temporary.write_text(json.dumps({"preset": name, "weights": digest(name), "clips": clips,
                                         "measured": found}, indent=1) + "\n", "utf-8")
    forget(name)


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
    out = WORK / f"{name}.{dtype}.tudor"
    subprocess.run([sys.executable, "-m", "nn_tudor.cli", "export", name, "--to", "native",
                    "--dtype", dtype, "--keep", "auto", "--out", str(out)], check=True, cwd=ROOT)
    return out


def trimmed(result: dict[str, Any]) -> dict[str, Any]:
    """What cards and pages show of a result of `evaluate_folder`, in four digits."""
    subjects = {name: row for name, row in result["sound"]["subjects"].items() if name in KEPT}
    return _short({"files": result["files"], "seconds": result["seconds"],
                   "results": {k: v for k, v in result["results"].items() if k in KEPT},
                   "sound": {**result["sound"], "subjects": subjects},
                   "standing": result["standing"]})


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.4g}")
    return value


# --- what is heard and seen -----------------------------------------------------------------------


def render(name: str) -> dict[str, str]:
    """Clips of a preset and of their originals; what each shows: {"real": title, KIND: title}."""
    from training.evaluation.evaluate import as_player
    from training.evaluation.subjects import play

    player = as_player(name)
    spec, rate = player.description.main, player.sample_rate_hz
    kind = card_of(name)["held_out"][0]
    own = next(m for m in materials(name) if m.key == kind)
    shown = {"real": "`loop_amen`, `loop_industrial`, `loop_mika`", kind: own.title}
    for what, audio in (("real", real_clip(rate)), (kind, own_clip(own.ready(), rate))):
        audio = match_channels(audio, spec.in_channels)
        _keep(f"original-{what}-{rate // 1000}k", audio, rate)
        _keep(f"{name}-{what}", play(player, audio), rate)
    return shown


def real_clip(rate_hz: int) -> FloatArray:
    """The beginnings of the recordings that nobody trains on, one after the other, mono."""
    return _joined([(SAMPLES / f"{name}.flac", seconds) for name, seconds in CLIP.items()], rate_hz)


def own_clip(folder: Path, rate_hz: int) -> FloatArray:
    """The first files of a folder, a few seconds of them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".wav", ".flac")]
    return _joined([(path, OWN_EACH) for path in paths], rate_hz)[
        :, : round(OWN_SECONDS * rate_hz)]


def _joined(parts: list[tuple[Path, float]], rate_hz: int) -> FloatArray:
    from training.data.audio_folder import scan
    from training.data.decode import read_range

    gap, found, have = np.zeros((1, round(GAP_SECONDS * rate_hz)), np.float32), [], 0.0
    for path, seconds in parts:
        if have >= 2 * OWN_SECONDS:
            break
        source = next(s for s in scan(path.parent).sources if s.path.name == path.name)
        count = round(min(seconds, source.seconds) * rate_hz)
        found += [match_channels(read_range(source, 0, count, rate_hz, 1), 1), gap]
        have += count / rate_hz + GAP_SECONDS
    return np.ascontiguousarray(np.concatenate(found, axis=1))


def _keep(stem: str, audio: FloatArray, rate_hz: int) -> None:
    """A sound as MP3 and as a picture."""
    import soundfile

    SOUND.mkdir(parents=True, exist_ok=True)
    mono = match_channels(audio, 1)[0]
    with atomic_write(SOUND / f"{stem}.mp3") as temporary:
        soundfile.write(temporary, np.clip(mono, -1, 1), rate_hz, format="MP3",
                        bitrate_mode="CONSTANT", compression_level=0.55)
    _picture(SOUND / f"{stem}.webp", mono, rate_hz)


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
