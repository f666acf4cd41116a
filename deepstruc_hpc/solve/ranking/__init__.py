"""From fits to an order with probabilities, and whether there is an answer at all."""
