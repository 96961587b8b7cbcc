"""Each method on small data made for what it is for: does it beat plain training by a margin that ten seeds support?"""
