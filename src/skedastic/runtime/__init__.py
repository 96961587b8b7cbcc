"""The machine: processes, the memory allocator, and what the figures were computed with."""
