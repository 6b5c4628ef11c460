"""How a network learns: what it reads of a log, what it minimises, and when it stops."""
