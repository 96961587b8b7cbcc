"""The interface of a method, and what kinds of methods share."""
