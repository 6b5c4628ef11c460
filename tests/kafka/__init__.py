"""What needs a real broker: the promises, the mutations that must be found, the edges."""
