"""Pages of the documentation that are made when it is built: methods, public names, the decision chart, files from outside docs/.

Hooks of MkDocs (mkdocs.yml). What they write comes from the registry, from docstrings, and from code that is run.
"""

import contextlib
import io
import os
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from mkdocs.structure.files import File

import evalaid as ea
from evalaid.did.estimators.estimation import applies, methods
from evalaid.did.estimators.registry import METHODS

ROOT = Path(__file__).parents[1]
# Files outside docs/ that are pages of the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSES.md": "licences.md",
    "data/README.md": "data.md",
}
REAL = """\
import evalaid as ea
from evalaid.study.sample import load_design

design = load_design(ea.StudySpec(study="korea_obstetrics"))  # 128 districts, 17 treated, 2014-2023
effects = ea.estimate(design, "{name}")
table = ea.infer(effects.aggregate("overall"))
print(table[["estimate", "std_error", "conf_low", "conf_high", "note"]].round(3).T.to_string(header=False))
"""
# Examples of methods that need more than units, periods and starts.
EXAMPLES = {
    "dose": """\
import numpy as np
import pandas as pd
import evalaid as ea

random = np.random.default_rng(1)
panel = pd.DataFrame({"county": np.repeat(range(40), 6), "year": np.tile(range(2015, 2021), 40)})
panel["start"] = np.where(panel["county"] < 25, 2018.0, np.nan)
panel["experts"] = np.where(panel["county"] < 25, panel["county"] + 1.0, 0.0)
effect = 0.002 * panel["experts"] * (panel["year"] >= 2018)  # 0.2 points for each expert
panel["share"] = 0.6 + 0.01 * (panel["year"] - 2015) + effect + random.normal(0, 0.01, len(panel))

design = ea.diagnose(panel, unit="county", period="year", outcome="share", cohort="start", covariates=["experts"])
table = ea.infer(ea.estimate(design, "dose"))
print(table.loc[:1, ["parameter", "estimate", "std_error", "conf_low", "conf_high"]].round(4).to_string(index=False))
""",
    "triple_difference": """\
import numpy as np
import pandas as pd
import evalaid as ea

random = np.random.default_rng(1)
rows = pd.MultiIndex.from_product([range(40), [0, 1], range(2015, 2021)], names=["county", "supported", "year"])
panel = rows.to_frame(index=False)  # each county has departments that are supported, and others
panel["part"] = panel["county"] * 2 + panel["supported"]
panel["start"] = np.where(panel["county"] < 20, 2018.0, np.nan)
treated = (panel["year"] >= panel["start"]).astype(float)
shock = -0.04 * treated  # meets all departments of a treated county
panel["share"] = 0.6 + shock + 0.03 * treated * panel["supported"] + random.normal(0, 0.01, len(panel))

design = ea.diagnose(panel, unit="part", period="year", outcome="share", cohort="start", covariates=["supported"], cluster="county")
table = ea.infer(ea.estimate(design, "triple_difference").aggregate("overall"))
print(table[["estimate", "std_error", "conf_low", "conf_high", "note"]].round(3).T.to_string(header=False))
""",
}
FIELDS = {
    "needs": "Needs",
    "covariates": "Covariates",
    "strata": "Strata",
    "exposure": "First period in part",
    "options": "Options (first choice = default)",
    "reference": "Compared with",
    "tolerance": "Tolerance",
    "test": "Test",
    "source": "Source",
}


# ---------------------------------------------------------------- hooks


def on_config(config):
    """Fill the two parts of the navigation that are lists of made pages."""
    _fill(config["nav"], {"methods/": [*method_pages()], "api/": [*api_pages()]})
    config["watch"] += [str(ROOT / "src"), str(ROOT / "README.md")]
    return config


def on_files(files, config):
    """Add the made pages and those from outside docs/."""
    made = {**method_pages(), **api_pages()}
    made |= {page: (ROOT / path).read_text(encoding="utf-8") for path, page in OUTSIDE.items()}
    made["changelog.md"] = f"---\nsearch: {{exclude: true}}\n---\n{made['changelog.md']}"
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links at pages of the site, and put the chart where its page asks for it."""
    sources = {page: path for path, page in OUTSIDE.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    text = re.sub(r"<!-- (chart|needs) -->", lambda asked: MADE[asked[1]](), markdown)
    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", lambda found: _relink(found, source, page.file.src_uri), text)


def on_page_content(html, page, config, files):
    """Turn roles of reStructuredText in docstrings into code, and head cells without a word into cells."""
    html = re.sub(r":(?:func|class|meth|mod|attr):<code>~?(?:evalaid\.)?([^<]+)</code>", r"<code>\1</code>", html)
    return re.sub(r"<th[^>]*></th>", "<td></td>", html)


def on_post_page(output, page, config):
    """Name the search for those who hear the page."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def _fill(nav, lists):
    """Replace a folder's name in the navigation by its pages."""
    for entry in nav:
        for title, content in entry.items():
            if isinstance(content, list):
                _fill(content, lists)
            elif content in lists:
                entry[title] = lists[content]


def _relink(found, source, page):
    """Return a link of a file of the project as one of the site; of a file that is no page its text alone."""
    words, (target, _, anchor) = found[1], found[2].partition("#")
    if not target or "://" in target:
        return found[0]
    path = os.path.normpath(os.path.join(os.path.dirname(source), target)).replace(os.sep, "/")
    if not path.startswith("docs/") and path not in OUTSIDE:
        return words
    near = os.path.relpath(OUTSIDE.get(path, path.removeprefix("docs/")), os.path.dirname(page) or ".")
    return f"[{words}]({near.replace(os.sep, '/')}{'#' + anchor if anchor else ''})"


# ---------------------------------------------------------------- methods


def example(name):
    """Return the example of a method: its own, or the common one on real data."""
    return EXAMPLES.get(name) or REAL.format(name=name)


def run(code):
    """Run an example in the folder of the project and return what it prints."""
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(ROOT)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "example", "exec"), {"__name__": "example"})  # noqa: S102
    finally:
        os.chdir(before)
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())


def method_pages():
    """Return the page of each method, from the registry and its example."""
    if not _KEPT:
        _KEPT.update({f"methods/{row['method']}.md": method_page(row) for row in methods().to_dict("records")})
    return _KEPT


_KEPT: dict[str, str] = {}


def method_page(row):
    """Return one page: estimand, equation, assumption, example, then what it needs and is compared with."""
    code = example(row["method"])
    estimand = row["estimand"]
    lines = [f"# {row['method']}", "", f"{estimand[0].upper()}{estimand[1:]}.", ""]
    lines += ["## Equation", "", "```text", row["equation"], "```", ""]
    lines += ["## Assumption", "", row["assumption"].replace("``", "`"), ""]
    lines += ["## Example", "", "```python", code.rstrip(), "```", "", "```text", run(code), "```", ""]
    lines += ["## Facts", "", "| | |", "|---|---|"]
    lines += [f"| {title} | {_cell(row[key], code=key == 'test')} |" for key, title in FIELDS.items() if row[key]]
    return "\n".join([*lines, ""])


def _cell(text, *, code=False):
    text = str(text).replace("``", "`").replace("|", "\\|")
    return f"`{text}`" if code else re.sub(r"\bdoi:(10\.\S+?)(?=[;,.]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", text)


# ---------------------------------------------------------------- choosing


QUESTIONS = (
    ("Does treatment stay once it has started?", "stays"),
    ("Is any unit never treated?", "never"),
    ("Do units start in different periods?", "staggered"),
    ("Is every unit observed in every period?", "balanced"),
    ("How many periods are there before the first start?", "before"),
)
# The numbers of periods before the first start at which a method's needs begin to be met.
STEPS = sorted({1, *(entry.needs.pre_periods for entry in METHODS)})
ANSWERS = {"before": {step: f"{step}{' or more' * (step == STEPS[-1])}" for step in STEPS}}
YES_NO = {True: "yes", False: "no"}


def small_design(*, stays, never, staggered, balanced, before):
    """Build a panel with these facts, and what a method may need of a covariate."""
    random = np.random.default_rng(0)
    first = 2000 + before
    start = np.where(np.arange(12) % 2 == 0, first, first + 2 if staggered else first).astype(float)
    if never:
        start[8:] = np.nan
    panel = pd.DataFrame({"unit": np.repeat(range(12), before + 4), "period": np.tile(range(2000, first + 4), 12)})
    begun = start[panel["unit"]]
    lasting = panel["period"] >= begun
    panel["treated"] = (lasting & (stays | (panel["period"] < begun + 2))).astype(int)
    panel["share"] = random.uniform(0.4, 0.6, len(panel))
    panel["x"] = panel["unit"] % 3 + 1.0
    if not balanced:
        panel = panel.drop(index=panel.index[-1])
    return ea.diagnose(panel, unit="unit", period="period", outcome="share", treated="treated", covariates=["x"])


def admitted():
    """Return the methods that `estimate` admits for each combination of answers."""
    asked = [ANSWERS.get(key, YES_NO) for _, key in QUESTIONS]
    keys = [key for _, key in QUESTIONS]
    found = {}
    for answers in product(*asked):
        design = small_design(**dict(zip(keys, answers, strict=True)))
        found[answers] = tuple(entry.name for entry in METHODS if applies(entry, design))
    return found


def decision_chart():
    """Draw the questions as a tree; one that changes nothing on its branch is not asked."""
    return "\n".join(['<div class="chart" markdown>', "", *_branch(admitted(), (), 0, ""), "", "</div>"])


def _branch(found, given, depth, answer):
    """Return the lines of a branch: its answer, then the next question or the methods."""
    left = {methods for answers, methods in found.items() if answers[: len(given)] == given}
    space = "    " * depth
    if len(left) == 1:
        return [f"{space}- {answer}{_listed(left.pop())}"]
    asked, key = QUESTIONS[len(given)]
    parts = {one: _part(found, (*given, one)) for one in ANSWERS.get(key, YES_NO)}
    if len(set(parts.values())) == 1:
        return _branch(found, (*given, next(iter(parts))), depth, answer)
    lines = [f"{space}- {answer}**{asked}**"]
    for one, word in ANSWERS.get(key, YES_NO).items():
        lines += _branch(found, (*given, one), depth + 1, f"{word}: ")
    return lines


def _part(found, given):
    """Return what is admitted below an answer, by the answers that follow."""
    return tuple(methods for answers, methods in found.items() if answers[: len(given)] == given)


def _listed(names):
    needed = {entry.name: entry.needs.covariate for entry in METHODS}
    marks = [f"[{name}](methods/{name}.md)" + " (a covariate)" * bool(needed[name]) for name in names]
    return ", ".join(marks) or "no method: [bounds](inference.md) under stated assumptions"


def needs_table():
    """Write what each method needs as a table."""
    lines = ["| method | needs | covariates |", "|---|---|---|"]
    rows = methods()[["method", "needs", "covariates"]].itertuples(index=False)
    return "\n".join([*lines, *(f"| [{name}](methods/{name}.md) | {needs} | {takes} |" for name, needs, takes in rows)])


MADE = {"chart": decision_chart, "needs": needs_table}  # by the comment that stands for them on a page


# ---------------------------------------------------------------- public names


def api_pages():
    """Return one page per section of the page of public names, with the docstrings of its names."""
    pages = {}
    for section in (ROOT / "docs" / "names.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        names = re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)
        slug = re.sub(r"\W+", "-", title.lower()).strip("-")
        blocks = [f"::: {_path(name)}\n" for name in names]
        pages[f"api/{slug}.md"] = "\n".join([f"# {title}", "", *blocks])
    return pages


def _path(name):
    """Return where a public name is defined."""
    found = getattr(ea, name)
    return f"{found.__module__}.{found.__qualname__}" if hasattr(found, "__module__") else found.__name__
