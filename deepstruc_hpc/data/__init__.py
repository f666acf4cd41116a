"""The two artefacts on disk and the formats at the edges."""
