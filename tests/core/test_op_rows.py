"""The list of operations: what a row says is so, and what belongs to a row is there."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from benchmarks.op_cases import CASES, OpCase, cases
from benchmarks.ops import FAST, Player, compiled, difference, exact, in_format, lines_of
from engine.errors import ConfigError, TudorError
from engine.ops import ACTS, CORE, DTYPES, FLOAT32, KINDS, Kind, core_op
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile
from export.native.export import lower
from export.native.simulate import Simulator
from export.onnx.operators import EMIT, IN_LOOPS
from tests.firmware.machines import instruction_sets

CHANNELS = 8
# With scales as rough as here: what grows beyond them, and what may be drawn otherwise.
COARSE = ("exp", "latent_sample", "keyed_noise", "categorical", "logistic_mixture", "feed",
          "pitch_track", "harmonics", "resynth", "note")
ALL = [pytest.param(case, id=f"{kind}-{at}") for kind in CASES
       for at, case in enumerate(cases(kind, CHANNELS))]


def core_kinds(case: OpCase) -> set[str]:
    """Operations of the case's native files, in all number formats that it has."""
    found: set[str] = set()
    for dtype in core_dtypes(case):
        file = NativeFile.from_bytes(compiled(in_format(case, dtype), dtype))
        found |= {op.kind for op in file.ops("forward")}
    return found


def core_dtypes(case: OpCase) -> tuple[str, ...]:
    return KINDS[case.kind].dtypes


def lacking(kinds: Mapping[str, Kind]) -> list[str]:
    """What rows do not have, in words."""
    found = []
    for name, kind in kinds.items():
        if name not in EMIT and name not in IN_LOOPS:
            found.append(f"{name}: no ONNX emitter (EMIT in export/onnx/operators.py)")
        if kind.core and not (kind.core.is_convolution or _simulated(kind.core.name)):
            found.append(f"{name}: no numeric reference ({kind.core.name} in "
                         "export/native/simulate.py)")
        if name not in CASES:
            found.append(f"{name}: no layer and no case (CASES in benchmarks/op_cases.py)")
            continue
        for case in cases(name, CHANNELS):
            if name not in {op.kind for op in case.graph().ops}:
                found.append(f"{name}: its case emits no such operation")
            try:
                there = core_kinds(case)
            except TudorError as error:
                found.append(f"{name}: no C function that plays it ({error})")
                continue
            if kind.core and not there & _forms(kind):
                found.append(f"{name}: its native file holds no {kind.core.name}")
    return found


def _simulated(name: str) -> bool:
    return hasattr(Simulator, f"_{name}")


def _forms(kind: Kind) -> set[str]:
    """Operations that a kind may become: convolutions may be depthwise and take in what fuses."""
    assert kind.core
    convolutions = {core.name for core in CORE.values() if core.is_convolution}
    takes = kind.is_convolution or kind.fuses
    return {kind.core.name} | (convolutions if takes else set())


def test_no_row_lacks_anything() -> None:
    assert lacking(KINDS) == []


def test_a_row_alone_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Kind("fft", "as planted", CORE["norm"].__class__(
        99, "fft", 1, "NONE", "FLOAT", "NONE", False, False, 0, 0, "as planted"))
    said = lacking({"fft": row})
    for part in ("no ONNX emitter", "no numeric reference", "no layer and no case"):
        assert any(line.startswith("fft") and part in line for line in said), part
    monkeypatch.setitem(CASES, "fft", CASES["norm"])
    monkeypatch.setitem(KINDS, "fft", row)
    said = lacking({"fft": row})
    assert any("emits no such operation" in line for line in said)
    assert any("native file holds no fft" in line for line in said)


def test_the_runtime_s_operations_all_stand_in_some_case() -> None:
    played = set().union(*(core_kinds(case) for kind in CASES for case in cases(kind, CHANNELS)))
    assert set(CORE) - played == set()


def test_python_reads_what_c_reads() -> None:
    text = (fmt.CORE / "ops.inc").read_text("utf-8")
    rows = re.findall(r"^(OP|ACT|KIND|VIEW)\(", text, re.MULTILINE)
    views = sum(kind.is_view for kind in KINDS.values())
    assert rows.count("OP") == len(CORE) == len(fmt.ops())
    assert rows.count("ACT") == len(ACTS) == len(fmt.acts())
    assert rows.count("VIEW") == views > 0
    for code, upper, name, *_ in fmt.rows("ops.inc", "OP"):
        assert (int(code), upper.lower()) == (CORE[name].code, name)
    assert all(kind.meaning for kind in KINDS.values())
    assert core_op("conv1d") is core_op("conv") is CORE["conv"]
    assert core_op("slice") is None
    quoted = CORE["attention"].meaning
    assert quoted.startswith("softmax(q k / sqrt(size)) v per head, q k v the thirds")
    assert quoted.endswith("and how many of them there are")


def test_c_calls_activations_by_their_names() -> None:
    numbers = re.compile(r"\bact (?:[=!]=|[<>]=?) \d|case \d+: (?:return v_|finish_loop)|"
                         r"finish_loop\(\w+, \w+, \d")
    assert numbers.search("x = f->act == 3 ? v_tanh(a) : a;")
    assert numbers.search("    case 3: return v_tanh(x);")
    for path in sorted([*fmt.CORE.glob("*.c"), *fmt.CORE.glob("*.inc"), *fmt.CORE.glob("*.h")]):
        assert not numbers.search(path.read_text("utf-8")), path.name


@pytest.mark.parametrize("case", ALL)
def test_a_row_s_number_formats_are_those_that_can_be_exported(case: OpCase) -> None:
    for dtype in DTYPES:
        if dtype in core_dtypes(case):
            assert compiled(in_format(case, dtype), dtype)
        else:
            with pytest.raises(ConfigError, match="has no q16x8 form"):
                compiled(case, dtype)


@pytest.mark.parametrize("case", ALL)
def test_a_row_s_state_is_what_the_runtime_counts(case: OpCase) -> None:
    """The words that Python lays out, beside the rows that a ring keeps."""
    file = NativeFile.from_bytes(compiled(case, DTYPES[0]))
    for op in file.ops("forward"):
        words = CORE[op.kind].state_words(op.in_channels, op.out_channels, op.kernel,
                                            op.stride, op.groups, op.phases)
        rest = op.state_bytes - 4 * words
        assert rest >= 0
        assert rest % (4 * op.out_channels) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ALL)
def test_an_operation_alone_has_the_same_bits_everywhere(case: OpCase, dtype: str) -> None:
    isas = [isa for isa in instruction_sets() if isa in FAST]
    lines = lines_of(case, dtype, isas, calls=0, blocks=21)
    assert len(lines) == len(isas) > 0
    for line in lines:
        assert line.supported == (dtype in core_dtypes(case)), line
        assert line.same_bits is (True if line.supported else None), line
        if line.supported and (dtype == FLOAT32 or case.kind not in COARSE):
            assert line.error is not None
            assert line.error < (5e-6 if dtype == FLOAT32 else 0.02), line


@pytest.mark.parametrize("case", [each for each in ALL if each.values[0].kind != "feed"])
def test_the_numeric_reference_is_pytorch_s(case: OpCase) -> None:
    (program,) = lower({"forward": case.graph()}, case.description()).values()
    given = {name: torch.from_numpy(values) for name, values in case.attributes.items()}
    x = case.input(19)
    got = Simulator(program, given).run(torch.from_numpy(x[0])).numpy()
    wanted = exact(case, x)[0]
    assert got.shape == wanted.shape
    assert np.abs(wanted).max() > 0
    assert difference(case, got, wanted) < 1e-6


def test_other_numbers_are_seen() -> None:
    """The comparisons themselves: another weight is another error."""
    (case,) = cases("norm", CHANNELS)[:1]
    player = Player(case, compiled(case, DTYPES[0]), "ref", 9)
    got = player.play(0)
    assert difference(case, got, exact(case, player.x)) < 1e-6
    case.layer.weight[0] += 1e-3  # type: ignore[operator,index]
    assert difference(case, got, exact(case, player.x)) > 1e-5
    assert not np.array_equal(got, np.zeros_like(got))
