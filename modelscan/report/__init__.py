"""Views of the report, one module per output format: a function of plain data and a stream, computing nothing."""
