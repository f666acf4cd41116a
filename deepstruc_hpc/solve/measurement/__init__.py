"""What is known of one measurement before anything is proposed: range, instrument, sample, baseline."""
