"""Judge "loops" of a model that plays loops (`engine/models/loops.py`): it is asked for loops at
the tempi, in the styles and with the knobs of the held-out ones, from codes that are made up.

    figures     of three draws, beside copies through the codec and floors that need no model
    code        whether the code of a held-out loop brings its rhythm back
    knobs       whether density, brightness and loudness are obeyed
    repeat      how far bars are apart when nothing is to vary
    path        from loop to loop along a line between two codes, beside a crossfade of the sounds
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models.loops import LoopModel
from engine.models.loops_config import STYLE, VARIATION, knob
from engine.scores import loops as rows
from engine.scores.loops import KNOBS
from training.data.audio_folder import scan
from training.data.loop_cache import LEAST_SECONDS
from training.data.loop_facts import LoopFacts, Told, bars_by_length, facts_of, read_table
from training.evaluation import loop_table
from training.evaluation.judges.case import Case, Part
from training.evaluation.judges.findings import Findings, keep_sound
from training.evaluation.judges.generating import played
from training.evaluation.judges.loops import LoopJudge, Loops, evaluate_loops
from training.evaluation.judges.sounds import learnt
from training.evaluation.loop_controls import code_rank, knob_response
from training.evaluation.loop_floors import tiled
from training.evaluation.loop_measures import measured_knobs
from training.evaluation.loop_paths import Path, path_figures, repeat_errors
from training.evaluation.loop_targets import LINE, target_grid

FloatArray = NDArray[np.float32]
MOST_LOOPS, LEARNT_LOOPS = 50, 200
KNOB_LOOPS = 36  # that are made to see whether knobs are obeyed
KNOB_REACH = 1.2  # standard deviations to either side
PATHS, PATH_BARS, PATH_BPM = 8, 16, 125.0
REPEAT_BARS = 4
KEPT = 3  # sounds for the page
LONG_LOOPS = 4  # that go on for long, at the tempi of as many held-out ones
DRIFT_MOST_SECONDS = 60.0  # of their beginning and end


def judge(case: Case) -> Findings:
    """All of it; what cannot be had is said in a note."""
    case.progress("held-out loops")
    rate, spec = case.player.sample_rate_hz, case.description.main
    parts = case.held_out(scan(case.folder), spec.out_channels)[:MOST_LOOPS]
    table = read_table(case.folder)
    known = [(part.source.name, part.audio(rate, spec.out_channels).mean(axis=0))
             for part in parts]
    facts = [facts_of(sound, rate, name, table) for name, sound in known]
    length = round(case.seconds * rate)
    real = Loops([tiled(sound, length) for _, sound in known], [each.bpm for each in facts])
    before, why = learnt(case)
    heard = _learnt(before[:: -(-len(before) // LEARNT_LOOPS) or 1], rate, spec.out_channels,
                    length)
    ask = _Asker(case, facts)
    case.progress("what the model makes")
    draws = [Loops(ask.sounds(seed), real.bpm) for seed in range(max(1, case.seeds))]
    ruler = LoopJudge(real, rate, heard)
    case.progress("figures")
    result = evaluate_loops(real, draws, rate, heard, _others(case, real, heard, length),
                            case.baselines, ruler)
    result = {**case.facts("loops", len(real), sum(map(len, real.sounds)) / rate), **result}
    grids = loop_table.grids(result, case.player.name)
    notes = [*case.notes(), *loop_table.NOTES]
    if why:
        notes.append(f"nothing is said of copies: {why}")
    case.progress("knobs, code, repeats, paths")
    result["knobs"] = ask.knobs()
    grids.append(loop_table.knob_grid(result["knobs"]))
    result["repeat"] = ask.repeats()
    notes.append("bars that are to be the same differ by "
                 + ", ".join(f"{error:.4f}" for error in result["repeat"])
                 + " of twice the latents' variance, from the second on")
    result["code_rank"] = ask.code_rank(ruler, [sound for _, sound in known], length)
    if result["code_rank"] is not None:
        notes.append(f"code of a held-out loop: its own rhythm ranks at {result['code_rank']:.2f} "
                     "(0: always first, 0.5: chance)")
    result["paths"] = ask.paths(ruler)
    grids += [loop_table.path_grid(result["paths"]), target_grid(result)]
    if case.long_seconds:
        case.progress(f"{case.long_seconds:.0f} s without a stop")
        result["long"] = ask.long(ruler)
        grids.append(loop_table.long_grid(result["long"]))
    kept = [(f"loop_{i + 1}.wav", f"made, at {bpm:.0f} BPM", sound) for i, (sound, bpm) in
            enumerate(zip(draws[0].sounds[:KEPT], real.bpm, strict=False))]
    kept.append(("held_out.wav", f"held out: {known[0][0]}", real.sounds[0]))
    return Findings(result, grids, notes, [], [
        (file, said) for file, said, sound in kept
        if keep_sound(case.out, file, sound[None], rate)])


class _Asker:
    """Asks the model for loops."""

    def __init__(self, case: Case, facts: list[LoopFacts]) -> None:
        self.case, self.facts, self.rate = case, facts, case.player.sample_rate_hz
        self.spec = case.description.main
        self.labels = self.spec.input_labels
        self.units = case.description.provenance.get("conditions", {})
        self.codes = len(rows.code_places(self.labels))
        self.held = case.set_up(case.player)

    def sounds(self, seed: int) -> list[FloatArray]:
        """A mono sound for each held-out loop; the code of each is made up."""
        return self._played([self._said(facts, rows.made_up_code(self.codes, 1000 * seed + i))
                             for i, facts in enumerate(self.facts)], self.case.seconds)

    def long(self, ruler: LoopJudge) -> dict[str, Any]:
        """Loops that go on without a stop, noise always new: figures of their beginning and of
        their end, neither without what came before."""
        seconds = self.case.long_seconds
        facts = [self.facts[i % len(self.facts)] for i in range(LONG_LOOPS)]
        said = [self._said(each, rows.made_up_code(self.codes, 5000 + i), seconds)
                for i, each in enumerate(facts)]
        made = Loops(self._played(said, seconds), [each.bpm for each in facts])
        part = min(DRIFT_MOST_SECONDS, seconds / 2)
        return {"seconds": seconds, "loops": len(made), "part_seconds": part,
                **ruler.ends(made, part)}

    def _said(self, facts: LoopFacts, code: FloatArray, seconds: float = 0.0) -> FloatArray:
        """Conditions for a loop like the one of `facts`; of the usual length unless told."""
        bars = (seconds or self.case.seconds) / rows.bar_seconds(facts.bpm)
        x = rows.conditions(self.labels, self.spec.in_ratio, self.rate, bars, facts.bpm, code)
        for name, value in zip(KNOBS, facts.knobs, strict=True):
            unit = self.units.get(name)
            if unit:
                x[self.labels.index(name)] = knob(value, unit["mean"], unit["std"])
        place = self.units.get("styles", {}).get(facts.style)
        if place is not None and STYLE[0] in self.labels:
            at = self.labels.index(STYLE[0])
            x[at : at + len(STYLE)] = np.array(place)[:, None]
        if VARIATION in self.labels:
            x[self.labels.index(VARIATION)] = 1.0
        for channel, value in self.held.items():
            x[channel] = value
        return x

    def _played(self, asked: list[FloatArray], seconds: float) -> list[FloatArray]:
        """Sounds of conditions [conditions, frames], all at once."""
        longest = max(each.shape[1] for each in asked)
        unit = self.spec.in_frames
        x = np.stack([np.pad(each, ((0, 0), (0, -(-longest // unit) * unit - each.shape[1])),
                             mode="edge") for each in asked])
        player = self.case.streams(len(asked))
        self.case.set_up(player)
        y = played(player, x).mean(axis=1)
        return list(y[:, : round(seconds * self.rate)].astype(np.float32))

    def knobs(self) -> dict[str, Any]:
        """`knob_response` to knobs that are turned at random, the code and all else being free."""
        rng = np.random.default_rng(0)
        asked = {name: rng.uniform(-KNOB_REACH, KNOB_REACH, KNOB_LOOPS) for name in KNOBS}
        said = []
        for i in range(KNOB_LOOPS):
            x = self._said(self.facts[i % len(self.facts)],
                           rows.made_up_code(self.codes, 77000 + i))
            for name in KNOBS:
                x[self.labels.index(name)] = asked[name][i]
            said.append(x)
        return knob_response(asked, measured_knobs(self._played(said, self.case.seconds),
                                                   self.rate))

    def repeats(self) -> list[float]:
        """Of latents of a loop in which nothing is to vary, bar after bar: mean of three."""
        model = self.case.model
        if not isinstance(model, LoopModel):
            return []
        found = []
        for seed in range(3):
            bpm = PATH_BPM
            x = rows.conditions(self.labels, self.spec.in_ratio, self.rate, REPEAT_BARS, bpm,
                                rows.made_up_code(self.codes, seed))
            z = model.latents_of(torch.from_numpy(x)[None])[0].numpy()
            bar = rows.bar_seconds(bpm) * self.rate / model.config.compression
            found.append(repeat_errors(z[:, : round(REPEAT_BARS * bar)], bar))
        return [float(value) for value in np.mean(found, axis=0)]

    def code_rank(self, ruler: LoopJudge, sounds: list[FloatArray], length: int) -> float | None:
        """Whether loops made from the codes of held-out ones, and what knobs measure of them, have
        their rhythms."""
        model = self.case.model
        if not isinstance(model, LoopModel) or model.codec is None:
            return None
        window = model.config.window_frames * model.config.compression
        channels = model.codec.main.in_channels
        said = []
        for sound, facts in zip(sounds, self.facts, strict=True):
            heard = torch.from_numpy(tiled(sound, window))[None, None].expand(1, channels, -1)
            found = model.code_of(heard)
            if found is None:
                return None
            x = self._said(facts, found[0, :, 0].numpy())
            if VARIATION in self.labels:
                x[self.labels.index(VARIATION)] = 0.0
            said.append(x)
        made = Loops(self._played(said, length / self.rate), [each.bpm for each in self.facts])
        return code_rank(np.stack([row.profile for row in ruler.rhythms(made)]), ruler.profiles)

    def paths(self, ruler: LoopJudge) -> dict[str, dict[str, Any]]:
        """Along lines between codes, and crossfades of the two loops."""
        seconds = PATH_BARS * rows.bar_seconds(PATH_BPM)
        said: list[FloatArray] = []
        for pair in range(PATHS):
            a, b = (rows.made_up_code(self.codes, 9000 + 2 * pair + i) for i in (0, 1))
            ends = [rows.conditions(self.labels, self.spec.in_ratio, self.rate, PATH_BARS,
                                    PATH_BPM, code) for code in (a, b)]
            said += [*ends, rows.line_between(*ends)]
        sounds = self._played(said, seconds)
        fade = np.linspace(0, 1, len(sounds[0]), dtype=np.float32)
        kinds: dict[str, list[FloatArray]] = {
            LINE: sounds[2::3], "one loop held": sounds[0::3],
            "crossfade of sounds": [(1 - fade) * a + fade * b
                                    for a, b in zip(sounds[0::3], sounds[1::3], strict=True)]}
        return {name: path_figures([Path(sound, PATH_BPM, PATH_BARS) for sound in each],
                                   self.rate, ruler.points)
                for name, each in kinds.items()}


def _learnt(parts: Sequence[Part], rate: int, channels: int, length: int) -> Loops | None:
    """Training loops as they sound, with their tempi by table or length; None without any."""
    sounds, tempi = [], []
    tables: dict[FilePath, dict[str, Told]] = {}
    for part in parts:
        sound = part.audio(rate, channels).mean(axis=0)
        if len(sound) < LEAST_SECONDS * rate:
            continue
        folder = part.source.path.parent
        known = tables.setdefault(folder, read_table(folder)).get(part.source.path.name)
        bars = bars_by_length(len(sound) / rate) if known is None else known.bars
        sounds.append(tiled(sound, length))
        tempi.append(rows.bpm_of(bars, len(sound) / rate))
    return Loops(sounds, tempi) if sounds else None


def _others(case: Case, real: Loops, heard: Loops | None, length: int) -> dict[str, Loops]:
    """Held-out and training loops through the codec; latents of noise."""
    model = case.model
    if not case.baselines or not isinstance(model, LoopModel) or model.codec is None:
        return {}
    effect = model.codec.effect
    found = {}
    if effect is not None:
        def through(sounds: list[FloatArray]) -> list[FloatArray]:
            made = []
            for sound in sounds:
                late = effect.lookahead_samples
                whole = -(-(len(sound) + late) // effect.ratio) * effect.ratio
                x = torch.from_numpy(tiled(sound, whole))[None, None]
                x = x.expand(1, effect.in_channels, -1)
                y = model.codec.offline(effect.name, x)  # type: ignore[union-attr]
                made.append(y[0].mean(dim=0).numpy()[late : late + len(sound)])
            return made

        found["codec"] = Loops(through(list(real.sounds)), real.bpm)
        if heard is not None:
            some = heard.some(len(real))
            found["codec_learnt"] = Loops(through(list(some.sounds)), some.bpm)
    rng = torch.Generator().manual_seed(0)
    frames = -(-length // model.config.compression)
    z = torch.randn(len(real), model.config.latents, frames, generator=rng)
    y = model.sound_of(model.made.offline(z)).mean(dim=1).numpy()[:, :length]
    found["gaussian"] = Loops([np.ascontiguousarray(row) for row in y], real.bpm)
    return found
