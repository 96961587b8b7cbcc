"""Evaluation: figures of a test set, intervals, paired differences, calibration."""
