"""The page Joining: doubtful joins side by side, and a member's decision."""

import csv
import io
import re

import pytest
from django.test import Client

from checks.models import Account, JoinSuggestion, User
from tests.checks.imports import load
from tests.console.checks_world import person, queries, text

pytestmark = pytest.mark.django_db


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(person(role, role.lower()))
    return client


def doubtful() -> JoinSuggestion:
    load([{"login": "w1", "email": "m@x.org", "employee_id": "1"}], "hr", "hr")
    load([{"login": "w2", "email": "m@x.org", "employee_id": "2"}], "other")
    load([{"login": "b", "email": "m@x.org"}], "entra")
    return JoinSuggestion.objects.filter(account__login="b").order_by("pk")[0]


def test_both_accounts_stand_side_by_side_with_the_reason_of_the_doubt() -> None:
    doubtful()
    page = text(signed_in("Viewer").get("/joining/"))
    assert "Several users fit." in page
    assert "Same e-mail" in page


def test_the_doubts_are_searched_filtered_sorted_and_exported() -> None:
    doubtful()
    load([{"login": "x1", "email": "z@x.org", "employee_id": "8"}], "hr", "hr")
    load([{"login": "x2", "email": "z@x.org", "employee_id": "9"}], "other")
    load([{"login": "zoe", "email": "z@x.org"}], "okta")
    client = signed_in("Viewer")

    def logins(query: str) -> list[str]:
        return re.findall(r'<h2 id="join-\d+"><a[^>]*>([^<]*)</a> and', text(client.get(f"/joining/{query}")))

    everything = logins("")
    assert {*everything} == {"b", "zoe", "w2", "x2"} & {*everything} >= {"b", "zoe"}
    assert {*logins("?q=zo")} == {"zoe"}
    assert {*logins("?source=entra")} == {"b"}
    assert logins("?sort=account") == sorted(everything)
    assert logins("?sort=-account") == sorted(everything, reverse=True)
    assert logins("?state=accepted") == []
    assert logins("?state=all") == everything
    one = JoinSuggestion.objects.filter(account__login="b")[0]
    signed_in("Operator").post(f"/joining/{one.pk}/reject/")
    assert "b" in logins("?state=rejected")
    page = text(client.get("/joining/?state=gone"))
    assert "Unknown value “gone” of the filter State." in page
    assert "No doubtful join matches" in page
    content = b"".join(client.get("/joining/?q=zo&format=csv").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert {(row["account"], row["source"], row["state"]) for row in rows} == {("zoe", "okta", "open")}


def test_the_page_takes_few_queries_however_many_doubts_there_are() -> None:
    doubtful()
    client = signed_in("Viewer")
    few = queries(client, "/joining/")
    for number in range(20):
        load([{"login": f"b{number}", "email": "m@x.org"}], f"entra{number}")
    assert JoinSuggestion.objects.filter(state="open").count() > 20
    assert queries(client, "/joining/") <= few


def test_an_operator_joins_them_and_a_later_import_keeps_that() -> None:
    one = doubtful()
    signed_in("Operator").post(f"/joining/{one.pk}/accept/")
    assert Account.objects.get(login="b").user == one.user
    load([{"login": "b", "email": "else@x.org"}], "entra")
    assert Account.objects.get(login="b").user == one.user


def test_a_rejected_join_is_not_suggested_again() -> None:
    one = doubtful()
    signed_in("Operator").post(f"/joining/{one.pk}/reject/")
    load([{"login": "b", "email": "m@x.org", "title": "x"}], "entra")
    assert JoinSuggestion.objects.get(pk=one.pk).state == "rejected"


def test_a_viewer_decides_nothing() -> None:
    one = doubtful()
    assert signed_in("Viewer").post(f"/joining/{one.pk}/accept/").status_code == 403
    assert JoinSuggestion.objects.get(pk=one.pk).state == "open"


KEYED = {"login": "kim", "email": "kim@x.org", "employee_id": "1", "source_key": "k1"}
OTHER = {"login": "pat", "email": "pat@x.org", "employee_id": "2", "source_key": "k1"}


@pytest.mark.parametrize(("decision", "same_user"), [("accept", True), ("reject", False)])
def test_a_record_of_which_only_the_immutable_id_agrees_waits(decision: str, same_user: bool) -> None:
    load([KEYED])
    before = User.objects.get()
    load([OTHER])
    assert Account.objects.get().login == "kim"
    one = JoinSuggestion.objects.get()
    signed_in("Operator").post(f"/joining/{one.pk}/{decision}/")
    account = Account.objects.get()
    assert (account.login, account.user == before) == ("pat", same_user)
