"""Sources: one reader for each form in which data comes."""
