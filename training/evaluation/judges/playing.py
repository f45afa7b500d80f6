"""Judge "playing": how a model that draws sound sample by sample plays, once it hears only itself.

    bits        of held-out sound that is known, beside predictors without a network
    free        sounds that are drawn to held-out scores: pitch, clarity, level, jumps, silence
    fragments   whether they follow each other as in real sound; descriptors
    long        whether ten minutes end in silence, in noise, in one tone or in a scream
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import TudorError
from engine.players.base import Player
from engine.players.compiled import compiled
from engine.players.pytorch import PyTorchPlayer
from engine.scores.conditions import FREE
from training.data.audio_folder import scan
from training.evaluation.asked_notes import Asked, Layout
from training.evaluation.descriptors import descriptor_mmd, points
from training.evaluation.fragments import Jumps, frame_edges
from training.evaluation.free_play import Heard, Windows, collapses
from training.evaluation.judges import playing_table
from training.evaluation.judges.case import Case
from training.evaluation.judges.findings import Findings, keep_sound
from training.evaluation.judges.generating import generated
from training.evaluation.judges.scores_beside import unasked
from training.evaluation.judges.sounds import LONGEST_SECONDS, learnt, spread_over
from training.evaluation.judges.tape import Tape, record
from training.evaluation.likelihood import model_bits
from training.evaluation.measures import plain, shaped_noise
from training.evaluation.predictors import Cost, predictors
from training.evaluation.steps import mu_law_steps

FloatArray = NDArray[np.float32]
BITS_STRETCHES, BITS_SECONDS, BITS_SKIPPED = 4, 11.0, 1.0  # the first second does not count
FITTED_SECONDS = 240.0  # of what predictors are fitted to
ENVELOPE_FRAME = 512


def judge(case: Case) -> Findings:
    """All of it; what cannot be had is said in a note."""
    spec = case.description.main
    layout = Layout.of(spec.input_labels)
    parts = case.held_out(scan(case.folder), spec.out_channels)
    most = max(LONGEST_SECONDS, 2 * case.seeds * case.seconds)
    tape = record(case, parts, spec, most)
    notes = case.notes()
    if tape.conditions is None and layout is not None:
        notes.append("no scores lie beside the sounds: the model plays freely, pitches are not "
                     "judged")
    if tape.heard:
        notes.append(f"{tape.heard} sounds have no notes beside them: what is asked for is the "
                     "one pitch that is heard in them")
    results, said = _bits(case, tape)
    notes += said
    tape = tape.assigned(case.set_up(case.player), layout)
    stretches = tape.spread(case.seeds, case.seconds)
    with _quick(case, notes) as player:
        case.progress("what the model plays")
        made = _played(case, player, stretches)
        case.progress("what it plays for long")
        long = _long(case, player, tape, notes)
    collections, scores = _collections(case, stretches, made)
    for name, sounds in collections.items():
        results.setdefault(name, {}).update(scores[name])
        if name != "shuffled":  # the very sounds that all are held against
            results[name].update(_likeness(sounds, stretches, tape, name == "held_out"))
    result = {**case.facts("playing", len(parts), tape.seconds),
              "generated": {"sounds": case.seeds, "seconds": case.seconds,
                            "by_seed": _by_seed(made, stretches)},
              "results": {name: {key: plain(value) for key, value in row.items()}
                          for name, row in results.items()}, "long": long}
    grids = playing_table.grids(case.player.name, result)
    result["notes"] = [*notes, *playing_table.NOTES]
    return Findings(result, grids, result["notes"], playing_table.plots(
        result, made[0], stretches[0], tape.rate_hz), _kept(case, made, stretches))


# --- likelihood -----------------------------------------------------------------------------------


def _bits(case: Case, tape: Tape) -> tuple[dict[str, dict[str, float | None]], list[str]]:
    """Bits per sample of held-out sound by subject, and what is to be known of them."""
    steps, rate = mu_law_steps(), tape.rate_hz
    length = min(BITS_SECONDS, max(2 * BITS_SKIPPED, tape.seconds / BITS_STRETCHES))
    stretches = tape.spread(BITS_STRETCHES, length)
    skipped = round(BITS_SKIPPED * rate)

    def mean(cost: Callable[[Tape], NDArray[np.float64]]) -> float:
        return float(np.concatenate([cost(each)[skipped:] for each in stretches]).mean())

    found: dict[str, dict[str, float | None]] = {}
    notes: list[str] = []
    if case.model is None:
        notes.append(f"bits of the model: {case.player.name} is an exported file, only a run says "
                     "them")
    else:
        model, name = case.model.eval(), case.description.main.name
        case.progress("bits of held-out sound")
        try:
            found["model"] = {"bits": mean(lambda each: model_bits(
                model, name, each.audio, steps, _asked_of(case, each)))}
            if tape.conditions is not None and FREE in case.description.main.input_labels:
                found["free"] = {"bits": mean(lambda each: model_bits(
                    model, name, each.audio, steps, _asked_of(case, each, free=True)))}
        except TudorError as error:
            notes.append(f"bits of the model: {error}")
    if not case.baselines:
        return found, notes
    known, why = learnt(case)
    sounds = [audio[0] for _, audio in spread_over(known, rate, 1, FITTED_SECONDS, case.progress)]
    if not sounds:
        sounds = [tape.audio]
        notes.append(f"{why or 'what it learnt from is silent'}: predictors are fitted to the very "
                     "sounds that they are judged on, which flatters the first four")
    found |= {name: {"bits": mean(_cost(price))}
              for name, price in predictors(sounds, rate, steps).items()}
    best, own = (found.get(name, {}).get("bits") for name in ("adaptive", "model"))
    if best is not None and own is not None:
        found["model"]["bits_saved"] = best - own
    return found, notes


def _cost(price: Cost) -> Callable[[Tape], NDArray[np.float64]]:
    """Of a predictor, which asks for nothing but the sound."""
    return lambda tape: price(tape.audio)


def _asked_of(case: Case, tape: Tape, free: bool = False) -> FloatArray:
    """The method's input beside a tape; where nothing is known of it, or it is to be `free`, no
    attention is to be paid to it."""
    spec = case.description.main
    if tape.conditions is not None and not free:
        return tape.conditions
    return unasked(spec, len(tape.audio))


# --- free running ---------------------------------------------------------------------------------


@contextmanager
def _quick(case: Case, notes: list[str]) -> Iterator[Player]:
    """What plays: a native file of the model where there can be one, else what was given."""
    if not isinstance(case.player, PyTorchPlayer):
        yield case.streams(1)
        return
    try:
        held = compiled(case.player.model.eval(), case.player.name)
        player = held.__enter__()
    except TudorError as error:
        notes.append(f"played in PyTorch, which is slow: {error}")
        yield case.streams(1)
        return
    try:
        yield player
    finally:
        held.__exit__(None, None, None)


def _played(case: Case, player: Player, stretches: list[Tape]) -> list[FloatArray]:
    """A sound [samples] for each stretch, with its conditions, by the next seed."""
    late = player.description.main.lookahead_samples
    held = case.set_up(player)

    def ask(player: Player, x: FloatArray, number: int) -> None:
        known = _asked_of(case, stretches[number])[:, : x.shape[1]]
        x[:, : known.shape[1]] = known
        x[:, known.shape[1] :] = known[:, -1:]
        for channel, value in held.items():
            x[channel] = value

    seconds = (len(stretches[0].audio) + late) / case.player.sample_rate_hz
    found = generated(player, seconds, len(stretches), ask)
    return [sound[0, late : late + len(stretches[0].audio)] for sound in found]


def _long(case: Case, player: Player, tape: Tape, notes: list[str]) -> dict[str, Any] | None:
    """What a long sound falls into, and how it goes second by second; None if none is wanted."""
    if not case.long_seconds:
        return None
    if isinstance(player, PyTorchPlayer):
        notes.append("nothing long was played: PyTorch is too slow for it")
        return None
    stretch = tape.cut(0.0, case.long_seconds)
    sound = _heard(_played(case, player, [stretch])[0], stretch)
    real = _heard(stretch.audio, stretch)
    windows, others = Windows.of(sound), Windows.of(real)
    return {"seconds": case.long_seconds, "model": collapses(sound, real),
            "held_out": collapses(real, real),
            "level_db": [round(float(v), 1) for v in windows.level],
            "clarity": [round(float(v), 3) for v in windows.clear],
            "held_out_level_db": [round(float(v), 1) for v in others.level],
            "held_out_clarity": [round(float(v), 3) for v in others.clear]}


def _heard(audio: NDArray[Any], stretch: Tape) -> Heard:
    """A sound, with what the stretch asks for."""
    return Heard.of(audio, stretch.rate_hz, _asked(stretch))


def _asked(stretch: Tape) -> Asked | None:
    """What a stretch asks for, frame by frame; None without a score."""
    return None if stretch.score is None else Asked.of(
        stretch.score, stretch.row_samples, stretch.rate_hz, len(stretch.audio))


# Of several sounds the worst counts, where good and bad ones would make up for each other.
TOGETHER: dict[str, Callable[[list[float]], float]] = {
    "quiet_windows": sum, "level_db": lambda values: max(values, key=abs),
    "jumps": lambda values: max(values, key=lambda value: abs(np.log(max(value, 1e-9))))}


def _together(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Figures of several sounds as one."""
    found: dict[str, float | None] = {}
    for key in rows[0]:
        values = [value for row in rows if (value := row[key]) is not None]
        mean = TOGETHER.get(key, lambda values: float(np.mean(values)))
        found[key] = float(mean(values)) if values else None
    return found


def _collections(case: Case, stretches: list[Tape], made: list[FloatArray]
                 ) -> tuple[dict[str, list[FloatArray]], dict[str, dict[str, float | None]]]:
    """Sounds by subject, and how each plays the scores."""
    real = [each.audio for each in stretches]
    sounds = {"model": made, "held_out": real}
    if case.baselines:
        sounds["shuffled"] = [*real[1:], real[0]]
        sounds["noise"] = [shaped_noise(audio[None], ENVELOPE_FRAME, seed)[0]
                           for seed, audio in enumerate(real)]
    wanted = [_heard(each.audio, each) for each in stretches]
    return sounds, {name: _together([
        _heard(audio, stretch).figures(other)
        for audio, stretch, other in zip(collection, stretches, wanted, strict=True)])
        for name, collection in sounds.items()}


def _by_seed(made: list[FloatArray], stretches: list[Tape]) -> list[dict[str, float | None]]:
    """The figures of each of the model's sounds."""
    rows = [_heard(audio, each).figures(_heard(each.audio, each))
            for audio, each in zip(made, stretches, strict=True)]
    return [{key: plain(value) for key, value in row.items()} for row in rows]


def _likeness(sounds: list[FloatArray], stretches: list[Tape], tape: Tape, real_too: bool
              ) -> dict[str, float | None]:
    """Descriptors and fragments against the real stretches; of real sound, against other ones."""
    rate, scores = tape.rate_hz, stretches
    real = [each.audio for each in stretches]
    if real_too:
        scores = [tape.cut((number + 0.5) * tape.seconds / len(real), stretches[0].seconds)
                  for number in range(len(real))]
        sounds = [each.audio for each in scores]
    own, other = ([points(audio[None], rate) for audio in part] for part in (sounds, real))
    jumps = [Jumps.of(part, rate, [_asked(score) for score in about])
             for part, about in ((sounds, scores), (real, stretches))]
    return {"descriptor_mmd": descriptor_mmd(np.concatenate(other), np.concatenate(own)),
            **jumps[0].against(jumps[1]), "frame_edges": frame_edges(sounds, tape.row_samples)}


def _kept(case: Case, made: list[FloatArray], stretches: list[Tape]) -> list[tuple[str, str]]:
    """Sounds for the page: what was played, and the real sound of the same score."""
    rate = case.player.sample_rate_hz
    sounds = [(f"played_{i + 1}.wav", f"played, seed {i}", audio) for i, audio in enumerate(made)]
    sounds += [(f"held_out_{i + 1}.wav", f"held out, the same score as seed {i}", each.audio)
               for i, each in enumerate(stretches)]
    return [(file, said) for file, said, audio in sounds
            if keep_sound(case.out, file, audio[None], rate)]
