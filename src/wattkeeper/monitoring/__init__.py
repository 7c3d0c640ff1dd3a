"""Monitoring: what is wrong now with meters and links, who is told of it, and the proof that they were."""
