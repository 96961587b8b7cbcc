"""Runs: results in memory, in a folder and back, compared over seeds, served, exported, and put into sentences."""
