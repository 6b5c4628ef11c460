"""Training of the sequence networks: transformer, GRU and LSTM."""
