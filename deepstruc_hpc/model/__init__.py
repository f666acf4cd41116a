"""The conditional variational autoencoder and its checkpoint."""
