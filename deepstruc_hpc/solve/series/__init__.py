"""Curves that belong together: a film of frames solved warm from a few that are solved fully, smoothed, with the places where something changes."""
