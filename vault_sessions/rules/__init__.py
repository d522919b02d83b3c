"""The decisions: pure functions of data, settings and a given time. See docs/policies."""
