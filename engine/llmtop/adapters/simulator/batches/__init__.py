"""Batch jobs of the simulated provider: their life, their files and their troubles."""
