"""`make demo`: the whole walk from a folder of sounds to exports, in a few minutes.

Every step is a command that a user could type; each is printed before it runs, and what the steps
leave behind is gathered into `report.html`. Run again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.audio import match_channels, write_audio
from engine.errors import TudorError
from engine.friendly import friendly
from engine.players.base import FloatArray
from engine.presets import shipped_names

if TYPE_CHECKING:
    from training.data.audio_folder import Source

PRESET = "techno-tiny"
LOOP_PRESETS = ("loops-pi", "loops-tiny")  # the first that ships plays the last step
NEW_LOOPS = ((1, 122), (2, 128), (3, 136))  # seed and BPM of each
NEW_BARS = 4
TRAIN_SEED, HELD_OUT_SEED = 0, 1000
LISTEN_SECONDS = 20  # of a held-out sound, however long it is
JUDGED_SECONDS, JUDGED_FILES_SECONDS = 60, 300  # of one held-out file, and of all of them
QUIET = 1e-3  # what is listened to begins where the sound is louder


@dataclass
class Demo:
    """Where things go, and what the steps found out."""

    out: Path
    minutes: float
    data: Path | None
    corpus_minutes: float
    commands: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def call(self, program: str, *args: object, keep: Path | None = None) -> None:
        """Run `tudor ...` or `rtf-bench ...` as a user would; `keep` receives its stdout."""
        words = [str(a) for a in args]
        shown = " ".join([program, *words]) + (f" > {keep}" if keep else "")
        print(f"\n$ {shown}", flush=True)
        self.commands.append(shown)
        module = {"tudor": "nn_tudor.cli", "rtf-bench": "benchmarks.commands"}[program]
        started = time.perf_counter()
        code, told = _outlast([sys.executable, "-m", module, *words], keep is not None)
        step = f"{program} {words[0]}" if program == "tudor" else program
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started
        if code == 1:  # the step has said what is wrong
            raise SystemExit(1)
        if code:
            raise TudorError(f"the step above ended with exit code {code}")
        if keep:
            keep.write_text(told)

    def corpus(self) -> tuple[Path, Path]:
        """Synthesised loops to train on, and others held out."""
        loops, held_out = self.out / "loops", self.out / "held_out"
        for folder, minutes, seed in ((loops, self.corpus_minutes, TRAIN_SEED),
                                      (held_out, max(1.0, self.corpus_minutes / 6), HELD_OUT_SEED)):
            if not (folder / "metadata.csv").exists():
                self.call("tudor", "corpus", "techno", folder, "--minutes", minutes,
                          "--seed", seed)
        return loops, held_out

    def train(self) -> Path:
        """Train in `run`; returns a folder of sounds that it never learnt from."""
        run = self.out / "run"
        if self.data is None:
            loops, held_out = self.corpus()
        elif self.data.is_dir():
            loops, held_out = self.data, self.out / "held_out"
        else:
            raise TudorError(f"DATA={self.data} is not a folder")
        self.call("tudor", "train", PRESET, "--data", loops, "--out", run,
                  "--minutes", self.minutes)
        if self.data is not None:
            gather_held_out(self.data, run, held_out)
        return held_out

    def export(self) -> list[Path]:
        """The trained run for every target that this installation has."""
        from export.targets import TARGETS

        files = []
        for name, target in TARGETS.items():
            if not target.available:
                continue
            path = self.out / f"{PRESET}{target.suffix}"
            self.call("tudor", "export", self.out / "run", "--to", name, "--out", path)
            files.append(path)
        self.call("tudor", "verify", *files, "--against", self.out / "run", "--json",
                  keep=self.out / "verify.json")
        return files

    def play(self, files: list[Path], source: Path) -> list[Path]:
        """A held-out loop through each export, lined up with the original for the ear."""
        sounds = []
        for file in files:
            sound = self.out / f"out_{file.suffix[1:]}.wav"
            self.call("tudor", "run", file, source, sound, "--align")
            sounds.append(sound)
        return sounds

    def new_loops(self) -> list[Path]:
        """Loops that nobody trained on, from nothing, by a preset that makes some."""
        name = next((name for name in LOOP_PRESETS if name in shipped_names()), None)
        if name is None:
            return []
        sounds = []
        for seed, bpm in NEW_LOOPS:
            sounds.append(self.out / f"new_loop_{seed}.wav")
            self.call("tudor", "generate", name, sounds[-1], "--bars", NEW_BARS, "--tempo", bpm,
                      "--seed", seed)
        return sounds

    def run(self) -> Path:
        """Everything; returns the report."""
        self.out.mkdir(parents=True, exist_ok=True)
        held_out, run = self.train(), self.out / "run"
        self.call("tudor", "evaluate", run, "--data", held_out, "--json",
                  keep=self.out / "evaluation.json")
        files = self.export()
        source = self.out / "held_out_loop.wav"
        _copy_sound(held_out, source)
        sounds = self.play(files, source)
        self.call("rtf-bench", *files, "--block", "128,512,2048", "--seconds", 5,
                  "--json", self.out / "bench.json", "--plot", self.out / "bench.png")
        new = self.new_loops()
        from nn_tudor.report import write_report

        return write_report(self.out, source, sounds, new, self.commands, self.seconds)


def _outlast(command: list[str], keep: bool) -> tuple[int, str]:
    """Exit code and, if kept, stdout of a step. Ctrl-C reaches the step as well: it may have
    something to save, for which `subprocess.run` would leave it a quarter of a second."""
    pressed = False
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE if keep else None) as process:
        while True:
            try:
                told, _ = process.communicate()
                break
            except KeyboardInterrupt:
                pressed = True
    if pressed:
        raise KeyboardInterrupt
    return process.returncode, told or ""


def gather_held_out(data: Path, run: Path, held_out: Path) -> None:
    """What `run` validates with and never learns from, in one folder: whole files as links, ends
    of files and the beginning of very long ones as copies; no more than can be scored in a few
    minutes."""
    from training.data.audio_folder import scan
    from training.data.held_out import read_held_out

    sources: dict[str, Source] = {source.name: source for source in scan(data).sources}
    shutil.rmtree(held_out, ignore_errors=True)
    held_out.mkdir(parents=True)
    left = float(JUDGED_FILES_SECONDS)
    for index, place in enumerate(read_held_out(run)):
        source = sources.get(place.name)
        if source is None or left <= 0:
            continue
        seconds = source.seconds - place.start_seconds
        name = f"{index:03d}_{source.path.name}"
        if place.start_seconds == 0 and seconds <= JUDGED_SECONDS:
            (held_out / name).symlink_to(source.path.resolve())
        else:
            seconds = min(seconds, JUDGED_SECONDS)
            audio, rate = _listen(source, place.start_seconds, seconds)
            write_audio((held_out / name).with_suffix(".wav"), audio, rate)
        left -= seconds
    if left == JUDGED_FILES_SECONDS:
        raise TudorError(f"{data} holds too little sound to keep some of it back for scoring; "
                         "give at least a few seconds")


def _listen(source: Source, start_seconds: float, seconds: float) -> tuple[FloatArray, int]:
    """A stretch of a file as it is, [channels, samples], and its rate."""
    from training.data.decode import read_range

    rate = source.sample_rate_hz
    return read_range(source, round(start_seconds * rate), round(seconds * rate), rate,
                      source.channels), rate


def _copy_sound(folder: Path, out: Path) -> None:
    """`LISTEN_SECONDS` of the first sound of `folder`, from where it is heard, as a WAV."""
    from training.data.audio_folder import scan

    found = None
    for source in scan(folder).sources:
        audio, rate = _listen(source, 0.0, 2 * JUDGED_SECONDS)
        loud = np.flatnonzero(np.abs(audio).max(axis=0) > QUIET)
        if found is None or len(loud):
            first = int(loud[0]) if len(loud) else 0
            found = audio[:, first : first + LISTEN_SECONDS * rate], rate
        if len(loud):
            break
    assert found is not None  # what was scored is there
    audio, rate = found
    write_audio(out, audio if len(audio) <= 2 else match_channels(audio, 1), rate)


def main(argv: list[str] | None = None) -> None:
    """Entry point of `make demo`."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--data", type=Path, help="your own folder of sounds")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training")
    parser.add_argument("--corpus-minutes", type=float, default=8.0)
    args = parser.parse_args(argv)
    with friendly():
        started = time.perf_counter()
        report = Demo(args.out, args.minutes, args.data, args.corpus_minutes).run()
        _print_summary(args.out, report, time.perf_counter() - started)


def _print_summary(out: Path, report: Path, seconds: float) -> None:
    from training.evaluation.sound_table import summary

    evaluation: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    results = evaluation["results"]
    print("\nhow it sounds, on loops it has never heard:")
    for line in summary(evaluation):
        print(f"  {line}")
    print("\nspectral distance on the same (low is smooth, not good; see docs/evaluation.md):")
    for name in ("model", "untrained", "noise_2048", "noise_128"):
        print(f"  {name:11s} {results[name]['spectral_distance']:.3f}")
    print(f"\n{report} shows everything; the walk took {seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
