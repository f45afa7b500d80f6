"""Players, one file per backend, behind the face in `engine/runtime.py`."""
