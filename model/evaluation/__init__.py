"""How good an artifact is: the same questions put to it and to every baseline."""
