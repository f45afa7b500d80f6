"""A module goes by what methods are for: what a model calls them changes no sound."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.description import Description
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile
from export.native.export import with_metadata
from export.native.file import seal
from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_models import FloatArray, composer, wire
from tests.firmware.machines import assert_same_bits, machine

RATE, BLOCK = 48000, 48
OTHER = ("make", "listen", "sound")
SCRIPT = [(0.0, "knob", 0, 0.6), (0.05, "knob", 2, 0.9), (0.1, "cv", 0, -0.5)]


def noise() -> FloatArray:
    sound = np.random.default_rng(0).standard_normal((1, RATE // 4))
    return (0.2 * sound).astype(np.float32)


def play(model: bytes, way: str, target: str = "native") -> Racked:
    played = play_rack(machine(target), [model], maps=[f"way {way}\n"], audio=noise(),
                       channels=(1, 1), script=events(SCRIPT, RATE), rate=RATE, block=BLOCK)
    assert played.refused == ()
    assert played.facts["faults"] == "0"
    return played


def recorded(data: bytes) -> list[int]:
    """The roles as a file's records give them."""
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    return [int(fmt.unpack("method", data, int(header["methods"]) + i * fmt.record_bytes("method"))
                ["role"]) for i in range(int(header["methods_count"]))]


@pytest.mark.parametrize("target", ["native", "m7"])
def test_an_effect_of_any_name_plays(target: str) -> None:
    assert_same_bits(play(wire(gain=0.5, name="process"), "effect", target).audio,
                     play(wire(gain=0.5), "effect").audio)


@pytest.mark.parametrize("way", ["bend", "source"])
def test_a_coder_and_a_generator_of_any_name_play(way: str) -> None:
    got, wanted = play(composer(called=OTHER), way), play(composer(), way)
    assert_same_bits(got.audio, wanted.audio)
    assert got.status.tobytes() == wanted.status.tobytes()


def test_a_generator_alone_plays() -> None:
    got = play(composer(kind="fused", called=OTHER), "source")
    assert_same_bits(got.audio, play(composer(kind="fused"), "source").audio)


def test_names_that_belong_to_another_role_do_not_mislead() -> None:
    """Called the other way round: what is called `encode` generates."""
    got = play(composer(called=("encode", "decode", "generate")), "source")
    assert_same_bits(got.audio, play(composer(), "source").audio)


def test_files_say_a_role_only_where_the_name_does_not() -> None:
    """A runtime from before plays what it could play, and refuses what it would get wrong."""
    assert recorded(wire()) == recorded(wire(name="process")) == [0]
    assert recorded(composer()) == [0, 0, 0]
    assert recorded(composer(called=OTHER)) == [fmt.roles()[role] for role in
                                                ("generate", "encode", "decode")]


def test_python_reads_the_roles_of_the_records() -> None:
    """Without metadata; and from the metadata of files that say them only there."""
    data = composer(called=OTHER)
    bare = NativeFile.from_bytes(with_metadata(data, "{}"))
    assert bare.roles == dict(zip(OTHER, ("generate", "encode", "decode"), strict=True))
    assert Description.from_json(NativeFile.from_bytes(data).metadata, "x").main.name == "make"

    plain = bytearray(data)
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    names = [name for _, name in fmt.records()["method"]]
    for i in range(3):
        at = int(header["methods"]) + i * fmt.record_bytes("method") + 4 * names.index("role")
        plain[at : at + 4] = bytes(4)
    old = NativeFile.from_bytes(seal(bytes(plain)))
    assert old.roles == bare.roles
    assert json.loads(old.metadata)["methods"]["make"]["role"] == "generate"
    assert {m.role for m in old.methods.values()} == {"effect"}, "which is all that C can know"
