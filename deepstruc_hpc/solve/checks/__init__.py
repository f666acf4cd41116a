"""What is asked of the best candidates after the ranking: several phases, another program, moved atoms."""
