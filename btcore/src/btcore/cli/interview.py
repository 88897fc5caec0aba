# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions of `btcore init --interactive`: where readings come from, where they go. The result is some tables.

What there is to choose from comes from the plugins (`doctor/nearby.py`), and each choice is tried at once
(`doctor/trial.py`). Nothing is written here.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

import tomli

from btcore.classes import define, evolve, field, frozen
from btcore.cli.questions import ask, ask_secret, choose, confirm, show
from btcore.discovered import Discovered
from btcore.discovery import find, installed, kinds_of
from btcore.doctor.nearby import Nearby, discover
from btcore.doctor.trial import TableText, examine_sink, examine_source, hear
from btcore.errors import BtcoreError, ConfigurationError
from btcore.findings import Finding
from btcore.origin import LIVE, origin_of
from btcore.settings import Kind, Secret
from btcore.text import nearest
from btcore.values.describe import Setting, settings_of, toml_text

MAX_TRIALS = 4
"""How often a source is tried with the settings that a finding offers."""


@frozen
class Offer:
    """One table that may be chosen, and the meters that were heard by it."""

    plugin: str
    found: Discovered
    heard: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Setting]:
        """All settings of its plugin, by name."""
        return {entry.name: entry for entry in settings_of(find(self.plugin, installed()).load())}

    @property
    def asked(self) -> list[Setting]:
        """What the person is asked for: what the plugin needs and is not known, and what the offer names."""
        known = self.found.settings
        return [
            entry
            for name, entry in self.settings.items()
            if name in self.found.ask or (entry.required and name not in known)
        ]

    @property
    def is_live(self) -> bool:
        """Whether its readings are of meters that are there."""
        return origin_of(find(self.plugin, installed()).load()) == LIVE

    @property
    def is_complete(self) -> bool:
        """Whether it can be tried without a question."""
        return all(name in self.found.settings for name, entry in self.settings.items() if entry.required)

    def __str__(self) -> str:
        """As the list of offers has it."""
        heard = f" - here sends meter {', '.join(self.heard)}" if self.heard else ""
        return f"{self.plugin}: {self.found.text}{heard}"


@define
class Interview:
    """One course of questions. `usual` are plugins that come first; `without` are those that are not offered."""

    seconds: float
    usual: Collection[str] = ()
    without: Collection[str] = ()
    tables: list[TableText] = field(factory=list)

    def hold(self) -> list[TableText]:
        """Ask; return the tables that are wanted. Raises Unavailable where the answers end."""
        show("This asks what is connected, and then writes the configuration. Enter gives the answer in brackets.")
        show("Ctrl-C ends it; then nothing is written.")
        print()
        show("Looking for serial ports, and for programs on this computer ...")
        nearby = discover()
        for one in nearby:
            if one.failure:
                show(f"The plugin {one.plugin} cannot be asked: {one.failure}")
        self._sources(self._offers(nearby, "source"))
        self._sinks(self._offers(nearby, "sink"))
        return self.tables

    def _offers(self, nearby: Sequence[Nearby], kind: Kind) -> list[Offer]:
        offers = [Offer(one.plugin, found) for one in nearby for found in one.found if found.kind == kind]
        wanted = [offer for offer in offers if offer.plugin not in self.without]
        return sorted(wanted, key=lambda offer: (not offer.found.is_present, offer.plugin not in self.usual))

    @property
    def has_secrets(self) -> bool:
        """Whether a secret is among the answers."""
        return any(
            entry.annotation is Secret and entry.name in table.settings
            for table in self.tables
            for entry in settings_of(find(table.plugin, installed()).load())
        )

    # --- sources

    def _sources(self, offers: list[Offer]) -> None:
        offers = self._listen(offers)
        while True:
            print()
            first = next((at for at, offer in enumerate(offers) if offer.heard), 0)
            at = choose("Where do readings come from?", [str(offer) for offer in offers], first)
            if table := self._source(offers[at]):
                self.tables.append(table)
                if not confirm("Is there another meter, on another line?", default=False):
                    return

    def _listen(self, offers: list[Offer]) -> list[Offer]:
        """Listen by all offers that can be tried; return them with the meters that were heard, these first."""
        able = {f"n{at}": offer for at, offer in enumerate(offers) if offer.is_complete}
        names = "; ".join(offer.found.text for offer in able.values() if offer.found.is_present)
        where = f" ({names})" if names else ""
        if not able or not confirm(f"Listen for {self.seconds:g} s, to see which meter sends?{where} Nothing is sent"):
            return offers
        show("Listening ...")
        tables = [TableText("source", name, one.plugin, dict(one.found.settings)) for name, one in able.items()]
        try:
            heard: Mapping[str, tuple[str, ...]] = hear(tables, self.seconds)
        except BtcoreError as error:
            show(f"That did not work: {error}")
            heard = {}
        by_offer = {id(able[name]): serials for name, serials in heard.items()}
        found = [evolve(offer, heard=by_offer.get(id(offer), ())) for offer in offers]
        return sorted(found, key=lambda offer: not offer.heard)

    def _source(self, offer: Offer) -> TableText | None:
        """Ask for what an offer needs, and try it; return its table, None if it is not kept."""
        table = self._filled(offer)
        if offer.heard and table.settings == offer.found.settings:
            return table
        for _ in range(MAX_TRIALS):
            if offer.is_live:
                show(f"Trying it, for {self.seconds:g} s at least ...")
            try:
                trial = examine_source(table, self.seconds)
            except ConfigurationError as error:
                if not self._again(table, offer, error):
                    return None
                continue
            if trial.serials:
                show(f"Here sends meter {', '.join(trial.serials)}.")
                return table
            if not self._mended(table, trial.found):
                return table if not trial.found or confirm("Keep it all the same?", default=trial.is_open) else None
        return None

    def _mended(self, table: TableText, found: Sequence[Finding]) -> bool:
        """Show what is wrong; return whether settings that would mend it were taken over."""
        _show(found)
        better = {key: value for finding in found for key, value in finding.settings.items()}
        formatted = ", ".join(f"{key} = {toml_text(value)}" for key, value in better.items())
        if not better or not confirm(f"Set {formatted}, and try again?"):
            return False
        table.settings |= better
        return True

    # --- sinks

    def _sinks(self, offers: list[Offer]) -> None:
        known = {offer.plugin for offer in offers}
        question = "Where do readings go?"
        while not any(table.kind == "sink" for table in self.tables):
            print()
            show(question)
            question = "Where do readings go? At least one of these is needed."
            for offer in offers:
                if offer.found.is_present and confirm(f"  {offer}"):
                    self._sink(offer)
            self._further_sinks(offers, known)

    def _further_sinks(self, offers: list[Offer], known: Collection[str]) -> None:
        """Ask for sinks by their names, until there are no more."""
        absent = {offer.plugin: offer for offer in offers if not offer.found.is_present}
        others = [name for name in _installed_sinks() if name not in {*known, *self.without} or name in absent]
        if not others:
            return
        show(f"More sinks that are installed: {', '.join(others)}.")
        while name := ask("Name of another one (Enter: none)"):
            if name in others:
                self._sink(absent.get(name) or Offer(name, Discovered(kind="sink", text="")))
            else:
                show(f"There is no {name}{nearest(name, others) or '.'} To go on without another one, press Enter.")

    def _sink(self, offer: Offer) -> None:
        """Ask for what a sink needs, and ask its plugin whether that works."""
        table = self._filled(offer)
        while True:
            try:
                found = examine_sink(table, self.seconds)
            except ConfigurationError as error:
                if not self._again(table, offer, error):
                    return
                continue
            _show(found)
            if not found or confirm("Keep it all the same?", default=False):
                self.tables.append(table)
                return
            if not offer.asked or not confirm("Answer again?"):
                return
            self._fill(table, offer.asked)

    # --- both

    def _filled(self, offer: Offer) -> TableText:
        table = TableText(offer.found.kind, self._name(offer), offer.plugin, dict(offer.found.settings))
        self._fill(table, offer.asked)
        return table

    def _name(self, offer: Offer) -> str:
        """Return a name for a table that no other one has: that of the plugin, with a number from the second on."""
        taken = {table.name for table in self.tables if table.kind == offer.found.kind}
        numbered = (f"{offer.plugin}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in (offer.plugin, *numbered) if name not in taken)

    def _again(self, table: TableText, offer: Offer, error: ConfigurationError) -> bool:
        """Show what is wrong with the settings of a table, and ask for them again; False if that is not wanted."""
        for problem in error.problems:
            show(f"{problem.key}: {problem.message}" if problem.key else problem.message)
        asked = offer.asked or [entry for entry in offer.settings.values() if entry.name in table.settings]
        if not confirm("Answer again?"):
            return False
        self._fill(table, asked)
        return True

    def _fill(self, table: TableText, asked: Sequence[Setting]) -> None:
        for entry in asked:
            value = _answer(entry, table.settings.get(entry.name))
            table.settings.pop(entry.name, None)
            if value is not None:
                table.settings[entry.name] = value


def _installed_sinks() -> Iterator[str]:
    for name, rivals in installed().items():
        try:
            if "sink" in kinds_of(find(name, {name: rivals}).load()):
                yield name
        except BtcoreError:
            continue


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        show(f"{finding.text} [{finding.code}]", "  ")
        show(f"{finding.advice}.", "    ")


def _answer(entry: Setting, default: object) -> object:
    """Return the value of a setting as the person types it; None if it is left out."""
    formatted = default if isinstance(default, str) else "" if default is None else toml_text(default)
    is_secret = entry.annotation is Secret
    show(
        f"{entry.help}{f', such as {entry.example}' if entry.example and not formatted and not is_secret else ''}", "  "
    )
    if entry.annotation is bool:
        return confirm(entry.name, default=bool(default)) or None
    while not (text := (ask_secret(entry.name) or formatted) if is_secret else ask(entry.name, formatted)):
        if not entry.required:
            return None
        show("This one is needed.")
    return _typed(entry.annotation, text)


def _typed(annotation: Any, text: str) -> object:  # noqa: ANN401 - types are values here
    """Return a text as the value that it is written for: a number, a list, or the text."""
    if annotation in {int, float}:
        try:
            return tomli.loads(f"x = {text}")["x"]
        except tomli.TOMLDecodeError:
            return text
    if get_args(annotation)[:1] == (str,) and "list" in str(annotation):
        return [part.strip(" \"'") for part in text.strip("[]").split(",") if part.strip()]
    return text
