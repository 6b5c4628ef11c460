"""The quality benchmark: models under the published protocols, on a folder of data."""
