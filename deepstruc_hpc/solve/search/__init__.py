"""Searches about the best candidates: in latent space, over the sites of a template lattice, over cuts of a crystal."""
