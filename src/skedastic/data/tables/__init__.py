"""Tables: columns, their cells, and the role of each."""
