"""What is done to an artifact before it is served: export, extend, shrink."""
