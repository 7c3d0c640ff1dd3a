"""Readings and intervals as files: tables, Green Button and IEC 61968-9, written and read in batches."""
