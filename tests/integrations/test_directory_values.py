"""Identifiers, times and distinguished names of directories."""

import pytest

from integrations.sources.shared import directory_values as values


def test_the_first_parts_of_a_guid_are_little_endian():
    assert (
        values.guid(bytes.fromhex("33221100554477668899aabbccddeeff"))
        == "00112233-4455-6677-8899-aabbccddeeff"
    )
    assert values.guid(b"short") == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("116444736000000000", "1970-01-01T00:00:00Z"),
        ("134081010000000001", "2025-11-20T08:30:00Z"),
        ("0", None),
        ("9223372036854775807", None),
        ("-1", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("9223372036854775806", None),
    ],
)
def test_a_filetime(text, moment):
    found = values.filetime(text)
    assert (found and values.moment_text(found)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("20250131083000.0Z", "2025-01-31T08:30:00Z"),
        ("20250131083000Z", "2025-01-31T08:30:00Z"),
        ("20250131083000.123456Z", "2025-01-31T08:30:00Z"),
        ("20250131103000+0200", "2025-01-31T08:30:00Z"),
        ("20250131103000+02", "2025-01-31T08:30:00Z"),
        ("202501310830Z", "2025-01-31T08:30:00Z"),
        ("000001010000Z", None),
        ("20251331083000Z", None),
        (None, None),
    ],
)
def test_a_generalized_time(text, moment):
    found = values.generalized_time(text)
    assert (found and values.moment_text(found)) == moment


@pytest.mark.parametrize(
    ("dn", "parts"),
    [
        ("CN=Ann,OU=Staff,DC=corp", [("cn", "Ann"), ("ou", "Staff"), ("dc", "corp")]),
        (r"CN=Ames\, Ann,DC=x", [("cn", "Ames, Ann"), ("dc", "x")]),
        (r"CN=Ames\2C Ann,DC=x", [("cn", "Ames, Ann"), ("dc", "x")]),
        (r"CN=a\\,DC=x", [("cn", "a\\"), ("dc", "x")]),
        (r"CN=\C3\86r\C3\B8,DC=x", [("cn", "Ærø"), ("dc", "x")]),
        ("uid = ann , dc = x", [("uid", "ann"), ("dc", "x")]),
        ("", []),
    ],
)
def test_the_parts_of_a_distinguished_name(dn, parts):
    assert values.parts_of(dn) == parts


def test_equal_names_have_one_key():
    assert values.dn_key(r"CN=Ames\, Ann, OU=Staff,DC=x") == values.dn_key(r"cn=ames\2C  ann,ou=staff,dc=X")
    assert values.dn_key("CN=a,DC=x") != values.dn_key("CN=b,DC=x")


def test_the_domain_of_a_name():
    dn = "CN=Ann,OU=Staff,DC=corp,DC=example"
    assert (values.domain_of(dn), values.domain_root(dn)) == ("corp.example", "DC=corp,DC=example")
