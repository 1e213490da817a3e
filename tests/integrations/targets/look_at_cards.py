"""Pictures of Adaptive Cards, drawn by Microsoft's renderer, for a person to look at (docs/targets/teams.md).

    npm install --prefix /tmp/cards adaptivecards markdown-it@14
    CHROMIUM=/usr/bin/chromium python -m tests.integrations.targets.look_at_cards /tmp/cards

It writes ``light.png`` and ``dark.png`` to the folder, and says what the renderer does not accept. No test runs it: the
renderer would bring Node.js into the build.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

# Approximately those of Teams.
THEMES = {
    "light": {"page": "#f5f5f5", "card": "#ffffff", "text": "#242424", "subtle": "#616161", "accent": "#5b5fc7",
              "attention": "#c4314b", "warning": "#8a5a00", "good": "#237b4b"},
    "dark": {"page": "#141414", "card": "#292929", "text": "#ffffff", "subtle": "#adadad", "accent": "#9ea2ff",
             "attention": "#f9526b", "warning": "#f8d22a", "good": "#92c353"},
}  # fmt: skip
_STYLE = """
body { margin: 0; padding: 16px; background: %(page)s; display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start }
.box { width: 540px; border-radius: 6px; box-shadow: 0 1px 3px #0004; overflow: hidden }
.ac-anchor { color: %(accent)s !important }
.ac-pushButton { border: 1px solid #8884; border-radius: 4px; background: transparent; color: %(text)s; padding: 6px 14px;
  font: 600 14px system-ui, sans-serif }
"""
_DRAW = """([card, host]) => {
  AdaptiveCards.AdaptiveCard.onProcessMarkdown = (text, result) => {
    result.outputHtml = window.markdownit().render(text)
    result.didProcess = true
  }
  const made = new AdaptiveCards.AdaptiveCard(), context = new AdaptiveCards.SerializationContext()
  made.hostConfig = new AdaptiveCards.HostConfig(host)
  made.parse(card, context)
  const box = document.createElement("div")
  box.className = "box"
  box.append(made.render())
  document.body.append(box)
  const problems = made.validateProperties().validationEvents.map(one => one.message)
  for (let n = 0; n < context.eventCount; n++) problems.push(context.getEventAt(n).message)
  return problems
}"""
LIST = """These users can sign in with a password alone, without a second step.

What to do:
- Ask the user to enrol a factor, a phishing-resistant one (passkey, security key) where you can.
- See [the guide](https://intranet.example.com/mfa).

Failing users:"""
USER = """Hello Kim,

Your account has no second sign-in step, such as an app or a security key.
Account: kim@example.com

Why it matters: A password can be guessed or stolen. With a second step, your password alone is not enough to get in.

What to do:
- Set up a second step: a security key or passkey if you have one, otherwise an authenticator app.
- Sign out and in again to see that it works.

How to do it: https://intranet.example.com/mfa

Please do this by Saturday, 5 December 2026. If you have questions, ask the IT help desk, phone 4357.

Your IT team"""


def cards() -> list[dict[str, Any]]:
    """A list, a message to a user, what an author formatted, a resolved list, and a connectivity test."""
    from integrations.formatted_text import MessageText
    from integrations.target_data import MessageFrame
    from integrations.targets import KINDS
    from integrations.templating.markdown import parse_markdown
    from notifications.rendering.payloads import BatchPosition
    from tests.integrations.targets import events

    people = [
        events.user("kim@example.com", lastSignIn="2025-10-09T00:00:00Z", sourcesWithoutMfa=["okta"]),
        events.user("jo_ann@example.com", sourcesWithoutMfa=["okta", "entra"], factors=["sms"]),
        events.user("<b>lee*@example.com"),
        events.user(f"{'very.long.' * 8}login@example.com", lastSignIn="2025-10-09T00:00:00Z"),
    ]
    frame = MessageFrame(
        names=["Kim Doe", "Jo-Ann Müller"],
        user_urls=[f"https://checks.example.com/users/{number}/" for number, _ in enumerate(people, 1)],
        users_url="https://checks.example.com/users/?check=no-mfa",
    )
    personal = replace(frame, subject="Your account: no second sign-in step")
    text = MessageText(parse_markdown(LIST))
    sent = [
        (events.failed(people, message=text, part=BatchPosition(1, 1, 34)), frame),
        (events.direct(message=MessageText(parse_markdown(USER))), personal),
        (events.failed(people[:1], message=events.formatted("Kim")), frame),
        (events.resolved(), frame),
        (events.connectivity(), frame),
    ]
    kind = KINDS["teams"]
    target = events.target(kind, {"url": "https://example.com/workflow"})
    bodies = [kind.render(event, replace(target, frame=around)).body for event, around in sent]
    return [json.loads(body)["attachments"][0]["content"] for body in bodies]


def host_config(theme: dict[str, str]) -> dict[str, Any]:
    colours = {
        name: {"default": theme[name], "subtle": theme[name]}
        for name in ("accent", "attention", "warning", "good")
    }
    colours["default"] = {"default": theme["text"], "subtle": theme["subtle"]}
    return {
        "fontFamily": "'Segoe UI', system-ui, sans-serif",
        "spacing": {"small": 8, "default": 12, "medium": 16, "large": 20, "extraLarge": 24, "padding": 16},
        "fontSizes": {"small": 12, "default": 14, "medium": 14, "large": 18, "extraLarge": 24},
        "fontWeights": {"lighter": 200, "default": 400, "bolder": 600},
        "containerStyles": {"default": {"backgroundColor": theme["card"], "foregroundColors": colours}},
        "actions": {"buttonSpacing": 8, "actionAlignment": "left"},
    }


def draw(folder: Path) -> None:
    """Write the pictures. Raises ``FileNotFoundError`` if the folder does not hold the packages."""
    from playwright.sync_api import sync_playwright

    packages = folder / "node_modules"
    scripts = [
        packages / "adaptivecards/dist/adaptivecards.min.js",
        packages / "markdown-it/dist/markdown-it.min.js",
    ]
    sheet = (packages / "adaptivecards/dist/adaptivecards.css").read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        for name, theme in THEMES.items():
            page = browser.new_page(viewport={"width": 1144, "height": 600})
            page.set_content(f"<style>{sheet}{_STYLE % theme}</style>")
            for script in scripts:
                page.add_script_tag(content=script.read_text())
            for card in cards():
                for problem in page.evaluate(_DRAW, [card, host_config(theme)]):
                    sys.stdout.write(f"{name}: {problem}\n")
            page.screenshot(path=folder / f"{name}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django

    django.setup()
    draw(Path(sys.argv[1]))
