"""One run from start to summary: wires source, gate, provider, money, ledger and meters together."""
