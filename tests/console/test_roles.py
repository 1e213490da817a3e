"""The role alone decides who signs in and what they may do, at once; test_crawl.py asks for every page as every role."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from cii_project.console.core.roles import ROLE_BY_GROUP, Role, role_of
from tests.console.checks_world import (
    person,
    text,
)

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


def with_password(member):
    member.set_password(PASSWORD)
    member.save()
    return member


def sign_in(name):
    client = Client()
    return client, client.post("/admin/login/", {"username": name, "password": PASSWORD})


# --- Signing in -------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", list(ROLE_BY_GROUP))
@pytest.mark.parametrize("is_staff", [True, False])
def test_each_role_signs_in_whatever_the_staff_status(role, is_staff):
    member = with_password(person(role, "ann"))
    User.objects.filter(pk=member.pk).update(is_staff=is_staff)
    client, answer = sign_in("ann")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert client.get("/admin/").status_code == 403


@pytest.mark.parametrize("is_staff", [True, False])
def test_without_a_role_the_sign_in_page_says_so_to_a_person_who_knows_the_password(is_staff):
    member = with_password(person("", "ann"))
    User.objects.filter(pk=member.pk).update(is_staff=is_staff)
    client, answer = sign_in("ann")
    assert "Your account has no role yet. Ask an administrator" in text(answer)
    assert "_auth_user_id" not in client.session
    wrong = client.post("/admin/login/", {"username": "ann", "password": "guess"})
    assert "no role" not in text(wrong)


def test_a_group_that_is_no_role_gives_none():
    member = with_password(person("Staff", "ann"))
    assert role_of(member) is Role.NONE
    assert "no role yet" in text(sign_in("ann")[1])


@pytest.mark.parametrize("role", list(ROLE_BY_GROUP))
@pytest.mark.parametrize("end", ["role", "active"])
def test_access_ends_with_the_role_or_the_account_at_the_next_request(role, end):
    member = person(role, "ann")
    User.objects.filter(pk=member.pk).update(is_staff=True)
    client = Client()
    client.force_login(member)
    pages = ["/", "/checks/", "/metrics"]
    assert {client.get(page).status_code for page in pages} == {200}
    if end == "role":
        member.groups.clear()
    else:
        User.objects.filter(pk=member.pk).update(is_active=False)
    assert not {client.get(page).status_code for page in pages} & {200}


def test_a_role_that_is_lowered_counts_at_the_next_request():
    member = person("Engineer", "ann")
    client = Client()
    client.force_login(member)
    assert client.get("/integrations/add/").status_code == 200
    member.groups.set([Group.objects.get_or_create(name="Viewer")[0]])
    assert client.get("/integrations/add/").status_code == 403


def test_a_superuser_is_an_administrator_without_any_group(administrator):
    assert role_of(administrator) is Role.ADMINISTRATOR
    administrator.is_active = False
    assert role_of(administrator) is Role.NONE


# --- Nobody gives themselves a role -----------------------------------------------------------------
def all_permissions_of_django(member):
    member.user_permissions.set(Permission.objects.all())
    group, _ = Group.objects.get_or_create(name="Everything")
    group.permissions.set(Permission.objects.all())
    member.groups.add(group)
    member.is_staff = True
    member.save()
    return member


@pytest.mark.parametrize("role", list(ROLE_BY_GROUP))
def test_permissions_of_django_allow_nobody_to_touch_members_roles_or_the_queue(role):
    member = all_permissions_of_django(person(role, "eve"))
    other = User.objects.create_superuser("root", "", PASSWORD)
    client = Client()
    client.force_login(member)
    theirs = [
        "auth/user/",
        "auth/user/add/",
        f"auth/user/{member.pk}/change/",
        f"auth/user/{other.pk}/password/",
    ]
    theirs += [
        "auth/group/",
        "auth/group/add/",
        "django_q/schedule/",
        "django_q/schedule/add/",
        "django_q/ormq/",
    ]
    for page in theirs:
        assert client.get(f"/admin/{page}").status_code == 403, page
        grab = {"username": "eve", "is_superuser": "on", "is_active": "on", "func": "os.system"}
        assert client.post(f"/admin/{page}", grab).status_code == 403, page
    member.refresh_from_db()
    assert not member.is_superuser
    assert role_of(User.objects.get(pk=member.pk)) is ROLE_BY_GROUP[role]


def test_permissions_of_django_do_not_make_a_member():
    member = all_permissions_of_django(with_password(person("", "eve")))
    client = Client()
    client.force_login(member)
    assert client.get("/checks/").status_code == 403
    assert client.get("/admin/auth/user/").status_code == 302


def test_a_superuser_gives_a_role_on_the_members_page_in_the_admin(admin_client):
    member, group = person("", "bob"), Group.objects.get_or_create(name="Operator")[0]
    page = text(admin_client.get(f"/admin/auth/user/{member.pk}/change/"))
    assert 'name="is_staff"' not in page
    assert 'name="user_permissions"' not in page
    data = {
        "username": "bob",
        "is_active": "on",
        "groups": [group.pk],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }
    assert admin_client.post(f"/admin/auth/user/{member.pk}/change/", data).status_code == 302
    assert role_of(User.objects.get(username="bob")) is Role.OPERATOR
