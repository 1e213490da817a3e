"""The web server's entry."""

import os

from django.core.management.base import BaseCommand
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cii_project.settings")
application = get_wsgi_application()
# The commands of manage.py run the start-up checks by themselves, a web server does not: no key, no start.
BaseCommand().check()
