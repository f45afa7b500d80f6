"""Ready patches for Pure Data and Max beside an exported file: what they hold.

One description (`boxes.py`) serves both; `pd.py` and `maxpat.py` write it down. A patch sets
the buffer of nn~ (see docs/nn.md on why a message must), warns where the host's sample rate is not
the model's, and has a labelled slider for whatever may be set.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from engine.description import GENERATE, Attribute, Description, Method
from engine.files import atomic_write
from engine.scores.conditions import CLASS, FREE, GATE, LOUDNESS, PITCH
from engine.scores.loops import (
    BEATS,
    LEAST_BPM,
    MOST_BPM,
    PHASE,
    TEMPO,
    USUAL_BPM,
    plays_loops,
)
from engine.scores.strokes import VELOCITY, Z
from export.nn.boxes import Patch
from export.nn.maxpat import max_text
from export.nn.pd import pd_text
from export.nn.source import RESET, one_name

BUFFER = 512  # samples that patches start with, where the model allows
UNUSED = "(unused)"
CONDITIONS = (PITCH, GATE, LOUDNESS, CLASS)
ROW, COLUMN = 26, 190  # pixels from one control to the next
LEFT, FIRST = 20, 190  # where the controls begin
ASIDE = 460  # where what is not in a chain stands
ROWS = 17  # controls in a column
Z_REACH = 2.0  # of what says which stroke of its class it is: standard deviations to either side
STROKE_VOLUME = 0.4


def write_patches(path: Path, description: Description) -> list[Path]:
    """Write the patches that go with the file at `path`, beside it; returns their names."""
    writers: dict[str, Callable[[Patch], str]] = {"pd": pd_text, "max": max_text}
    written = []
    for host, suffix in (("pd", ".pd"), ("max", ".maxpat")):
        main, effect = description.main, description.effect
        patches = {path.with_suffix(suffix): voice_patch(host, path.stem, description)}
        if effect is not None:
            called = path.stem if effect is main else f"{path.stem}.{effect.name}"
            patches[path.with_name(f"{called}{suffix}")] = effect_patch(
                host, path.stem, description, effect)
        if description.coder is not None:
            patches[path.with_name(f"{path.stem}.latents{suffix}")] = latents_patch(
                host, path.stem, description)
        for file, patch in patches.items():
            if patch is not None:
                with atomic_write(file) as temporary:
                    temporary.write_text(writers[host](patch), encoding="utf-8")
                written.append(file)
    return written


def buffer_of(description: Description) -> int:
    """Samples of nn~'s buffer: not below any ratio."""
    return max(BUFFER, description.ratio)


def effect_patch(host: str, name: str, description: Description, method: Method) -> Patch:
    """Audio in, audio out. What else the method takes comes behind its audio and is left at 0."""
    patch = Patch(host)
    _notes(patch, name, description)
    model = _model(patch, name, description, method, LEFT, 130)
    heard = sum(not label.startswith(CONDITIONS) for label in method.input_labels)
    _audio_in(patch, heard, [(model, channel) for channel in range(heard)], 100)
    _audio_out(patch, method, [(model, channel) for channel in range(method.out_channels)], 158)
    _reset(patch, [model], 240, 100)
    _controls(patch, list(description.attributes.values()), [model])
    return patch


def voice_patch(host: str, name: str, description: Description) -> Patch | None:
    """Keys in, if it has a pitch, time, if it makes loops, and audio out; None for a model that is
    not there to generate."""
    method = description.main
    if method.role != GENERATE or method.out_ratio != 1:
        return None
    patch = Patch(host)
    _notes(patch, name, description)
    model = _model(patch, name, description, method, LEFT, 200)
    at = {label: inlet for inlet, label in enumerate(method.input_labels)}
    sources = _keys(patch) if {PITCH, GATE} <= at.keys() else {}
    if plays_loops(method.input_labels):
        _loops(patch, method, model)
    elif LOUDNESS in at:
        sources[LOUDNESS] = (patch.add("slider", "loudness, bels", ASIDE, 144, minimum=-5,
                                       maximum=-1, value=-2, outlets=("float",)),)
    if VELOCITY in at:
        sources[VELOCITY] = (patch.add("slider", "velocity", ASIDE, 144, minimum=0, maximum=1,
                                       value=1, outlets=("float",)),)
        _strokes(patch, method, model)
    if FREE in at:
        sources[FREE] = (patch.add("toggle", "free", ASIDE + 220, 118, outlets=("int",)),)
    for number, (label, given) in enumerate(sources.items()):
        signal = patch.add("object", "sig~", LEFT + 90 * number, 172, outlets=("signal",))
        patch.connect(signal, model, 0, at[label])
        for source in given:
            patch.connect(source, signal)
    heard = [(model, channel) for channel in range(method.out_channels)]
    if VELOCITY in at:  # a full stroke peaks above 1, as a drum does
        volume = patch.add("object", f"*~ {STROKE_VOLUME:g}", LEFT, 228, inlets=2,
                           outlets=("signal",))
        patch.connect(model, volume)
        heard = [(volume, 0)]
    _audio_out(patch, method, heard, 228 + ROW * (VELOCITY in at))
    _reset(patch, [model], 240, 228)
    _controls(patch, list(description.attributes.values()), [model], 290)
    return patch


def _keys(patch: Patch) -> dict[str, tuple[int, ...]]:
    """Boxes that say pitch and gate: the last of the keys that are held, or by the mouse."""
    keys = patch.add("object", "notein", LEFT, 92, outlets=("int", "int", "int"))
    last = patch.add("object", "poly 1 1", LEFT, 118, inlets=2, outlets=("int", "int", "int"))
    above = patch.add("object", "- 60.", LEFT, 144, inlets=2, outlets=("float",))
    octaves = patch.add("object", "/ 12.", LEFT + 70, 144, inlets=2, outlets=("float",))
    held = patch.add("object", "> 0", LEFT + 170, 144, inlets=2, outlets=("int",))
    for outlet in range(2):
        patch.connect(keys, last, outlet, outlet)
    patch.connect(last, above, 1)
    patch.connect(above, octaves)
    patch.connect(last, held, 2)
    note = patch.add("slider", "a note, without keys", ASIDE, 92, outlets=("float",), minimum=36,
                     maximum=96, value=69)
    patch.connect(note, above)
    play = patch.add("toggle", "its gate", ASIDE, 118, outlets=("int",))
    return {PITCH: (octaves,), GATE: (held, play)}


def _loops(patch: Patch, method: Method, model: int) -> None:
    """A tempo, the place in the bar that runs with it, and a slider for every other condition."""
    tempo = patch.add("number", "beats a minute", LEFT, 92, outlets=("float",),
                      minimum=LEAST_BPM, maximum=MOST_BPM, value=USUAL_BPM)
    bars = patch.add("object", f"/ {60 * BEATS}.", LEFT, 118, inlets=2, outlets=("float",))
    phase = patch.add("object", "phasor~", LEFT, 144, inlets=2, outlets=("signal",))
    share = patch.add("object", f"/ {USUAL_BPM:g}.", LEFT + 130, 118, inlets=2, outlets=("float",))
    octaves = patch.add("object", "log 2", LEFT + 130, 144, inlets=2, outlets=("float",))
    signal = patch.add("object", "sig~", LEFT + 130, 172, outlets=("signal",))
    for chain in ((tempo, bars, phase), (tempo, share, octaves, signal)):
        for source, target in pairwise(chain):
            patch.connect(source, target)
    for inlet, label in enumerate(method.input_labels):
        if label in (PHASE, TEMPO):
            patch.connect(phase if label == PHASE else signal, model, 0, inlet)
            continue
        low, high = method.input_ranges[inlet] if method.input_ranges else (-1.0, 1.0)
        _condition(patch, (model, inlet), label, (low, high), min(max(0.0, low), high), ASIDE,
                   92 + ROW * inlet)


def _condition(patch: Patch, to: tuple[int, int], label: str, ends: tuple[float, float],
               value: float, x: int, y: int) -> None:
    """A slider whose number goes on as a signal."""
    slider = patch.add("slider", label, x, y, outlets=("float",), minimum=ends[0],
                       maximum=ends[1], value=value)
    held = patch.add("object", "sig~", x + COLUMN + 70, y, outlets=("signal",))
    patch.connect(slider, held)
    patch.connect(held, to[0], 0, to[1])


def _strokes(patch: Patch, method: Method, model: int) -> None:
    """A slider for the weight of each class and subclass, the first of them up, and for each
    number that says which stroke of its class it is."""
    rest = [(inlet, label) for inlet, label in enumerate(method.input_labels)
            if label not in (GATE, VELOCITY, PITCH)]
    for at, (inlet, label) in enumerate(rest):
        chosen = label.startswith(f"{Z} ")
        column, row = divmod(at, ROWS)
        _condition(patch, (model, inlet), label, (-Z_REACH, Z_REACH) if chosen else (0.0, 1.0),
                   float(at == 0 and not chosen), ASIDE + (COLUMN + 130) * column, 196 + ROW * row)


def latents_patch(host: str, name: str, description: Description) -> Patch:
    """Audio to latents and back, with a factor and an offset in every latent's way."""
    assert description.coder is not None
    encode, decode = description.coder
    patch = Patch(host)
    _notes(patch, name, description)
    patch.add("text", "Every latent is a signal: change the numbers, or put any signal object in "
              "its way. Two models in a row: twice the buffer's latency", 420, 40, outlets=())
    first = _model(patch, name, description, encode, LEFT, 130)
    second = _model(patch, name, description, decode, LEFT, 250)
    heard = encode.in_channels
    _audio_in(patch, heard, [(first, channel) for channel in range(heard)], 100)
    for i in range(encode.out_channels):
        x = LEFT + 60 * i
        factor = patch.add("object", "*~ 1", x, 175, inlets=2, outlets=("signal",))
        offset = patch.add("object", "+~ 0", x, 200, inlets=2, outlets=("signal",))
        patch.connect(first, factor, i)
        patch.connect(factor, offset)
        patch.connect(offset, second, 0, i)
    _audio_out(patch, decode, [(second, channel) for channel in range(decode.out_channels)], 280)
    _reset(patch, [first, second], 240, 100)
    return patch


def _notes(patch: Patch, name: str, description: Description) -> None:
    """What to know first, and the warning about the sample rate."""
    rate = description.sample_rate_hz
    program = "Pure Data" if patch.host == "pd" else "Max"
    patch.add("text", f"{name}: start {program} with OMP_NUM_THREADS=1 in its environment, and "
              f"play at {rate} Hz", LEFT, 10, outlets=())
    start = patch.add("object", "loadbang", LEFT, 40, outlets=("bang",))
    if patch.host == "pd":
        asked = patch.add("object", "samplerate~", 90, 40, outlets=("float",))
        outlet = 0
    else:
        asked = patch.add("object", "dspstate~", 90, 40,
                          outlets=("int", "float", "int", "int"))
        outlet = 1
    wrong = patch.add("object", f"!= {rate}", 180, 40, inlets=2, outlets=("int",))
    lamp = patch.add("toggle", f"lit: the rate is not {rate}", 250, 40, outlets=("int",))
    only = patch.add("object", "sel 1", 180, 68, inlets=2, outlets=("bang", ""))
    said = patch.add("object", f"print wrong-sample-rate:-{name}-wants-{rate}-Hz", 230, 68,
                     outlets=())
    for source, target in ((start, asked), (wrong, lamp), (wrong, only), (only, said)):
        patch.connect(source, target)
    patch.connect(asked, wrong, outlet)


def _model(patch: Patch, name: str, description: Description, method: Method, x: int,
           y: int) -> int:
    """nn~ with one method, its buffer set by a message at load."""
    size = buffer_of(description)
    file = f"{name}.ts" if patch.host == "pd" else name
    outlets = ("signal",) * method.out_channels + ("",)
    model = patch.add("object", f"nn~ {_one_word(file, patch.host)} {method.name} {size}", x, y,
                      inlets=method.in_channels, outlets=outlets)
    if patch.host == "pd":  # Max makes its buffers as large as the argument says
        start = patch.add("object", "loadbang", x + 420, y - 28, outlets=("bang",))
        message = patch.add("message", f"bufsize {size}", x + 420, y, inlets=1)
        patch.connect(start, message)
        patch.connect(message, model)
    return model


def _one_word(text: str, host: str) -> str:
    """A file name as one word of an object's text."""
    if host == "max":
        return f'"{text}"' if " " in text else text
    return "".join(f"\\{c}" if c in " ,;$\\" else c for c in text)


def _audio_in(patch: Patch, channels: int, to: list[tuple[int, int]], y: int) -> None:
    numbers = " ".join(str(i + 1) for i in range(channels))
    source = patch.add("object", f"adc~ {numbers}", LEFT, y, outlets=("signal",) * channels)
    for channel, (target, inlet) in enumerate(to):
        patch.connect(source, target, channel, inlet)


def _audio_out(patch: Patch, method: Method, of: list[tuple[int, int]], y: int) -> None:
    """A model of one channel is heard on both sides."""
    speakers = patch.add("object", "dac~ 1 2", LEFT, y, inlets=2, outlets=())
    for side in range(2):
        source, outlet = of[min(side, method.out_channels - 1)]
        patch.connect(source, speakers, outlet, side)


def _reset(patch: Patch, models: list[int], x: int, y: int) -> None:
    bang = patch.add("bang", "reset: forget all sound so far", x, y, outlets=("bang",))
    message = patch.add("message", f"set {RESET} 1", x, y + 24)
    patch.connect(bang, message)
    for model in models:
        patch.connect(message, model)


def _controls(patch: Patch, attributes: list[Attribute], models: list[int],
              first: int = FIRST) -> None:
    """A slider for each number of each attribute; a wide range of whole ones gets a number box."""
    at = 0
    for attribute in attributes:
        for i in range(attribute.size):
            label = attribute.labels[i] if attribute.labels else f"{attribute.name} {i + 1}"
            if label.endswith(UNUSED):
                continue
            alone = attribute.size == 1
            order = attribute.name if alone else f"{one_name(attribute)} {i + 1}"
            shown = attribute.name if alone else f"{attribute.name}: {label}"
            column, row = divmod(at, ROWS)
            x, y = LEFT + 2 * COLUMN * column, first + ROW * row
            wide = attribute.maximum - attribute.minimum > 1000
            control = patch.add("number" if wide else "slider", shown, x, y, outlets=("float",),
                                minimum=attribute.minimum, maximum=attribute.maximum,
                                value=attribute.default)
            message = patch.add("message", f"set {order} $1", x + COLUMN + 70, y)
            patch.connect(control, message)
            for model in models:
                patch.connect(message, model)
            at += 1
