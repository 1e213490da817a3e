"""What the sources at AWS read and decide, without a server."""

from datetime import UTC, datetime

import pytest
from requests import Request

from integrations.auth.signature_v4 import Credentials, CredentialScope, SignatureV4
from integrations.sources import API_SOURCES
from integrations.sources.awsiam.kind import record_of_row
from integrations.sources.shared.aws_call import error_code, partition_of, regional_address
from integrations.sources.shared.aws_policies import allows_administration
from integrations.sources.shared.xml_answers import xml_value
from integrations.target_data import InvalidDocument
from tests.doubles.aws_iam import KEY_ID, ROLE_KEY_ID, ROLE_SECRET, ROLE_TOKEN, SECRET, policy, row

USED = "2026-11-27T10:00:00+00:00"
BOTOCORE = (
    "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/20261129/us-east-1/iam/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=14f774967f48d96f961a00920e3bb7553b60b76f2a9bcb245b1cd48820ed3f6d"
)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"external_id": "ext-1"}, "external_id"),
        ({"access_key_id": "ASIAIOSFODNN7EXAMPLE"}, "session_token"),
        ({"role_arn": "identity-checks"}, "role_arn"),
    ],
)
def test_what_does_not_go_together_is_refused(document, field):
    with pytest.raises(InvalidDocument) as refused:
        API_SOURCES["awsiam"].clean({"access_key_id": KEY_ID, "secret_access_key": SECRET} | document)
    assert list(refused.value.errors) == [field]


# --- Answers --------------------------------------------------------------------------------------------


def test_xml_is_read_as_json_would_have_it():
    body = b"""<?xml version="1.0"?>
    <AResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><AResult>
      <Users><member><Name>a &lt; b</Name><Tags/></member><member><Name>\xc3\xa9</Name></member></Users>
      <Groups><member>Staff</member></Groups><Empty/><IsTruncated>false</IsTruncated>
    </AResult></AResponse>"""
    assert xml_value(body)["AResponse"]["AResult"] == {
        "Users": [{"Name": "a < b", "Tags": ""}, {"Name": "\u00e9"}],
        "Groups": ["Staff"],
        "Empty": "",
        "IsTruncated": "false",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"<a></b>",
        b"{}",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        # Texts that grow, and files of this machine.
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b"<!DOCTYPE a><a/>",
        b"<a>" * 100_000,
    ],
)
def test_what_is_no_plain_xml_is_refused(body):
    with pytest.raises(ValueError, match=r"no XML|document type|nested"):
        xml_value(body)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"ErrorResponse": {"Error": {"Code": "Throttling"}}}, "Throttling"),
        ({"Response": {}, "Error": {"Code": "SlowDown"}}, "SlowDown"),
        ({"__type": "com.amazon.coral.service#AccessDeniedException"}, "AccessDeniedException"),
        ({"__type": "ValidationException:http://internal.amazon.com/coral/"}, "ValidationException"),
        ({"__type": "aws.api#SlowDown:http://internal.amazon.com/coral/#1"}, "SlowDown"),
        ({"code": "com.amazon.coral.service#SlowDown"}, "SlowDown"),
        ({"a": 1}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_code_of_an_error_is_found_in_each_protocol(value, code):
    assert error_code(value) == code


@pytest.mark.parametrize(
    ("region", "partition", "address"),
    [
        ("eu-central-1", "aws", "https://sts.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "https://sts.us-gov-west-1.amazonaws.com"),
        ("cn-northwest-1", "aws-cn", "https://sts.cn-northwest-1.amazonaws.com.cn"),
    ],
)
def test_a_region_has_the_address_of_its_partition(region, partition, address):
    assert (partition_of(region).name, regional_address("sts", region)) == (partition, address)


def test_a_session_token_is_sent_and_signed():
    # Made with botocore 1.43.11, SigV4Auth.
    scope = CredentialScope(datetime(2026, 11, 29, 12, tzinfo=UTC), "us-east-1", "iam")
    request = Request(
        "POST", "https://iam.amazonaws.com/", data={"Action": "ListUsers", "Version": "2010-05-08"}
    ).prepare()
    SignatureV4(Credentials(ROLE_KEY_ID, ROLE_SECRET, ROLE_TOKEN), scope)(request)
    assert request.headers["X-Amz-Security-Token"] == ROLE_TOKEN
    assert request.headers["Authorization"] == BOTOCORE


# --- Words and policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"password_last_used": "no_information"}, {"last_sign_in_at": None}),
        # AWS has recorded uses since October 2014.
        ({"password_last_used": "no_information", "user_creation_time": "2013-01-01T00:00:00+00:00"}, {}),
        (
            {
                "password_enabled": "false",
                "password_last_used": "N/A",
                "user_creation_time": "2013-01-01T00:00:00+00:00",
            },
            {"last_sign_in_at": None},
        ),
        ({"access_key_2_last_used_date": USED}, {"last_sign_in_at": USED}),
        ({"password_last_used": "someday"}, {}),
    ],
)
def test_the_words_of_the_report_say_never_or_nothing(values, found):
    record = record_of_row(row("ann", **values))
    assert {name: value for name, value in record.items() if name == "last_sign_in_at"} == found


@pytest.mark.parametrize(
    ("password", "mfa", "found"),
    [
        ("true", "false", {"mfa_enabled": False, "mfa_factors": []}),
        ("not_supported", "false", {"mfa_enabled": False, "mfa_factors": []}),
        ("false", "false", {}),
        ("false", "true", {"mfa_enabled": True}),
    ],
)
def test_a_user_without_a_password_needs_no_mfa(password, mfa, found):
    record = record_of_row(row("ann", password_enabled=password, mfa_active=mfa))
    assert {name: value for name, value in record.items() if name.startswith("mfa")} == found


def test_columns_that_a_report_lacks_leave_their_fields_unknown():
    assert record_of_row({"user": "ann", "arn": "arn:aws:iam::1:user/ann", "mfa_active": "maybe"}) == {}


@pytest.mark.parametrize(
    ("document", "is_admin"),
    [
        (policy("*"), True),
        (policy("iam:*"), True),
        (policy("iam:Attach*"), True),
        (policy("s3:*", "iam:Get*"), False),
        (policy("iam:PutUserPolicy", Effect="Deny"), False),
        ('{"Statement": {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"}}', True),
        ('{"Statement": {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*"}}', False),
        ('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::logs"}}', False),
        ("{", False),
        (None, False),
    ],
)  # fmt: skip
def test_a_policy_makes_an_administrator_if_it_allows_to_give_any_permission(document, is_admin):
    assert allows_administration(document) is is_admin
