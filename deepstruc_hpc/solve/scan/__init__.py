"""One folder of files under many settings: how stable each answer is."""
