"""Property tests of the codecs: no deadline per example, since the machine may be busy."""

from hypothesis import settings

settings.register_profile("protocols", deadline=None)
settings.load_profile("protocols")
