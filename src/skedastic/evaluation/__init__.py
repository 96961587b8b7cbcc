"""Evaluation: the metrics of a test set, intervals, paired differences, calibration."""
