"""SCIM 2.0 (RFC 7643, RFC 7644): an identity provider pushes its users; the product is the server."""

from integrations.sources.shared.connection_kind import PushSource


class ScimSource(PushSource):
    slug = "scim"
    label = "SCIM 2.0"
    summary = (
        "Okta, Microsoft Entra ID, Cisco's collector for Active Directory or another system pushes its users."
    )
    provider = "SCIM"
    position = 50
    steps = (
        "Give the source a name and save: the page then shows the base URL, and the token once.",
        "Allow the pushing system to reach this installation over HTTPS, at the address of PUBLIC_URL.",
        "Okta: add a SCIM 2.0 app, choose HTTP header authentication, and enter base URL and token under Provisioning.",
        "Entra: add an enterprise application of your own, and enter both under Provisioning as tenant URL and secret token.",
        "Cisco's collector: write base URL, token URL and token into its configuration file, as the guide shows.",
        "Assign users there: what they push shows here within two minutes.",
    )
