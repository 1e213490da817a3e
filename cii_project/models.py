"""What belongs to the people at the pages, and to no app below."""

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """A person's own view of a list: its name and the query string that makes it."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    query = models.CharField(max_length=1024)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["person", "page", "name"], name="saved_filter_once")]

    def __str__(self) -> str:
        return self.name
