"""Training of the click-through network."""
