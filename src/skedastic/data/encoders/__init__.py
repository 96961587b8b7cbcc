"""Encoders: from a source's features to the tensor that a network reads."""
