"""Where work runs: Ray sessions, pools of actors, SLURM."""
