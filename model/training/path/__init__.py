"""Training of the session HMM."""
