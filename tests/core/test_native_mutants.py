"""Faults planted in copies of the runtime: each must change the bits, or tests prove nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.core.core_build import CORE, compiled, run
from tests.core.native_cases import case, noise

# file, what stands there, what is planted, the case that must notice, how it is played
MUTANTS = [
    ("kernels.inc", "acc[v * nf + f] = V_FMA(sample, row[v], acc[v * nf + f]);",
     "acc[v * nf + f] = V_ADD(V_MUL(sample, row[v]), acc[v * nf + f]);", "wide", ()),
    ("kernels.inc", "acc[v * nf + f] = bias[v];", "acc[v * nf + f] = K(0.0f);", "wide", ()),
    ("kernels.inc", "if (post) sum = V_ADD(", "if (0) sum = V_ADD(", "wide", ()),
    ("kernels_rnn.inc", "V_FMA(f, *cell, V_MUL(i, g))", "V_FMA(i, g, V_MUL(f, *cell))", "lstm", ()),
    ("ring.c", "data + (first - period) *", "data + (first - period + 1) *",
     "long_history", ("max=64", "chunks=7")),
    ("ring.c", "data + p->slots[b] * row_bytes(buffer)", "data", "wide", ("chunks=3",)),
    ("run_op.c", "skip(&a.finish.post, first_frame, channel);", "", "wide",
     ("slices=64", "chunks=20")),
    ("run.c", "const uint32_t first = c->unit,", "const uint32_t first = c->unit + (c->unit > 0),",
     "wide", ("slices=5",)),
    ("run.c", "stream * plan->fast_state_bytes;", "0 * stream;", "gru", ()),
    ("vec_scalar.h", "(uint32_t)upper << 16", "(uint32_t)upper << 15", "wide:bf16w", ()),
    ("vec_scalar.h", "+ iv_product(w >> 16, x >> 16)", "", "wide:q16x8", ()),
    ("vec_scalar.h", "if (a >= 32767.0f) return INT16_MAX;", "", "wide:loud", ()),
    ("vec_scalar.h", "a + 0x1.8p23f :", "a + 0x1.80001p23f :", "wide:q16x8", ()),
    ("kernels_int.inc", "IV_LOAD(bias + t->half)", "IV_LOAD(bias + 16)", "odd:q16x8", ()),
    ("kernels_int.inc", "x = t->side;", "", "gated:q16x8", ()),
    ("kernels_int_rows.inc", "if (high) sum =", "if (0) sum =", "wide:wide", ()),
    ("kernels_int_rows.inc", "V_MUL(V_LOAD16(post + c), post_scale)", "V_LOAD16(post + c)",
     "wide:q16x8", ()),
    ("kernels_mixed.inc", "if (half) widen(", "if (0) widen(", "unfused:q16x8", ()),
    ("plan_op.c", "numbers * (ptrdiff_t)number_bytes(b)", "numbers * 4", "branches:q16x8", ()),
    ("run_op.c", "skip(&a.finish.post, first_frame, channel);", "", "wide:q16x8",
     ("slices=64", "chunks=20")),
    ("loop.c", "(row + 1) % o->period", "row % o->period", "loop_tiers", ()),
    ("loop.c", "one.step = plans[i].period > 1 ? row / plans[i].period : row;", "one.step = 0;",
     "loop", ("chunks=7",)),
    ("loop.c", "if (to.unit) run_row(p, to.row, first, to.unit);", "", "loop", ("slices=5",)),
    ("loop.c", "row++, first = 0)", "row++)", "loop", ("slices=64", "chunks=20")),
    ("run.c", "p.stream = stream;", "p.stream = 0;", "loop", ()),
    ("run_op.c", "(size_t)p->step * place.step", "0", "loop_tiers", ()),
    ("draw.c", "weights[c] >= least ? weights[c] : 0.0f", "weights[c]", "loop", ()),
    ("vmath.inc", "V_ADD(e, K(1.0f))", "e", "loop_tiers", ()),
    ("run_op.c", "memcpy(y, values, a->channels * sizeof *y)", "memcpy(y, values, a->channels)",
     "controls", ()),
    ("run_op.c", "y += a->y.row) memcpy", "y += a->channels) memcpy", "controls", ()),
    ("kernels_tones.inc", "if (d[i] < d[best]) best = i;", ";", "tones", ()),
    ("kernels_tones.inc", "0.5f * (d[best + 1] - d[best - 1])", "0.0f * d[0]", "tones", ()),
    ("kernels_tones.inc", "memmove(parts, parts + lags,", "memmove(parts, parts,", "tones", ()),
    ("kernels_tones.inc", "if (a->x.row != 1)", "if (0)", "tones", ()),
    ("kernels_tones.inc", "words[1] ? words[1] : step", "step", "tones", ()),
    ("draw.c", "x + 0.5f", "x + 1.5f", "loop", ()),
    ("fft.c", "gap_im - off_re", "gap_im + off_re", "alone_spectrum", ()),
    ("spectrum.c", "0.5f + odd", "0.5f - odd", "alone_spectrum", ()),
    ("resynth.c", "uint32_t phase = s->phases[peak] +", "uint32_t phase =", "alone_resynth", ()),
    ("resynth.c", "(start + r) % COUNTER_PERIOD", "start % COUNTER_PERIOD", "alone_resynth",
     ("chunks=7",)),
    ("run_op.c", "a->key = key_of(p, op);", "a->key = 0;", "alone_resynth", ()),
    ("noise.c", "number * 4 * a->channels", "number * 3 * a->channels", "loop_keyed", ()),
    ("run_op.c", "tudor_keyed_noise(place_map(p, o), op->seed, key_of(p, op))",
     "tudor_keyed_noise(place_map(p, o), op->seed, 0)", "loop_keyed", ()),
]
# Not optimised: the bodies of kernels are compiled in a seventh of the time, and bits do not depend
# on it, which the unharmed copy is held to below.
FLAGS = ("-std=c11", "-O0", "-ffp-contract=off", "-DTUDOR_NO_AVX512")
PLAYED = sorted({row[3:] for row in MUTANTS})


@pytest.mark.parametrize(("file", "old", "new", "name", "options"), MUTANTS)
def test_a_planted_fault_is_seen(
    file: str, old: str, new: str, name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "core"
    shutil.copytree(CORE, folder)
    text = (folder / file).read_text()
    assert text.count(old) >= 1, f"{file} has changed: plant the fault elsewhere"
    (folder / file).write_text(text.replace(old, new))
    wanted, got = played(folder, name, options, tmp_path)
    assert wanted != got, "the fault went unseen"


@pytest.mark.parametrize(("name", "options"), PLAYED)
def test_nothing_is_seen_where_nothing_is_planted(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    wanted, got = played(CORE, name, options, tmp_path)
    assert wanted == got


def played(folder: Path, name: str, options: tuple[str, ...], tmp_path: Path
           ) -> tuple[bytes, bytes]:
    """Bytes of what the reference plays, and of what the kernels of the core in `folder` play."""
    from engine.players.native_model import NativeFile

    model, x = tmp_path / "m.tudor", tmp_path / "x"
    model.write_bytes(case(name))
    spec = NativeFile(model).methods["forward"]
    frames = 2000 if name == "long_history" else 60  # long enough for its ring to go round
    rows = frames * spec.frame_samples // spec.in_ratio
    x.write_bytes(noise(spec.in_channels, rows, 2).tobytes())
    outputs = []
    for core, isa, how in ((CORE, "ref", ()), (folder, "scalar", options)):
        # AVX2's kernels include what is mutated but do not run here: theirs are those of the core.
        sources = [(CORE if "avx" in path.name else core) / path.name
                   for path in sorted(core.glob("*.c"))]
        program = compiled("play.c", *FLAGS, sources=sources, core=core)
        out = tmp_path / isa
        run(program, model, "forward", x, out, f"isa={isa}", "batch=2", *how)
        outputs.append(out.read_bytes())
    assert len(outputs[0]) == len(outputs[1]) > 0
    return outputs[0], outputs[1]
