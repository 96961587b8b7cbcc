"""The machine: processes, the memory allocator, discovery of modules, versions and hardware."""
