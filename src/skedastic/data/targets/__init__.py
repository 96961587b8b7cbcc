"""Targets: classes or numbers, their groups, several annotators' answers, corrected labels."""
