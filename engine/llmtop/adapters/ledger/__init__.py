"""The ledger: one SQLite file a run, its output files, its lock, and the state folder that holds them."""
