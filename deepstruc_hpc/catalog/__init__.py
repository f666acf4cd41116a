"""Stage 1: recipe to catalog."""
