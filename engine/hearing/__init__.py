"""What can be heard in a sound: pitch and loudness. Needs numpy alone."""
