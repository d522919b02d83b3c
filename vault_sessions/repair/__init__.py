"""Mending what is wrong in the files: nothing is lost, and a second run finds nothing."""
