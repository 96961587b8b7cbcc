"""Targets: classes or numbers, their groups, the labels of several annotators, corrected labels."""
