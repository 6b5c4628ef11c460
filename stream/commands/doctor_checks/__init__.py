"""The checks of `lately doctor`."""
