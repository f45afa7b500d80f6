"""`python -m nn_tudor`: the command `tudor`, where scripts are not on the path."""

from __future__ import annotations

from nn_tudor.cli import main

if __name__ == "__main__":
    main()
