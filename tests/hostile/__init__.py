"""The museum: files that are broken, dangerous or merely unusual, made by code, each with what must be said of it."""
