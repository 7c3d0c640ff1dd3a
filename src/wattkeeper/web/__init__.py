"""The face of Wattkeeper: JSON API under ``/api/v1`` and the console, over the services of the rooms below."""
