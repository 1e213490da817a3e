"""Data that members of the console store for themselves."""

from django.conf import settings
from django.db import models


class MemberPreference(models.Model):
    """The preferences of a member."""

    member = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    zone = models.CharField(max_length=64, blank=True, help_text="empty: that of the browser")

    def __str__(self) -> str:
        return f"preferences of {self.member}"


class SavedFilter(models.Model):
    """A saved filter of a list: its name and its query string (words, filters, order, columns), of one member.

    A shared one is offered to every member.
    """

    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    query = models.CharField(max_length=4096)
    is_shared = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["member", "page", "name"], name="saved_filter_once")]

    def __str__(self) -> str:
        return self.name
