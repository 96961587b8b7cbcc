"""Text of the user's where a person reads it: on a terminal, in JSON and in Markdown."""

import json

import pytest

from skedastic.runtime.escaping import code, in_json, markdown, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("x\ny\tz\r", r"x\ny\tz\r"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\u200b", r"\u200b"),  # a name that looks empty
        ("\u3164", r"\u3164"),
        ("a\u2028b", r"a\u2028b"),
        ("\udc80", r"\udc80"),  # which no stream could encode
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_nobody_sees_is_written_out(text, shown) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["plain", "naïve 日本語 עברית", "👩‍👩‍👧 ☀️", "می‌خواهم", "[bold]a\\b", "a  b"])
def test_what_people_write_stays(text) -> None:
    assert visible(text) == text
    assert visible(f"{text}\n", but="\n") == f"{text}\n"


def test_json_stays_the_same_value() -> None:
    value = {"\x1b[1m": ["\x9b", "\u202e\u2028", "日本", "\udc80", "\U000e0041", "a\nb"]}
    shown = in_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(shown) == value
    assert visible(shown, but="\n") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("*a* _b_ ~~c~~ `d`", r"\*a\* \_b\_ \~\~c\~\~ \`d\`"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("[x](http://a.b) www.c.d", r"\[x\](http\://a.b) www\.c.d"),
        ("x\ny", r"x\\ny"),
        ("# big", r"\# big"),
        ("- a", r"\- a"),
        ("---", r"\---"),
        ("12. a", r"12\. a"),
        ("> a", "&gt; a"),
        (":smile: at 10:30", r"\:smile: at 10:30"),
        ("25.0% are right; -1 and 1.5", "25.0% are right; -1 and 1.5"),
        ("-1", "-1"),
        ("$x$", r"\$x\$"),
        ("\u202ea", r"\\u202ea"),
    ],
)
def test_markdown_shows_the_text_itself(text, shown) -> None:
    assert markdown(text) == shown


def test_code_holds_what_no_backticks_can() -> None:
    assert code("a_b c") == "`a_b c`"
    assert code("a`b|<i>") == r"<code>a\`b\|&lt;i&gt;</code>"
    assert code("x\ny") == r"<code>x\\ny</code>"
