"""Training of the session HMM (network ``path``)."""
