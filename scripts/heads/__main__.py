"""Heads for notes and chords, each trained for the same processor time on the same sounds.

    tudor corpus notes notes --seed 5 --minutes 10
    tudor corpus notes font --seed 9 --minutes 6 --soundfont MuseScore_General.sf3
    tudor corpus breaks breaks --seed 5 --minutes 10
    python -m scripts.heads --notes notes --notes font --drums breaks --out heads --minutes 3

Instruments of the soundfont whose programs are in `sounds.HELD_PROGRAMS` are for judging. Heads
take turns, so that a busy machine is as slow for each. The same command goes on where it was
stopped; with fewer minutes it judges what there is. `--ceilings` trains nothing: a minute or two.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.files import atomic_write
from scripts.heads.ceilings import ceilings
from scripts.heads.rows import ROWS
from scripts.heads.sounds import RATE, Material, material
from training.evaluation.texture import spectrogram
from training.evaluation.tonality import bands, fine_structure, window_samples
from training.objectives.energy import compare

BATCH, CROP = 8, RATE
LEARNING_RATE, EMA, WARM = 4e-3, 0.99, 30  # steps


class Training:
    """One head and its training, which goes on a slice of processor time at a time. The rate stays
    as it is and weights are averaged, so that it may end at any moment."""

    def __init__(self, name: str, sounds: Material, out: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self.name, self.model = name, ROWS[name].make()
        self.rng, self.generator = np.random.default_rng(seed), torch.get_rng_state()
        self.audio = torch.from_numpy(sounds.train.audio)
        self.known = prepared(self.model, name, sounds, out)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.weights]
        self.adam = torch.optim.Adam(self.weights, LEARNING_RATE, betas=(0.9, 0.99))
        self.steps, self.seconds, self.path = 0, 0.0, out / f"{name}.pt"
        if self.path.exists():
            self._load()

    def _load(self) -> None:
        kept = torch.load(self.path, weights_only=False)
        self.model.load_state_dict(kept["model"])
        self.adam.load_state_dict(kept["adam"])
        for name in ("average", "generator", "rng", "steps", "seconds"):
            setattr(self, name, kept[name])

    def save(self) -> None:
        own = {name: getattr(self, name)
               for name in ("average", "generator", "rng", "steps", "seconds")}
        with atomic_write(self.path) as temporary:
            torch.save({"model": self.model.state_dict(), "adam": self.adam.state_dict(), **own},
                       temporary)

    def turn(self, seconds: float) -> None:
        """Learn for so much processor time."""
        torch.set_rng_state(self.generator)
        self.model.train()
        begin = time.process_time()
        while (spent := time.process_time() - begin) < seconds:
            self.adam.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (self.steps + 1) / WARM)
            self.step()
        self.seconds += spent
        self.generator = torch.get_rng_state()
        self.save()

    def step(self) -> None:
        hop, frames = self.model.hop, CROP // self.model.hop
        chosen = self.rng.integers(len(self.audio), size=BATCH)
        starts = self.rng.integers(self.audio.shape[1] // hop - frames + 1, size=BATCH)
        places = list(zip(chosen, starts, strict=True))
        x = torch.stack([self.audio[i, s * hop : s * hop + CROP] for i, s in places])
        told = torch.stack([self.known[i, :, s : s + frames] for i, s in places])
        loss = self.model.loss(x[:, None], told)
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.adam.step()
        self.steps += 1
        with torch.no_grad():
            for mean, weight in zip(self.average, self.weights, strict=True):
                mean.lerp_(weight, max(1 - EMA, 1 / self.steps))

    def result(self, sounds: Material, seed: int) -> dict[str, Any]:
        """What the averaged weights are worth."""
        now = [p.detach().clone() for p in self.weights]
        self.model.eval()
        with torch.no_grad():
            for mean, weight in zip(self.average, self.weights, strict=True):
                weight.copy_(mean)
            found = judged(self.model, sounds)
            for own, weight in zip(now, self.weights, strict=True):
                weight.copy_(own)
        return {"name": self.name, "title": ROWS[self.name].title, "steps": self.steps,
                "seed": seed, "minutes": round(self.seconds / 60, 2), "found": found,
                "weights": sum(p.numel() for p in self.weights)}


def prepared(model: Any, name: str, sounds: Material, out: Path) -> Tensor:
    """What a head is told of each piece, kept in a file."""
    path = out / f"{name}.known.pt"
    if not path.exists():
        audio, truth = (torch.from_numpy(x) for x in (sounds.train.audio, sounds.train.truth))
        with torch.no_grad(), atomic_write(path) as temporary:
            torch.save(torch.cat([model.prepare(*part) for part in
                                  zip(audio.split(25), truth.split(25), strict=True)]), temporary)
    return torch.load(path)


def judged(model: Any, sounds: Material) -> dict[str, Any]:
    """Energy score and fine structure of each kind of sound."""
    torch.manual_seed(0)
    found = {}
    for name, pieces in sounds.held.items():
        scores, fines = [], []
        for i, piece in enumerate(pieces):
            count = len(piece) // 512 * 512
            audio = torch.from_numpy(piece[None, :count])
            truth = sounds.truth[name][i] if sounds.truth[name] else np.zeros((6, count // 64))
            told = model.prepare(audio, torch.from_numpy(truth[None, :, : count // 64]).float())
            a, b, wanted = (y.numpy() for y in model.play(audio[:, None], told))
            scores.append(_score(a, b, wanted))
            size = window_samples(RATE)
            fines.append(fine_structure(*(spectrogram(y, size) for y in (a, wanted)), RATE))
        found[name] = {"energy_score": float(np.mean(scores)),
                       "fine": [float(v) for v in np.nanmean(np.array(fines), axis=0)]}
    return found


def _score(a: Any, b: Any, wanted: Any) -> float:
    return float(compare(tuple(torch.from_numpy(np.ascontiguousarray(y)) for y in (a, b)),
                         torch.from_numpy(np.ascontiguousarray(wanted))).score)


def table(results: list[dict[str, Any]]) -> str:
    kinds = list(results[0]["found"])
    edges = ", ".join(f"{low:.0f}-{high:.0f}" for low, high in bands(RATE))
    lines = [f"Energy score · fine structure in {edges} Hz; {results[0]['minutes']:g} minutes of "
             f"processor time each, seed {results[0]['seed']}", "",
             f"| head | steps | weights | {' | '.join(kinds)} |",
             "|---|" + "---|" * (2 + len(kinds))]
    for row in results:
        cells = [f"{row['found'][kind]['energy_score']:.3f} · "
                 + " ".join(f"{v:.2f}".replace("0.", ".", 1) for v in row["found"][kind]["fine"])
                 for kind in kinds]
        lines.append(f"| {row['title']} | {row['steps']} | {row['weights']} | "
                     + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=Path, action="append", required=True)
    parser.add_argument("--drums", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0, help="of processor time for each")
    parser.add_argument("--slice", type=float, default=12.0, help="seconds of a turn")
    parser.add_argument("--pieces", type=int, default=300, help="of 2 s, to learn from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ceilings", action="store_true", help="train nothing: what could be")
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    sounds = material(given.notes, given.drums, given.pieces, given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    if given.ceilings:
        rows = [{"title": title, "steps": 0, "weights": 0, "seed": given.seed, "minutes": 0.0,
                 "found": judged(make(), sounds)} for title, make in ceilings(sounds).items()]
        _told(rows, given.out, "ceilings")
        return
    heads = [Training(name, sounds, given.out, given.seed) for name in given.only]
    while min(head.seconds for head in heads) < 60 * given.minutes:
        head = min(heads, key=lambda head: head.seconds)
        head.turn(given.slice)
        print(f"{head.name}: {head.seconds:.0f} s, {head.steps} steps", flush=True)
    _told([head.result(sounds, given.seed) for head in heads], given.out, "results")


def _told(results: list[dict[str, Any]], out: Path, name: str) -> None:
    for path, text in ((out / f"{name}.json", json.dumps(results, indent=1)),
                       (out / f"{name}.md", table(results) + "\n")):
        with atomic_write(path) as temporary:
            temporary.write_text(text, "utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
