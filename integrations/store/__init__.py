"""Integrations in the database: their settings, their sealed secrets and their state."""
