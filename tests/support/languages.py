"""What a reader of a page reads or hears, and the English words in it."""

import re
from html.parser import HTMLParser

# Latin letters that a Chinese reader expects: names of authors and of things that have no other name.
NAMES = {
    "Callaway", "Sant", "Anna", "Borusyak", "Jaravel", "Spiess", "Sun", "Abraham", "CR", "GDP", "ATT", "evalaid", "csv", "svg", "png",
    "tex", "md", "json", "docx", "pdf", "English", "why", "verify", "diagnose", "covariates", "No", "In",
}  # fmt: skip
IDENTIFIER = re.compile(r"\b[\w.-]+(?:[_/.]\w+)+\b|\b[A-Z]?\d+\w*|`[^`]+`")
WORD = re.compile(r"[A-Za-z]{2,}")


def english_in(text):
    """Latin words that are no names and no identifiers."""
    return [word for word in WORD.findall(IDENTIFIER.sub(" ", text)) if word not in NAMES]


class Texts(HTMLParser):
    """What a reader of a page reads or hears: texts outside code and scripts, and names for screen readers."""

    INLINE = ("a", "strong", "em", "span", "b", "i", "sup", "sub", "br")
    SILENT = ("script", "style", "code", "pre")

    def __init__(self):
        super().__init__()
        self.found, self.text, self.silent = [], "", 0

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("alt", "aria-label") and value]
        if tag in self.SILENT:
            self.silent += 1
        if tag not in self.INLINE:
            self.close_text()

    def handle_endtag(self, tag):
        if tag in self.SILENT:
            self.silent -= 1
        if tag not in self.INLINE:
            self.close_text()

    def handle_data(self, data):
        if not self.silent:
            self.text += data

    def close_text(self):
        if text := " ".join(self.text.split()):
            self.found.append(text)
        self.text = ""


def texts_of(html):
    reader = Texts()
    reader.feed(html)
    reader.close_text()
    return reader.found
