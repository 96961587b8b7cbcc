"""The interface of a method, and the bases of kinds of methods."""
