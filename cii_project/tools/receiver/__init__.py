"""A real receiver of our webhooks, for trying things: ``manage.py receiver``."""
