"""What travels: checkpoints of single sessions, and the history that other programs keep."""
