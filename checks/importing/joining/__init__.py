"""Decides which accounts are one user, and why: join.py has the rules and their order."""
