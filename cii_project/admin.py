"""The operators' records of what is not ours: people and groups, the log of what people did, the queue."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from checks.admin import RecordAdmin
from cii_project.models import SavedFilter

for theirs in (User, Group, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(theirs):
        admin.site.unregister(theirs)


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    # Django's two-column selector has labels that a screen reader may not read.
    filter_horizontal = ()


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    filter_horizontal = ()


@admin.register(LogEntry)
class LogEntryAdmin(RecordAdmin):
    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag", "change_message")
    list_filter = ("action_flag", "content_type")
    search_fields = ("object_repr", "change_message", "^user__username")
    list_select_related = ("user", "content_type")


@admin.register(SavedFilter)
class SavedFilterAdmin(RecordAdmin):
    list_display = ("name", "page", "person")
    list_filter = ("page",)
    search_fields = ("name", "^person__username")
    list_select_related = ("person",)


# Who can edit a schedule, or queue a task, can run any function: the queue is to look at only.
@admin.register(Schedule)
class ScheduleAdmin(RecordAdmin):
    list_display = ("name", "func", "schedule_type", "minutes", "next_run", "repeats")


@admin.register(Success)
class SuccessAdmin(RecordAdmin):
    list_display = ("name", "func", "started", "stopped")
    search_fields = ("name", "func")
    ordering = ("-stopped",)
    # What tasks were given and gave back is pickled: unpickling runs code.
    exclude = ("args", "kwargs", "result", "hook")

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(success=True).defer("args", "kwargs", "result")


@admin.register(Failure)
class FailureAdmin(RecordAdmin):
    list_display = ("name", "func", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")
    ordering = ("-stopped",)
    exclude = ("args", "kwargs", "hook")

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(success=False)


@admin.register(OrmQ)
class QueuedAdmin(RecordAdmin):
    list_display = ("id", "key", "lock")
    exclude = ("payload",)
