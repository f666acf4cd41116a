"""Many files: inputs, workers, folders of results and their summary."""
