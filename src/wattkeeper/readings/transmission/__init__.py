"""How readings travel from a remote collector to the platform: the batch format, the outbox, the two ends."""
