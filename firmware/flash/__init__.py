"""`tudor flash`: the instrument onto a Raspberry Pi's card or a Daisy, without mounting or root."""
