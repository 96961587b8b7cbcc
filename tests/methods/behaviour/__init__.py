"""Each method on small data of its own kind: does it beat plain training by a margin that ten seeds support?"""
