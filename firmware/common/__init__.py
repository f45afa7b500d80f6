"""The instrument: portable C11, no hardware in it. `module.h` is what boards see."""
