"""Servers on loopback that answer as providers document it, for the demonstration, the benchmark and tests."""
