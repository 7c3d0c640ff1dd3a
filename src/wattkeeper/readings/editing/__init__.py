"""Editing: a person changes a reading or an interval with a reason, a second one agrees, and both can take it back."""
