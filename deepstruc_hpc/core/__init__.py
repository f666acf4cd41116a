"""What everything may use and which uses nothing of ours: errors, settings, structures, curves, seeds."""
