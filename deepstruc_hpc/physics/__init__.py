"""Scattering and fitting: arrays in, arrays out; no files, no Ray."""
