"""The console: pages rendered on the server, one module per subject."""
