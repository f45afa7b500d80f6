"""A small portable program around the C runtime: model file and audio in, audio and counts out.

The same program runs on this machine, on aarch64 under emulation or on a Raspberry Pi, and on a
bare Cortex-M7 in an emulated board; what it plays must be the same bits everywhere."""
