"""Sound cards for the module: what each wants of the Pi's firmware, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError, nearest


@dataclass(frozen=True)
class Codec:
    """A sound card. `overlay`: for `dtoverlay=` in config.txt, as in the firmware's overlay list;
    empty where the kernel finds the card by itself."""

    name: str
    title: str
    overlay: str
    inputs: int
    outputs: int


CODECS = {codec.name: codec for codec in (
    Codec("pcm5102a", "PCM5102A boards and other plain I2S DACs, output only", "hifiberry-dac",
          0, 2),
    Codec("wm8731", "Audio Injector Stereo (WM8731)", "audioinjector-wm8731-audio", 2, 2),
    Codec("proto", "Mikroe Proto codec (WM8731)", "rpi-proto", 2, 2),
    Codec("codec-zero", "Raspberry Pi Codec Zero, IQaudIO Codec (DA7212)", "iqaudio-codec", 2, 2),
    Codec("dacplusadc", "HiFiBerry DAC+ ADC", "hifiberry-dacplusadc", 2, 2),
    Codec("dacplusadcpro", "HiFiBerry DAC+ ADC Pro", "hifiberry-dacplusadcpro", 2, 2),
    Codec("dac", "HiFiBerry DAC+ and other PCM512x, output only", "hifiberry-dacplus", 0, 2),
    Codec("usb", "any class-compliant USB sound card", "", 2, 2),
)}


def codec_named(name: str) -> Codec:
    """The codec called `name`, or an error that suggests one."""
    if name not in CODECS:
        raise ConfigError(f"--codec: unknown codec {name!r}{nearest(name, CODECS)}")
    return CODECS[name]
