"""How good the models are, under the published protocols, on a folder of data."""
