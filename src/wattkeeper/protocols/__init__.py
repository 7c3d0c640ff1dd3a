"""Wire codecs, sans-I/O: bytes to values and back. They import nothing else of wattkeeper."""
