# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a shell are not put in: a text that is one is told with what to write, and no secret is shown."""

from pathlib import Path

import pytest
from helpers.config_plugins import MINIMAL_SITE, Load, problems_of

from btcore.settings import Secret
from btcore.values.convert import convert
from btcore.values.invalid_value import ConversionContext, InvalidValue


@pytest.mark.parametrize("text", ["$PVO_KEY", "${PVO_KEY}", "%PVO_KEY%", "$env:PVO_KEY", "${env:PVO_KEY}"])
@pytest.mark.parametrize("setting", ["api_key", "url"])
def test_a_text_that_is_a_variable_is_told_with_how_one_is_named(load: Load, setting: str, text: str) -> None:
    """In a secret and in any other text."""
    (found,) = problems_of(load, f"{MINIMAL_SITE}{setting} = '{text}'\n")
    assert (found.key, found.line) == (setting, 4)
    assert found.message == '$ and % do not insert variables; write { env = "PVO_KEY" }'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$HOME/energy.db", 'write "~/energy.db"'),
        ("${HOME}/data/energy.db", 'write "~/data/energy.db"'),
        ("%USERPROFILE%\\energy.db", 'write "~/energy.db"'),
        ("%APPDATA%\\energy.db", "write the path itself; ~ is the home directory"),
        ("/srv/$SITE/energy.db", "write the path itself; ~ is the home directory"),
    ],
)
def test_a_path_with_a_variable_is_told_with_the_home_directory(load: Load, path: str, said: str) -> None:
    """A directory called $HOME is what nobody wants."""
    (found,) = problems_of(load, f"[source.tap]\nport = 2\nlog = '{path}'\n[sink.pail]\n")
    assert (found.key, found.message) == ("log", f"$ and % do not insert variables; {said}")


@pytest.mark.parametrize("text", ['{ env = "PVO_KEY" }', '{file="/run/secrets/pvo"}', "{ env: PVO_KEY }"])
def test_a_table_in_quotes_is_told(load: Load, text: str) -> None:
    """With quotes around it, it is a text."""
    (found,) = problems_of(load, f"{MINIMAL_SITE}api_key = '{text}'\n")
    assert found.message == "write { env = ... } and { file = ... } without quotes around them"


@pytest.mark.parametrize("name", ["$PVO_KEY", "${PVO_KEY}", "%PVO_KEY%"])
def test_a_variable_is_named_without_its_sign(load: Load, name: str) -> None:
    """Between the braces stands the name alone."""
    (found,) = problems_of(load, f'{MINIMAL_SITE}api_key = {{ env = "{name}" }}\n')
    assert found.message == 'write only the name of the variable: { env = "PVO_KEY" }'


def test_a_text_with_a_variable_in_it_is_remarked(load: Load) -> None:
    """It may be meant so; it is told as a warning."""
    site = load(MINIMAL_SITE + 'url = "http://$EMON_HOST/emoncms"\n')
    (warning,) = site.warnings
    assert (warning.key, warning.message) == (
        "url",
        "$EMON_HOST is taken literally; variables are not inserted here",
    )


@pytest.mark.parametrize(
    "text", ["$ecret", "pa$$WORD_1x", "$1", "100%", "%20", "a%20b%20c", "k$PVO_KEYk", "${x}{y}", "$"]
)
def test_a_secret_may_have_any_signs(text: str) -> None:
    """A password that only looks a little like a variable is one, and nothing is told of it."""
    context = ConversionContext(Path("/"))
    assert convert(text, Secret, context) == Secret(text)
    assert context.warnings == []


def test_a_secret_that_is_the_name_of_a_variable_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where such a variable is set, it is meant, however it is written."""
    monkeypatch.setenv("btcore_test_key", "hush")
    with pytest.raises(InvalidValue, match=r'write \{ env = "btcore_test_key" \}') as caught:
        convert("$btcore_test_key", Secret, ConversionContext(Path("/")))
    assert "hush" not in str(caught.value)
