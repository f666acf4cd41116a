"""Catalogs in the formats of other programs: out of a store (export) and into one (import)."""
