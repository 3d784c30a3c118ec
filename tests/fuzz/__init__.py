"""Bytewise mutants of models of all formats, seeded: `make fuzz`. What it found is kept in `found/`."""
