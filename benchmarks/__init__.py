"""How fast it is: measured against the same job done otherwise, in one run on one machine."""
