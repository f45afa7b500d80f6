"""Is the file the model? Every export is streamed and compared with offline PyTorch.

    offline    |------------------- one block, fresh state -------------------|
    streamed   |-|---|--|--------|-|-----|... irregular blocks; then from a reset, as many as
                                              suffice of 1, 2 and 8 units (smallest blocks) each

A method that draws what it puts out is not compared but replayed (`export/replay.py`): every stream
must draw the same as float64 does after the same past, but where the noise lay on an edge. With
fewer bits some draws are others; how far the noise missed them, on average, is bounded.

A method that makes sound of log-magnitudes is judged in two parts (`export/resynthesised.py`).

What goes in is loud, quiet, silent, and wrong (NaN, infinity, 1e30); attributes stand at their
defaults in one pass and somewhere else in another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from math import inf, log10
from pathlib import Path

import numpy as np
import torch

from engine.description import Description, Method
from engine.errors import TudorError
from engine.layers.noise import SEED
from engine.models.base import Model
from engine.players.base import FloatArray, Player, load
from export.differences import Differences, gap
from export.fed_back import ends_at_loop, feeds_back, gone_on, sounded
from export.passages import IRREGULAR, REGULAR_BLOCKS, offline, passages, passes, stream
from export.replay import draws, replay
from export.resynthesised import logarithms, magnitudes, resynthesised
from export.verdict import LEAST_SNR_DB, MethodReport, Report

TOLERANCE = 1e-4  # largest absolute error that a float32 export may have
MOST_MISSED = {"bf16w": 0.003, "q16x8": 0.01}  # likewise, by draws on average, as a probability
PLAIN_SAMPLES = 4096  # of each pass, through the slow plain C reference
CONSISTENT_DB = 40.0  # streamed against one block, where a backend's rounding may differ
# After 1e30 and its like the guard hands on +18 dBFS spikes, and a trained model's latents leave
# all that it ever saw: float32 itself wanders there. What a broken guard does is of another size.
GUARDED_TOLERANCE = 1e-2
ROUNDED = 4.0  # times as far from PyTorch as that is from itself in float64: wrong input may be
DRAWN_SAMPLES = 2048  # of each stream that is replayed: outside the C runtime loops are slow
DRAWN_BLOCKS = 32
FED_BACK_SAMPLES = 16384  # of each stream of a loop of chunks
EDGE = 1e-3  # a draw may differ where the noise is so close to another, as a probability
PlayerFactory = Callable[[], Player]


def verify(
    player: PlayerFactory | str | Path, model: Model, tolerance: float = TOLERANCE
) -> Report:
    """Stream a file (or what `player` makes) and compare every method with `model`, offline.

    A file that cannot be loaded or that belongs to another model gives a report that says so."""
    if callable(player):
        make, name = player, "player"
    else:
        path = Path(player)
        make, name = (lambda: load(path)), path.name
    backend = Path(name).suffix.lstrip(".")
    try:
        made = make()
        name, backend = (made.path.name if made.path else made.name), made.backend
        problem = difference(made.description, model)
        if problem:
            return Report(name, backend, tolerance, problem=problem)
        if made.description.sample_rate_hz != model.sample_rate_hz:
            from export.nn.host_rate import file_rate

            model = file_rate(made.description, model)
        exact = deepcopy(model).double()
        dtype = made.description.provenance.get("dtype", "float32")
        if dtype != "float32" and dtype not in LEAST_SNR_DB:
            return Report(name, backend, tolerance, problem=f"unknown dtype {dtype!r}")
        methods = {m: _verify_method(made, model, exact, m, tolerance, dtype)
                   for m in model.methods}
    except TudorError as error:
        return Report(name, backend, tolerance, problem=str(error))
    except Exception as error:  # whatever a backend throws while it plays is its failure
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return Report(name, backend, tolerance, problem=f"fails while playing: {reason[-1]}")
    return Report(name, backend, tolerance, methods, dtype=dtype)


def weights_hash(model: Model) -> str:
    """SHA-256 over all weights, by name: equal for equal models, whatever the file."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def in_voices_of(file: Path, model: Model) -> Model:
    """The model as the file has it, where that was made for several voices."""
    try:
        voices = load(file).description.config.get("voices")
    except TudorError:
        return model  # `verify` says what is wrong
    return model.in_voices(",".join(voices)) if voices else model


def difference(description: Description, model: Model) -> str:
    """Why a file with this description cannot be an export of `model`; empty when it can."""
    if description.family != model.family:
        return f"made from another model: family {description.family!r}, not {model.family!r}"
    theirs, ours = description.config, model.config.model_dump(mode="json")
    keys = [k for k in sorted({*theirs, *ours}) if theirs.get(k) != ours.get(k)]
    if keys:
        shown = ", ".join(f"{k} {theirs.get(k)} instead of {ours.get(k)}" for k in keys[:3])
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        return f"made from another model: {shown}{more}"
    made_from = description.provenance.get("weights_sha256")
    if made_from is not None and made_from != weights_hash(model):
        return "made from other weights of the same configuration; export it again"
    return ""


def _verify_method(
    player: Player, model: Model, exact: Model, method: str, tolerance: float, dtype: str
) -> MethodReport:
    """All passes over one method; `exact` is `model` in float64."""
    spec = model.methods[method]
    if feeds_back(model, method):
        return _verify_by(player, model, exact, spec, ends_at_loop(exact, method), tolerance,
                          dtype)
    made_of = resynthesised(model, method)
    if made_of:
        return _verify_by(player, model, exact, spec, made_of, tolerance, dtype)
    if draws(model, method):
        return _verify_draws(player, exact, spec, dtype)
    x = passages(spec)
    if dtype != "float32":
        x *= _fitting(player.description, method, x)
    logs = 0 if dtype == "float32" else logarithms(model, method)
    sums, rounding, guarded, consistent = Differences(), 0.0, 0.0, True
    for number, (settings, plan) in enumerate(passes(model)):
        if SEED not in player.attributes:  # a file of before there were seeds
            settings.pop(SEED, None)
        whole = offline(model, method, x, settings)
        right = whole.shape[1] * 3 // 4  # from here on, the input is wrong
        rounding = max(rounding, gap(whole[:, :right],
                                      offline(exact, method, x, settings)[:, :right]))
        for name, value in settings.items():
            player.set(name, value)
        for sizes in plan:
            blocks = None if sizes is IRREGULAR else REGULAR_BLOCKS
            player.reset()
            streamed = stream(player, spec, x, sizes, blocks)
            if dtype != "float32":
                consistent &= _consistent(player, spec, x, streamed)
            reference = whole if blocks is None else whole[:, : streamed.shape[1]]
            # Ranges were found with attributes at their defaults: elsewhere rows may be clipped.
            if logs:
                streamed, reference = magnitudes(streamed[:logs]), magnitudes(reference[:logs])
            if dtype == "float32" or number == 0:
                sums.add(streamed[:, :right], reference[:, :right])
            guarded = max(guarded, gap(streamed[:, right:], reference[:, right:]))
    passed = _passed(sums, guarded, consistent, tolerance, dtype)
    return MethodReport(method, sums.error, sums.snr_db, sums.peak, rounding, guarded, x.shape[1],
                        passed, consistent)


def _verify_draws(player: Player, exact: Model, spec: Method, dtype: str) -> MethodReport:
    """All passes over a method that draws what it puts out."""
    x = passages(spec, DRAWN_SAMPLES)
    if dtype != "float32":
        x *= _fitting(player.description, spec.name, x)
    draws, same, worst, missed, peak, consistent = 0, 0, 0.0, 0.0, 0.0, True
    for settings, plan in passes(exact):
        values = {k: torch.from_numpy(v).double() for k, v in settings.items()}
        for name, value in settings.items():
            player.set(name, value)
        for sizes in plan:
            player.reset()
            y = stream(player, spec, x, sizes, None if sizes is IRREGULAR else DRAWN_BLOCKS)
            frames = y.shape[1] // spec.out_frames * spec.in_frames
            if dtype != "float32":
                consistent &= _consistent(player, spec, x, y)
            # What was wrong in the input is clipped at other places where rows are whole numbers.
            right = frames if dtype == "float32" else min(frames, x.shape[1] * 3 // 4)
            found = replay(exact, spec.name, torch.from_numpy(x[:, :right]),
                           torch.from_numpy(y[:, : right * spec.out_frames // spec.in_frames]),
                           values, dtype)
            draws, same, missed = (draws + found.draws, same + found.same,
                                   missed + found.mean * found.draws)
            worst = max(worst, found.worst if np.isfinite(y).all() else inf)
            peak = max(peak, float(np.abs(y).max()))
    missed /= max(1, draws)
    few = consistent and missed <= MOST_MISSED.get(dtype, inf) and worst < inf
    passed = worst <= EDGE if dtype == "float32" else few
    return MethodReport(spec.name, worst, inf, peak, 0.0, worst, x.shape[1], passed, consistent,
                        draws, same, missed)


def _verify_by(player: Player, model: Model, exact: Model, spec: Method, ends: str,
               tolerance: float, dtype: str) -> MethodReport:
    """All passes over a method that is judged by what another, `ends`, says of its inside: a loop
    that goes on from numbers that it has made, or what makes sound of log-magnitudes. `exact` is
    `model` in float64."""
    x = passages(spec, FED_BACK_SAMPLES)
    if dtype != "float32":
        x *= _fitting(player.description, spec.name, x)
    sums, guarded, consistent = Differences(), 0.0, True
    for number, (settings, plan) in enumerate(passes(exact)):
        values = {k: torch.from_numpy(v).double() for k, v in settings.items()}
        for name, value in settings.items():
            player.set(name, value)
        for sizes in plan:
            blocks = None if sizes is IRREGULAR else DRAWN_BLOCKS
            player.reset()
            y = stream(player, spec, x, sizes, blocks)
            frames = y.shape[1] // spec.out_frames * spec.in_frames
            if dtype != "float32":
                consistent &= _consistent(player, spec, x, y)
            if ends == spec.name:
                whole = gone_on(exact, ends, torch.from_numpy(x[:, :frames]), torch.from_numpy(y),
                                values)
            else:
                player.reset()
                z = stream(player, player.methods[ends], x, sizes, blocks)
                whole = sounded(exact, spec.name, ends, torch.from_numpy(z), values)
            right = y.shape[1] * 3 // 4 if frames == x.shape[1] else y.shape[1]
            reference = whole.numpy().astype(np.float32)
            if dtype == "float32" or number == 0:
                sums.add(y[:, :right], reference[:, :right])
            if right == y.shape[1]:
                continue  # the stream ended before the wrong input
            near = reference if ends == spec.name else sounded(
                model, spec.name, ends, torch.from_numpy(z),
                {name: value.float() for name, value in values.items()}).numpy()
            # A decoder that is far outside what it has learnt magnifies rounding.
            apart = gap(near[:, right:], reference[:, right:])
            guarded = max(guarded, gap(y[:, right:], near[:, right:]) - ROUNDED * apart)
    passed = _passed(sums, guarded, consistent, tolerance, dtype)
    return MethodReport(spec.name, sums.error, sums.snr_db, sums.peak, 0.0, guarded, x.shape[1],
                        passed, consistent)


def _passed(sums: Differences, guarded: float, consistent: bool, tolerance: float, dtype: str
            ) -> bool:
    """Whether the outputs that were compared are near enough."""
    if dtype == "float32":
        return sums.error <= tolerance and guarded <= max(tolerance, GUARDED_TOLERANCE)
    # What is louder than all calibration audio is clipped, so only NaN must not come out.
    return consistent and sums.snr_db >= LEAST_SNR_DB[dtype] and guarded < inf


def _fitting(description: Description, method: str, x: FloatArray) -> np.float32:
    """Factor that makes the loud quarter of `x` no louder than what the file was calibrated for."""
    told = description.provenance.get("quantisation", {}).get("methods", {}).get(method, {})
    loudest = float(np.abs(x[:, : x.shape[1] // 4]).max())
    return np.float32(min(1.0, told.get("input_peak", loudest) / loudest))


def _consistent(player: Player, spec: Method, x: FloatArray, streamed: FloatArray) -> bool:
    """Whether a quantised file gives the same numbers in one block; a native one to the bit, and
    the plain C reference too, as far as there is time for it."""
    frames = streamed.shape[1] // spec.out_frames * spec.in_frames
    if player.backend == "native":
        few = max(1, PLAIN_SAMPLES // spec.ratio)
        fast, plain = (player.fresh(isa) for isa in (None, "ref"))  # type: ignore[attr-defined]
        whole = fast.process(spec.name, x[None, :, :frames])[0]
        start = plain.process(spec.name, x[None, :, : min(frames, few * spec.in_frames)])[0]
        return bool(np.array_equal(whole, streamed)
                    and np.array_equal(start, streamed[:, : start.shape[1]]))
    player.reset()
    whole = player.process(spec.name, x[:, :frames])
    noise = float(np.square(whole.astype(np.float64) - streamed).sum())
    signal = float(np.square(whole, dtype=np.float64).sum())
    return noise == 0 or (signal > 0 and 10 * log10(signal / noise) >= CONSISTENT_DB)
