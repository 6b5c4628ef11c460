"""Training of the text classifier."""
