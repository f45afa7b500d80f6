"""Sound cards for the module: what each wants of the Pi's firmware, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError, nearest
from firmware.flash.disk import ImageError

OVERLAYS = "/overlays"  # of the boot partition
SUFFIX = ".dtbo"


@dataclass(frozen=True)
class Codec:
    """A sound card. `overlays`: for `dtoverlay=` in config.txt, as in the firmware's overlay list,
    the newest name first (an image has those of its kernel); none where the kernel finds the card
    by itself. `cards`: ids that ALSA gives it, by which the module prefers it over other cards."""

    name: str
    title: str
    overlays: tuple[str, ...]
    cards: tuple[str, ...]
    inputs: int
    outputs: int


# ALSA makes an id of a card's name: 15 of its letters and digits, or its last word. The names are
# those in sound/soc/bcm of the kernel.
HIFIBERRY = ("sndrpihifiberry",)
CODECS = {codec.name: codec for codec in (
    Codec("pcm5102a", "PCM5102A boards and other plain I2S DACs, output only", ("hifiberry-dac",),
          HIFIBERRY, 0, 2),
    Codec("wm8731", "Audio Injector Stereo (WM8731)", ("audioinjector-wm8731-audio",),
          ("audioinjectorpi",), 2, 2),
    Codec("proto", "Mikroe Proto codec (WM8731)", ("proto-codec", "rpi-proto"), ("sndrpiproto",),
          2, 2),
    Codec("codec-zero", "Raspberry Pi Codec Zero, IQaudIO Codec (DA7212)", ("iqaudio-codec",),
          ("IQaudIOCODEC", "Zero"), 2, 2),
    Codec("dacplusadc", "HiFiBerry DAC+ ADC", ("hifiberry-dacplusadc",), HIFIBERRY, 2, 2),
    Codec("dacplusadcpro", "HiFiBerry DAC+ ADC Pro", ("hifiberry-dacplusadcpro",), HIFIBERRY, 2, 2),
    Codec("dac", "HiFiBerry DAC+ and other PCM512x without a clock, output only",
          ("hifiberry-dacplus-std", "hifiberry-dacplus"), HIFIBERRY, 0, 2),
    Codec("dac-pro", "HiFiBerry DAC+ Pro and other PCM512x with a clock of their own, output only",
          ("hifiberry-dacplus-pro", "hifiberry-dacplus"), HIFIBERRY, 0, 2),
    Codec("usb", "any class-compliant USB sound card", (), (), 2, 2),
)}


def codec_named(name: str) -> Codec:
    """The codec called `name`, or whose overlay is; else an error that suggests one."""
    if name in CODECS:
        return CODECS[name]
    for codec in CODECS.values():  # the first: what an old name of two stood for mostly
        if name in codec.overlays:
            return codec
    raise ConfigError(f"--codec: unknown codec {name!r}{nearest(name, CODECS)}")


def alias_note(name: str, overlay: str) -> str | None:
    """What to say where `name` was an overlay's, and perhaps an old one."""
    codec = codec_named(name)
    if name == codec.name:
        return None
    now = f", as this image calls it {overlay}" if overlay != name else ""
    return f"--codec {name}: taken for {codec.name}{now}"


def overlay_on(codec: Codec, names: list[str], image: object) -> str:
    """The codec's overlay by the newest name that the image has; "" where it needs none. `names`:
    of the files in its folder of overlays. Raises ImageError: the firmware would pass over one
    that is missing, without a word, and there would be no sound."""
    if not codec.overlays:
        return ""
    there = {name.lower().removesuffix(SUFFIX) for name in names if name.lower().endswith(SUFFIX)}
    for overlay in codec.overlays:
        if overlay in there:
            return overlay
    if not there:
        raise ImageError(f"{image}: the boot partition has no overlays ({OVERLAYS}/*{SUFFIX}), so "
                         "no codec can be used; take a fresh Raspberry Pi OS Lite (64-bit) image")
    usable = [known.name for known in CODECS.values() if there & set(known.overlays)]
    has = f"codecs that it has one for: {', '.join(usable)}" if usable else (
        f"it has {', '.join(sorted(there)[:6])}")
    raise ImageError(f"{image}: has no overlay {' or '.join(codec.overlays)} for --codec "
                     f"{codec.name}; {has}; a newer or older Raspberry Pi OS may have it")
