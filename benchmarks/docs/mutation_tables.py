"""The section of docs/results.md on how well the tests notice faults: mutants by mutmut, and faults planted by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from benchmarks.docs.markdown import table
from benchmarks.quality import mutation
from benchmarks.quality.planted.__main__ import every

Record = dict[str, Any]
Listed = Mapping[str, Mapping[tuple[str, str, str], Record]]


def mutation_section(record: Record) -> str:
    """Return a row for each file that was measured, and one for each reason for which mutants survive."""
    listed, rows, surviving = mutation.reasons(), [], Counter[tuple[str, bool]]()
    for name, group in mutation.GROUPS.items():
        measured = {source: record["files"][source] for source in group.sources if source in record["files"]}
        for source, row in measured.items():
            entries = entries_of(source, row, listed)
            surviving.update(map(reason_of, entries))
            same = sum(entry.get("equivalent", False) for entry in entries)
            rows.append([name, f"`{source}`", str(row["mutants"]), str(row["killed"]), str(same),
                         f"{mutation.score({source: row}, listed):.1%}".replace("%", " %"), row["commit"]])
        if len(measured) > 1:
            rows.append([name, "all of them", *(str(sum(int(row[i]) for row in rows[-len(measured):])) for i in (2, 3, 4)),
                         f"**{mutation.score(measured, listed):.1%}**".replace("%", " %"), ""])
    sampled = record.get("sample", {"files": {}})["files"]
    left = [f"`{source}`" for group in mutation.GROUPS.values() for source in group.sources
            if source not in record["files"] and source not in sampled]
    waiting = [f"Not measured yet: {', '.join(left)}."] if left else []
    waiting += sample_lines(record["sample"], listed) if sampled else []
    for source, row in sampled.items():
        surviving.update(map(reason_of, entries_of(source, row, listed)))
    reasons = [[reason, "yes" if same else "no", str(count)] for (reason, same), count in surviving.most_common()]
    return "\n\n".join((
        table(["group", "file", "mutants", "killed", "equivalent", "killed of the others", "commit"], rows), *waiting,
        "<details><summary>Why mutants survive</summary>", table(["reason", "equivalent", "mutants"], reasons), "</details>",
    ))


def entries_of(source: str, row: Record, listed: Listed) -> list[Record]:
    """Return what is listed of each mutant of a file that survives still, {} where nothing is."""
    return [listed.get(source, {}).get(mutation.key(change), {}) for change in row["survivors"] if not change.get("killed_since")]


def reason_of(entry: Record) -> tuple[str, bool]:
    """Return why a mutant survives, and whether it is equivalent."""
    return entry.get("reason", "no reason is listed"), entry.get("equivalent", False)


def sample_lines(sample: Record, listed: Listed) -> list[str]:
    """Return what came of a random sample of mutants: a sentence and a table of its files."""
    rows, survivors = sample["files"], [change for row in sample["files"].values() for change in row["survivors"]]
    killed, tried = mutation.counted(sample, listed)
    low, high = mutation.interval(killed, tried)
    since = sorted({change["killed_since"] for change in survivors if change.get("killed_since")})
    count = sum(bool(change.get("killed_since")) for change in survivors)
    later = f" Tests added since kill {count} of the {len(survivors)} survivors (commit {', '.join(since)})." if since else ""
    groups = ", ".join(dict.fromkeys(row["group"] for row in rows.values()))
    text = (f"Of the {sum(row['mutants'] for row in rows.values()):,} mutants of the files below ({groups}) a random sample of "
            f"{sum(row['tried'] for row in rows.values())} was tried: {killed} of the {tried} that are not equivalent are killed, "
            f"**{100 * killed / max(tried, 1):.1f} %** (95 % interval {100 * low:.1f} to {100 * high:.1f} %; commit "
            f"{sample['stamp']['commit']}).{later}")
    lines = [[f"`{source}`", str(row["mutants"]), str(row["tried"]), str(row["killed"]),
              str(sum(bool(change.get("killed_since")) for change in row["survivors"]))] for source, row in rows.items()]
    return [text, table(["file", "mutants", "tried", "killed", "killed since"], lines)]


def planted_section(record: Record) -> str:
    """Return how many faults there are for each file, how many were tried, and how many of those were noticed."""
    rows = {(row["path"], row["fault"]): row for row in record["faults"]}
    paths = Counter(fault.path for fault, _ in every())
    tried, noticed = (Counter(row["path"] for row in rows.values() if counts(row)) for counts in (
        lambda row: True, lambda row: row["noticed_by"] is not None))
    lines = [[f"`{path}`", str(count), str(tried[path]), str(noticed[path])] for path, count in paths.items()]
    missed = [f"- `{row['path']}`: {row['fault']}" for row in rows.values() if row["noticed_by"] is None]
    commits = ", ".join(sorted({row["commit"] for row in rows.values()}))
    total = f"{sum(noticed.values())} of the {sum(tried.values())} that were tried are noticed; tried at commit {commits}."
    text = [table(["file", "faults", "tried", "noticed"], lines), total]
    return "\n\n".join((*text, *(["Not noticed:\n\n" + "\n".join(missed)] if missed else [])))
