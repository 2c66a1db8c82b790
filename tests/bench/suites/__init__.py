"""One module per group of bars; each has ``TITLE`` and ``run(bench)``, which gives the section of the report."""
