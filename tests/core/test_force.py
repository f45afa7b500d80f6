"""Draws that are given: a stream that is told what it put out goes on as one that drew it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import AudioError
from engine.players.native_model import NativeFile, NativeModel
from tests.core.loop_cases import LOOPS
from tests.core.native_cases import case, noise
from tests.firmware.machines import assert_same_bits, instruction_sets

BLOCKS, FIRST = 40, 24
FORCED = ("loop", "loop_tiers", "loop_keyed")  # the other has a convolution behind what it draws
CHUNKS = {"blocks": (1,), "odd": (5, 1, 2, 7), "at once": (FIRST,)}
torch.set_num_threads(1)


def _signal(name: str, batch: int = 2) -> tuple[NativeFile, np.ndarray, int]:
    """A file, what its method hears, and the rows of its smallest block."""
    file = NativeFile.from_bytes(case(name))
    spec = file.methods["forward"]
    unit = spec.frame_samples // spec.in_ratio
    return file, noise(spec.in_channels, BLOCKS * unit, batch) * 0.5, unit


def _parts(chunks: tuple[int, ...], first: int, last: int):
    """Blocks from `first` on, of so many each, in turn."""
    turn = 0
    while first < last:
        end = min(last, first + chunks[turn % len(chunks)])
        yield first, end
        first, turn = end, turn + 1


def _continued(model: NativeModel, x: np.ndarray, free: np.ndarray, unit: int,
               chunks: tuple[int, ...], slices: int = 0) -> np.ndarray:
    """The first blocks forced to what a free stream put out, the others drawn."""
    each, found = free.shape[2] // BLOCKS, []
    for start, end in [*_parts(chunks, 0, FIRST), *_parts(chunks, FIRST, BLOCKS)]:
        block = np.ascontiguousarray(x[:, :, start * unit : end * unit])
        told = free[:, :, start * each : end * each]
        if slices:
            out = np.zeros(told.shape, np.float32)
            if end <= FIRST:
                model.force("forward", told, (end - start) * model.methods["forward"].frame_samples)
            for number in range(slices):
                model.process_slice("forward", block, out, number, slices)
        else:
            out = model.process("forward", block, forced=told if end <= FIRST else None)
        found.append(out)
    return np.concatenate(found, axis=2)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("name", FORCED)
def test_it_goes_on_as_if_it_had_drawn_that(name: str, chunks: str) -> None:
    """To the bit, on every instruction set, for two streams side by side."""
    file, x, unit = _signal(name)
    free = NativeModel(file, batch=2, isa="ref").process("forward", x)
    assert len(np.unique(free)) > 5
    for isa in instruction_sets():
        model = NativeModel(file, batch=2, isa=isa)
        assert_same_bits(_continued(model, x, free, unit, CHUNKS[chunks]), free, isa)


@pytest.mark.parametrize("name", FORCED)
def test_in_slices_too_and_in_parts_of_long_blocks(name: str) -> None:
    file, x, unit = _signal(name)
    free = NativeModel(file, batch=2).process("forward", x)
    sliced = _continued(NativeModel(file, batch=2), x, free, unit, (5, 2), slices=7)
    assert_same_bits(sliced, free, name)
    short = NativeModel(file, batch=2, max_samples=5 * file.methods["forward"].frame_samples)
    assert_same_bits(_continued(short, x, free, unit, (FIRST,)), free, name)


@pytest.mark.parametrize("name", FORCED)
def test_another_past_is_another_sound(name: str) -> None:
    file, x, unit = _signal(name, batch=1)
    free = NativeModel(file).process("forward", x)
    rest = free.shape[2] // BLOCKS * FIRST
    other = _continued(NativeModel(file), x, free[:, :, ::-1] * -0.5, unit, (FIRST,))
    assert not np.array_equal(other[:, :, rest:], free[:, :, rest:])


@pytest.mark.parametrize("name", FORCED)
def test_what_would_have_been_drawn_is_told(name: str) -> None:
    """Of its own sound what it drew, and it goes on from there as without asking."""
    file, x, unit = _signal(name)
    free, cut = NativeModel(file, batch=2).process("forward", x), FIRST * unit
    each = free.shape[2] // BLOCKS * FIRST
    for isa in instruction_sets():
        model, drawn = NativeModel(file, batch=2, isa=isa), np.zeros_like(free[:, :, :each])
        model.process("forward", np.ascontiguousarray(x[:, :, :cut]), forced=free[:, :, :each],
                      drawn=drawn)
        assert_same_bits(drawn, np.ascontiguousarray(free[:, :, :each]), isa)
        rest = model.process("forward", np.ascontiguousarray(x[:, :, cut:]))
        assert_same_bits(rest, np.ascontiguousarray(free[:, :, each:]), isa)


def test_what_cannot_be_drawn_becomes_the_nearest() -> None:
    file, x, _ = _signal("loop", batch=1)
    table = np.unique(NativeModel(file).process("forward", np.tile(x, 40)))
    wanted = np.linspace(-1.5, 1.5, x.shape[2], dtype=np.float32)[None, None]
    wanted[0, 0, 3] = np.nan
    got = NativeModel(file).process("forward", x, forced=wanted)
    wanted = np.nan_to_num(wanted)
    least = np.abs(table[:, None, None] - wanted[0]).min(axis=0)
    assert (np.abs(got - wanted) <= least + 1e-7).all()
    file, x, _ = _signal("loop_tiers", batch=1)
    wanted = np.linspace(-3, 3, x.shape[2], dtype=np.float32)[None, None]
    got = NativeModel(file).process("forward", x, forced=wanted)
    assert np.array_equal(got, wanted.clip(-1, 1))


def test_what_is_forced_holds_for_one_block() -> None:
    """Of the length that was said; a reset forgets it; nothing can be forced in mid block."""
    file, x, unit = _signal("loop", batch=1)
    free = NativeModel(file).process("forward", x)
    model = NativeModel(file)
    told = np.full((1, 1, 2 * unit), 0.5, np.float32)
    model.force("forward", told, 2 * unit)
    with pytest.raises(AudioError, match="multiple"):
        model.process("forward", x[:, :, : 3 * unit])
    model.reset()
    assert np.array_equal(model.process("forward", x), free)
    model.reset()
    out = np.zeros((1, 1, 2 * unit), np.float32)
    block = np.ascontiguousarray(x[:, :, : 2 * unit])
    model.process_slice("forward", block, out, 0, 2)
    with pytest.raises(AudioError, match="unfinished"):
        model.force("forward", told, 2 * unit)
    model.process_slice("forward", block, out, 1, 2)
    assert np.array_equal(out, free[:, :, : 2 * unit])


@pytest.mark.parametrize("name", ["loop_recurrent", "latents", "strided"])
def test_a_method_whose_draws_its_output_does_not_tell_is_refused(name: str) -> None:
    assert set(LOOPS) == {*FORCED, "loop_recurrent"}
    file, x, _ = _signal(name, batch=1)
    spec = file.methods["forward"]
    samples = x.shape[2] * spec.in_ratio
    told = np.zeros((1, spec.out_channels, samples // spec.out_ratio), np.float32)
    with pytest.raises(AudioError, match="nothing to force"):
        NativeModel(file).force("forward", told, samples)
