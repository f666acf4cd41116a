"""Geometry: parameters in, Structure out."""
