"""Players, one file per backend, behind the face in `engine/players/base.py`."""
