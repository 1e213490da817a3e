"""Migrate, make the client, say on which port, serve until terminated."""

import django
from django.core.management import call_command
from waitress.server import create_server

from tests.integrations.oauth_server import CLIENT_ID, CLIENT_SECRET


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    from django.core.handlers.wsgi import WSGIHandler
    from oauth2_provider.models import Application

    Application.objects.create(
        name="events",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    server = create_server(WSGIHandler(), host="127.0.0.1", port=0, threads=4)
    print(f"port {server.effective_port}", flush=True)  # noqa: T201
    server.run()


if __name__ == "__main__":
    main()
