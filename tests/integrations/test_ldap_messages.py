"""Messages and filters of LDAP: bytes as RFC 4511 and RFC 4515 show them, and no bytes that break the reader."""

from contextlib import suppress

import pytest
from hypothesis import example, given, strategies as st

from integrations.transport import ldap_messages as ldap
from integrations.transport.ldap_messages import FilterError, LdapFormatError


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "0080"),
        (256, "0100"),
        (-1, "ff"),
        (-129, "ff7f"),
        (2**31 - 1, "7fffffff"),
    ],
)
def test_a_number_takes_the_fewest_bytes(value, content):
    encoded = ldap.integer(value)
    assert encoded[2:].hex() == content
    assert ldap._number(encoded[2:]) == value


@pytest.mark.parametrize(("size", "head"), [(5, "0405"), (127, "047f"), (128, "048180"), (300, "0482012c")])
def test_a_length_is_definite(size, head):
    encoded = ldap.octets(bytes(size))
    assert encoded.hex().startswith(head)
    assert ldap._BerReader(encoded).next(0x04) == bytes(size)


def test_a_simple_bind_is_that_of_the_standard():
    assert ldap.bind_request(1, "cn=a", "pw").hex() == "3012020101600d0201030404636e3d6180027077"


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("(cn=Babs)", "a30a0402636e040442616273"),
        ("(!(cn=A))", "a209a3070402636e040141"),
        ("(cn=*)", "8702636e"),
        ("(o=u*m)", "a40b04016f300680017582016d"),
        (r"(o=\28)", "a30604016f040128"),
        ("(cn>=a)", "a5070402636e040161"),
        ("(sn:dn:2.4.6.8.10:=B)", "a916810a322e342e362e382e31308202736e8301428401ff"),
        (" (|(a=1)(b=2)) ", "a110a306040161040131a306040162040132"),
    ],
)
def test_a_filter_is_that_of_the_standard(text, encoded):
    assert ldap.compiled_filter(text).hex() == encoded


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "cn=a",
            "(cn=a",
            "(cn)",
            "(&)",
            "(!(a=1)(b=2))",
            "(cn=a)(cn=b)",
            r"(cn=\zz)",
            "(cn>=a*)",
            "(cn=**)",
        ),
        *("(=a)", "(!" * 40 + "(a=1)" + ")" * 40, "(" + "a" * 30_000 + "=1)"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_filter_is_refused_with_a_sentence(text):
    with pytest.raises(FilterError) as raised:
        ldap.compiled_filter(text)
    assert str(raised.value).endswith((".", ")", "*"))


@given(st.text(max_size=40))
@example("*()\\\0")
@example("(Ærø)")
def test_an_escaped_value_is_that_value(value):
    compiled = ldap._BerReader(
        ldap._BerReader(ldap.compiled_filter(f"(cn={ldap.escaped(value) or '0'})")).next()
    )
    assert compiled.next() == b"cn"
    assert compiled.next() == (value.encode() or b"0")


@given(st.binary(max_size=80))
@example(bytes.fromhex("300c020101" + "6407040161" + "3082ffff"))
def test_any_bytes_are_a_message_or_refused(data):
    with suppress(LdapFormatError):
        size = ldap.whole_length(data)
        if size is not None and len(data) >= size:
            assert ldap.parse_message(data[:size]).operation in range(256)


@given(st.data())
def test_a_message_with_a_wrong_byte_is_read_or_refused(data):
    entry = ldap.element(0x30, ldap.octets("cn") + ldap.element(0x31, ldap.octets("a") + ldap.octets("b")))
    whole = ldap.element(
        0x30,
        ldap.integer(7) + ldap.element(ldap.ENTRY, ldap.octets("cn=a") + ldap.element(0x30, entry)),
    )
    message = ldap.parse_message(whole)
    assert message.entry is not None
    assert (message.number, message.entry.dn, message.entry.texts("CN")) == (7, "cn=a", ["a", "b"])
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + bytes((data.draw(st.integers(0, 255)),)) + whole[at + 1 :]
    with suppress(LdapFormatError):
        assert ldap.parse_message(broken).operation in range(256)
