"""The synthetic shop: its catalogue, its shoppers and the demo artifact trained on it."""
