"""How well jets come back from a few numbers, beside what needs no network."""
