"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("moderate", deadline=None)  # a slow machine is no failure
settings.load_profile("moderate")
