"""A page as one HTML file: no network, no evaluation of text as code, scripts only by their checksum."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from varfx.report.html.blocks import Page, charts_of
from varfx.report.html.escape import embedded_json, escaped
from varfx.report.html.render import html_of
from varfx.report.html.theme import CONFIG
from varfx.report.html.vendored import SCRIPTS, script


def document(page: Page, *, static: bool = False) -> str:
    """The page's HTML.

    Its policy allows nothing from outside, and of scripts only those whose SHA-256 it names: text that slipped in would not run.

    Args:
        page: what it shows.
        static: charts as PNG pictures, and no scripts at all.

    Raises:
        StoreError: a vendored library is damaged.
    """
    charts = [chart for section in page.sections for chart in charts_of(section.blocks)]
    scripts: list[str] = []
    if not static:
        scripts = [*(script(name) for name in SCRIPTS if charts), _asset("page.js")]
    links = "".join(f'<li><a href="#{escaped(each.anchor)}">{escaped(each.heading)}</a></li>' for each in page.sections)
    sections = "\n".join(
        f'<section id="{escaped(each.anchor)}" aria-labelledby="{escaped(each.anchor)}-heading">\n'
        f'<h2 id="{escaped(each.anchor)}-heading">{escaped(each.heading)}</h2>\n{html_of(each.blocks, static=static)}\n</section>'
        for each in page.sections
    )
    theme = f'<script type="application/json" id="theme">{embedded_json(CONFIG)}</script>' if scripts else ""
    without = (
        ""
        if static
        else "<noscript><p>The charts need JavaScript, which this page holds itself. Tables and text do not.</p></noscript>"
    )
    return f"""<!DOCTYPE html>
<html lang="{escaped(page.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escaped(page.title)}</title>
<style>
{_asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<div class="frame">
<header>
<h1>{escaped(page.title)}</h1>
<p class="subtitle">{escaped(page.subtitle)}</p>
{without}
</header>
<nav aria-label="Contents"><ol>{links}</ol></nav>
<main id="content">
{sections}
</main>
</div>
<footer>{escaped(page.footer)}</footer>
{theme}
{"".join(f"<script>{text}</script>{chr(10)}" for text in scripts)}</body>
</html>
"""


def policy(scripts: list[str]) -> str:
    """The content-security policy: the page's own scripts by checksum, its own styles and pictures, nothing else."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def _asset(name: str) -> str:
    return files("varfx.report.html").joinpath("assets", name).read_text(encoding="utf-8")
