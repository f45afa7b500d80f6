"""Twice the period, looked at by every backend: the same pitches of a note with a weak fundamental,
which noise, that other cases are played with, has none of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.layers import PitchTrack
from engine.layers.pitch import MIDDLE_C_HZ
from engine.models.registry import build
from engine.players.native_model import NativeFile, NativeModel
from tests.core.native_cases import file_of, graph_of
from tests.engine.layers.test_pitch import tone
from tests.export.onnx.test_onnx_ops import run_graph
from tests.firmware.machines import instruction_sets

HOP, RATE = 64, 16000.0


@pytest.fixture(scope="module")
def sound() -> torch.Tensor:
    """Half an octave up from 130 Hz."""
    hertz = 130.0 * 2.0 ** (np.arange(80 * HOP) / (160 * HOP))
    return torch.from_numpy(tone(hertz, "weak fundamental").astype(np.float32))[None, None]


def layer(check: bool = True) -> PitchTrack:
    return PitchTrack(HOP, RATE, octave_check=check).eval()


@pytest.fixture(scope="module")
def wanted(sound: torch.Tensor) -> np.ndarray:
    """PyTorch's, which the check has brought down by an octave."""
    found, without = (layer(check).offline(sound).numpy() for check in (True, False))
    clear = slice(20, None)
    assert np.abs(without - found)[0, 0, clear] == pytest.approx(1, abs=0.02)
    assert np.ptp(found[0, 0, clear]) > 0.3
    return found


def check_equal(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape == (1, 2, 80)
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("isa", instruction_sets())
def test_in_c(isa: str, sound: torch.Tensor, wanted: np.ndarray) -> None:
    model = NativeModel(NativeFile.from_bytes(file_of(layer())), isa=isa)
    check_equal(model.process("forward", sound.numpy()), wanted)


def test_in_onnx(sound: torch.Tensor, wanted: np.ndarray) -> None:
    tracker = layer()
    found, _ = run_graph(graph_of(tracker), sound, tracker.init_state(1), {}, [1, 30, 49])
    check_equal(found, wanted)


def test_in_torchscript(sound: torch.Tensor, wanted: np.ndarray) -> None:
    tracker = layer()
    state = tracker.init_state(1)
    with torch.no_grad():
        traced = torch.jit.trace(tracker, (sound[..., : 8 * HOP], state), strict=False)
        check_equal(traced(sound, state)[0].numpy(), wanted)


def test_a_model_asks_for_it_and_says_nothing_where_it_does_not(sound: torch.Tensor) -> None:
    shape = {"latents": 3, "bands": 4, "compression": 64, "strides": (4, 4), "widths": (8, 8, 6),
             "dilations": (1,), "sample_rate_hz": int(RATE), "harmonics": 8}
    plain, checked = (build("raw_vae", {**shape, **more}) for more in ({}, {"octave_check": True}))
    told = [model.offline("encode", sound)[0, -2, 40:70] for model in (plain, checked)]
    assert (told[0] - told[1]).numpy() == pytest.approx(1, abs=0.02)
    assert 130 < MIDDLE_C_HZ * 2 ** float(told[1].median()) < 184
    assert "octave_check" not in plain.config.model_dump_json()
