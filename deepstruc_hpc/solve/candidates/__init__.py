"""Candidates, the sources that they come from, and their fit to a measurement."""
