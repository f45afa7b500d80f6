"""The Raspberry Pi's side of the instrument: the program, its package, its status."""
