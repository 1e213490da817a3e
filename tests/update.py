"""Write what follows from the code: ``python -m tests.update``. The reference (docs/reference/) and the catalogues of
translations; the golden files have a variable of their own (docs/development.md)."""

import os

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from tests import reference_pages, translations

    reference_pages.write()
    translations.write_all()
