"""One golden file per preset, and per family without one, judges every runtime: the same bits on
x86, aarch64 and Cortex-M7. One of each family is played by everything; of the other presets what is
neither what their card is for nor what this machine plays best is for `make test-long`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.boards.work import FORMATS
from engine.description import Description
from engine.models.registry import FAMILIES, configure
from engine.ops import DTYPES
from engine.players.native_model import NativeFile, NativeModel
from firmware.host.build import TARGETS
from firmware.host.play import play
from tests.firmware.machines import assert_same_bits, instruction_sets, machine
from tests.golden.golden import (
    Golden,
    description_of,
    names,
    presets,
    read,
    settings_of,
    shapes,
)
from tests.golden.material import FRAMES, frames_of

CHUNKS = (1, 3, 2, 7)  # frames, taken in turn
M7_BYTES = 18 << 20  # of the 20 MiB of the emulated board's: regions have ends
# Of each family the one that is played by everything.
WHOLLY = (*shapes(), "techno-tiny")
MEANT = {"daisy": "m7", "pi4": "aarch64", "desktop": "native"}  # board of a card: target


@pytest.fixture(params=names(), scope="module", ids="-".join)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read(*request.param)


def test_every_preset_with_weights_has_a_golden_file_per_number_format() -> None:
    wanted = [*presets(), *shapes()]
    assert names() == sorted((name, dtype) for name in wanted for dtype in DTYPES), \
        "make them: python -m tests.golden.golden"


def test_every_family_has_a_golden_file() -> None:
    assert {read(*name).family for name in names()} == set(FAMILIES), \
        "a preset of each family should ship weights, or tests/golden/shapes/ hold a shape of it"


@pytest.mark.parametrize("name", [*presets(), *shapes()])
def test_a_golden_file_has_the_shape_of_its_preset(name: str) -> None:
    """Else a preset that was given other layers is judged by nothing: the golden file builds the
    model that it says itself."""
    wanted = settings_of(name)["model"]
    family = wanted.pop("family")
    told = description_of(name)
    assert (told.family, configure(family, told.config)) == (family, configure(family, wanted)), \
        f"another shape: python -m tests.golden.golden {name}"


def test_number_formats_are_told_apart(golden: Golden) -> None:
    """A golden file of a number format that plays float32 would judge nothing."""
    file, exact = NativeFile.from_bytes(golden.model), read(golden.name)
    constants = set()
    for method in golden.inputs:
        # Tables have no other form; constants must not be rounded.
        ops = [op for op in file.ops(method) if op.weights_bytes and op.kind != "embed"]
        dtypes = {FORMATS[op.dtype] for op in ops if op.name not in golden.exact}
        assert dtypes == {golden.dtype}
        constants |= {FORMATS[op.dtype] for op in ops if op.name in golden.exact}
        same = np.array_equal(golden.outputs[method], exact.outputs[method])
        assert same == (golden.dtype == "float32")
    assert constants == ({"float32"} if golden.exact else set())


def test_a_golden_file_holds_what_it_says(golden: Golden) -> None:
    methods = NativeFile.from_bytes(golden.model).methods
    assert set(golden.inputs) == set(golden.outputs) == set(methods)
    for name, spec in methods.items():
        rows = frames_of(spec.frame_samples) * spec.frame_samples // spec.out_ratio
        assert golden.outputs[name].shape == (spec.out_channels, rows)
        assert golden.outputs[name].std() > 1e-2
        assert not np.isfinite(golden.inputs[name]).all(), "nothing for the guard to catch"


def test_what_draws_plays_a_note_silence_and_another(golden: Golden) -> None:
    file = NativeFile.from_bytes(golden.model)
    drawn = [name for name, spec in file.methods.items() if spec.role == "generate"
             and not golden.family.startswith(("latent_", "spectrogram_"))]
    assert bool(drawn) == (golden.family in ("two_tier", "wavenet"))
    for name in drawn:
        sounds = np.flatnonzero(golden.outputs[name].any(axis=0).reshape(FRAMES, -1).any(axis=1))
        # A note of 15 rows with its release, silence to the bit, two rows of the next.
        config = Description.from_json(file.metadata, golden.name).config
        release = configure(golden.family, config).release_rows
        assert list(sounds) == [row for row in range(FRAMES)
                                if row >= 22 or row < 15 + release - 1]
        assert np.abs(golden.outputs[name]).max() < 1, "at its limits all arithmetic is alike"


def joined(part: Any) -> str | None:
    """What a golden file is called in a test's name."""
    return "-".join(part) if isinstance(part, tuple) else None


def library_cases() -> list[Any]:
    """(golden file, instruction set) of this machine's library. The plain reference, which is what
    made the golden files and takes longest, plays one of each family."""
    return [pytest.param(name, isa, marks=[pytest.mark.slow] * (
                isa == "ref" and name[0] not in WHOLLY)) for name in names()
            for isa in instruction_sets()]


@pytest.mark.parametrize(("golden", "isa"), library_cases(), indirect=["golden"], ids=joined)
def test_the_library_of_this_machine(golden: Golden, isa: str) -> None:
    file = NativeFile.from_bytes(golden.model)
    model = NativeModel(file, isa=isa)
    for method, x in golden.inputs.items():
        assert_same_bits(model.process(method, x[None])[0], golden.outputs[method], method)


def needed_bytes(golden: Golden, method: str) -> int:
    """Of the host program, for its longest block."""
    file, x = NativeFile.from_bytes(golden.model), golden.inputs[method]
    spec = file.methods[method]
    frames = x.shape[1] * spec.in_ratio // spec.frame_samples
    longest = min(max(CHUNKS), max(1, frames - 1))  # the first block has one frame
    return (len(golden.model) + file.memory(1, longest * spec.frame_samples)[0]
            + 2 * (x.nbytes + golden.outputs[method].nbytes))


def board_cases() -> list[tuple[tuple[str, str], str, str | None, str]]:
    """(golden file, target, processor, instruction set): every file by what a target plays with,
    one of each family by all that a target can, as tests/core has it of every operation."""
    found = []
    for target in TARGETS.values():
        first = next(iter(target.cpus), None)
        usual = [(target.cpus[0], target.isas[-1])] if target.emulator else [
            (None, isa) for isa in target.isas]
        every = [(cpu, isa) for isa in target.isas for cpu in (target.cpus or (None,))
                 if isa == target.isas[-1] or cpu == first]
        found += [(name, target.name, cpu, isa) for name in names()
                  for cpu, isa in (every if name[0] in WHOLLY else usual)]
    return found


def meant() -> set[tuple[str, str, str]]:
    """(preset, number format, target) that cards are for."""
    cards = {name: settings_of(name)["card"] for name in presets()}
    return {(name, card["dtype"], MEANT[card["board"]]) for name, card in cards.items()}


def marked_cases() -> list[Any]:
    """`board_cases`, of which those that neither a card is for nor a family is judged by take long
    and say little more."""
    wanted = meant()
    return [pytest.param(*case, marks=[pytest.mark.slow] * (
                case[0][0] not in WHOLLY and (*case[0], case[1]) not in wanted))
            for case in board_cases()]


def test_one_of_each_family_is_played_by_everything_and_every_preset_by_its_board() -> None:
    kept = [case.values for case in marked_cases() if not case.marks]
    everything = {case[1:] for case in board_cases()}
    for dtype in DTYPES:
        whole = [name for name in names() if name[1] == dtype
                 and everything == {case[1:] for case in kept if case[0] == name}]
        assert {read(*name).family for name in whole} == set(FAMILIES)
    assert meant() <= {(*name, target) for name, target, *_ in kept}
    assert {name for name, *_ in meant()} == set(presets())


@pytest.mark.parametrize(("golden", "target", "cpu", "isa"), marked_cases(), indirect=["golden"],
                         ids=joined)
def test_the_host_program(golden: Golden, target: str, cpu: str | None, isa: str) -> None:
    """A model of loops that finds codes of sound holds seconds of it: of such a one the emulated
    board plays what it has room for."""
    board = machine(target)
    fitting = {method: x for method, x in golden.inputs.items()
               if target != "m7" or needed_bytes(golden, method) < M7_BYTES}
    assert len(fitting) == len(golden.inputs) or "embed" in golden.inputs
    if not fitting:
        pytest.skip(f"no method plays in {M7_BYTES >> 20} MiB")
    for method, x in fitting.items():
        played = play(board, golden.model, x, method=method, frames=CHUNKS, isa=isa, cpu=cpu)
        assert played.facts["isa"] == isa
        assert int(played.facts["nonfinite"]) == (~np.isfinite(x)).sum() > 0
        assert_same_bits(played.audio, golden.outputs[method], f"{method} on {target} {cpu}")
