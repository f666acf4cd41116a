"""Stage 2: catalog to checkpoint."""
