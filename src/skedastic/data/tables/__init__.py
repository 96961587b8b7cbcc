"""Tables: columns, what they hold, and what each is for."""
