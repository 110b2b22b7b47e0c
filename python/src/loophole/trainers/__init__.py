"""One small file for each trainer: how its form of a reward becomes rows, and records its form of an answer.

Each file names the version that it follows. None of them imports its trainer before it is used by it.
"""
