"""What is known about one measurement: its range, its instrument, and what the sample is taken for."""
