"""Fault injection: the whole way from findings to a receiver, with real processes, while everything dies.

``python -m tests.faults.run`` runs it; docs/faults.md says what it proves.
"""
