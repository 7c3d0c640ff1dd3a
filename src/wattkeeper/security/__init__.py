"""Who may do what, and who did: users, roles, sessions, tokens, and the audit."""
