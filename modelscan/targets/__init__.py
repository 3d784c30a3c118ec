"""What the runtimes that people deploy to can load: tables and comparisons, without the runtimes themselves."""
