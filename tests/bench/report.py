"""The tables on standard output, the TSV and the plots in tests/bench/results."""
import math
import os
import shutil
import statistics
import subprocess

COLUMNS = ("facteur", "article", "tuned")


class Results:
    def __init__(self):
        self.rows = {}    # name: Row, in the order of their first figure
        self.values = {}  # (name, system): [(round, value)]
        self.rounds = {}  # round: (load average, share of others, good)

    def record(self, row, system, number, value):
        self.rows.setdefault(row.name, row)
        self.values.setdefault((row.name, system), []).append((number, value))

    def chosen(self, name, system):
        """The figures of good rounds; of all rounds where none was good."""
        values = self.values.get((name, system), [])
        good = [value for number, value in values if self.rounds.get(number, (0, 0, True))[2]]
        return good or [value for _, value in values]

    def median(self, name, system):
        values = self.chosen(name, system)
        return statistics.median(values) if values else None


def short(value):
    if value is None:
        return "-"
    if value >= 1000:
        return "%d" % round(value)
    return "%.3g" % value


def cell(results, name, system):
    values = results.chosen(name, system)
    if not values:
        return "-"
    text = short(statistics.median(values))
    if len(values) > 1:
        text += " (%s-%s)" % (short(min(values)), short(max(values)))
    return text


def ratio(results, row):
    """(Facteur's part of the tuned peers' figure as text, goal as text, reached)"""
    ours, theirs = (results.median(row.name, system) for system in ("facteur", "tuned"))
    if row.most and ours is not None:
        return "%.2fx" % (ours / theirs) if theirs else "-", "<=%g" % row.most, ours <= row.most
    if ours is None or theirs is None or not theirs or not ours:
        return "-", "", None
    value = ours / theirs
    text = "%.2fx" % value if value >= 0.1 else "1/%.0f" % (1 / value)
    if row.goal is None:
        return text, "", None
    if row.better == "more":
        return text, ">=%gx" % row.goal, value >= row.goal
    goal = "<=%gx" % row.goal if row.goal >= 1 else "<=1/%g" % round(1 / row.goal, 1)
    return text, goal, value <= row.goal


def of_limit(results, row):
    """Facteur's part of what the machine itself can do."""
    limit, ours = results.median(row.limit, "limit"), results.median(row.name, "facteur")
    return "%.0f %%" % (100 * ours * row.parts / limit) if limit and ours else ""


def in_columns(lines, left):
    """Text of lines of equal length, with a rule below the first; left: the columns that begin at the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = ["  ".join(text.ljust(width) if i in left else text.rjust(width)
                     for i, (text, width) in enumerate(zip(line, widths))).rstrip() for line in lines]
    return [out[0], "-" * len(out[0]), *out[1:]]


def table(results):
    lines = [("", "unit", "Facteur", "article", "tuned", "ratio", "goal", "", "of limit")]
    for row in results.rows.values():
        if row.grows:
            continue
        limit = results.values.get((row.name, "limit"))
        if limit:
            reached = row.least and results.median(row.name, "limit") >= row.least
            lines.append((row.name, row.unit, cell(results, row.name, "limit"), "", "", "",
                          ">=%g" % row.least if row.least else "",
                          "" if row.least is None else "reached" if reached else "MISSED", ""))
            continue
        text, goal, reached = ratio(results, row)
        lines.append((row.name, row.unit, *(cell(results, row.name, s) for s in COLUMNS), text, goal,
                      "" if reached is None else "reached" if reached else "MISSED", of_limit(results, row)))
    out = in_columns(lines, (0, 1, 7))
    bad = [n for n, (_, _, good) in results.rounds.items() if not good]
    out.append("")
    out.append("Median over %d rounds (lowest-highest); ratio and goal against the tuned peers; of limit: "
               "Facteur's part of what the machine itself does." % len(results.rounds))
    if len(bad) == len(results.rounds):
        out.append("NO ROUND WAS GOOD: the machine was busy with other things; an orientation, not a result.")
    elif bad:
        out.append("Left out, the machine was busy: rounds %s." % ", ".join(map(str, bad)))
    return "\n".join(out) + "\n"


def growth(results):
    """{what there is more of: {figure: {system: [(how many, value)]}}}, sizes in order."""
    found = {}
    for row in results.rows.values():
        if row.grows:
            what, count, figure = row.grows
            for system in COLUMNS:
                value = results.median(row.name, system)
                if value is not None:
                    found.setdefault(what, {}).setdefault(figure + ", " + row.unit, {}).setdefault(
                        system, []).append((count, value))
    return {what: {figure: {system: sorted(points) for system, points in lines.items()}
                   for figure, lines in figures.items()} for what, figures in found.items()}


def power(points):
    """By which power of their number the figure grows, at the last step: what is the same for few and for
    many is the most of it before. 0: not at all, 1: as they do."""
    if len(points) < 2:
        return ""
    (first, a), (last, b) = points[-2:]
    return "%.2f" % (math.log(b / a) / math.log(last / first)) if a > 0 and b > 0 else ""


def growth_table(results):
    out = []
    for what, figures in growth(results).items():
        sizes = sorted({count for lines in figures.values() for points in lines.values()
                        for count, _ in points})
        lines = [("with the " + what, "", *map(str, sizes), "power")]
        for figure, systems in figures.items():
            for system, points in systems.items():
                values = dict(points)
                lines.append((figure, system, *(short(values.get(size)) for size in sizes), power(points)))
        out += in_columns(lines, (0, 1)) + [""]
    if out:
        out.append("Power of their number, at the last step: 0 the figure stays, 1 it grows as they do.")
    return "\n".join(out)


def write_tsv(results, path, description):
    with open(path, "w") as out:
        for name, value in description:
            out.write("# %s: %s\n" % (name, value))
        for number, (load, others, good) in results.rounds.items():
            out.write("# round %d: load average %.2f at its start, others took %.0f %%, %s\n"
                      % (number, load, 100 * others, "good" if good else "busy"))
        out.write("row\tunit\tsystem\tround\tvalue\n")
        for (name, system), values in results.values.items():
            for number, value in values:
                out.write("%s\t%s\t%s\t%d\t%.6g\n" % (name, results.rows[name].unit, system, number, value))


PLOT = """set terminal {terminal}
set output '{output}'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 noborder
set logscale y
set grid y
set key top right
set xtics rotate by -35 font ',8'
set bmargin 9
set title '{title}'
set datafile separator '\\t'
plot for [i=2:4] '{data}' using i:xtic(1) title columnheader(i)
"""


def drawn(script, stem, size):
    """The SVG and the PNG that gnuplot makes of a script with places for terminal and output."""
    made = []
    for kind, terminal in (("svg", "svg"), ("png", "pngcairo")):
        output = "%s.%s" % (stem, kind)
        text = script.replace("{terminal}", "%s size %s" % (terminal, size)).replace("{output}", output)
        if subprocess.run(["gnuplot"], input=text, text=True, capture_output=True).returncode == 0:
            made.append(output)
    return made


GROWTH_PLOT = """set terminal {terminal}
set output '{output}'
set logscale xy
set grid
set key bottom right font ',8'
set xlabel '%s'
set multiplot layout %d,4
"""
PANEL = """set title '%s' font ',9'
plot %s
"""


def growth_plots(results, stem):
    """One picture for each thing of which there is ever more; a panel a figure, both axes logarithmic."""
    if shutil.which("gnuplot") is None:
        return []
    made = []
    for what, figures in growth(results).items():
        rows = -(-len(figures) // 4)
        script = GROWTH_PLOT % (what, rows)
        for number, (figure, systems) in enumerate(figures.items()):
            data = "".join("$d%d_%s << E\n%s\nE\n" % (number, system, "\n".join("%d %g" % p for p in points))
                           for system, points in systems.items())
            lines = ", ".join("$d%d_%s using 1:2 with linespoints title '%s'" % (number, system, system)
                              for system in systems)
            script += data + PANEL % (figure, lines)
        made += drawn(script, "%s-growth-%s" % (stem, what), "1600,%d" % (300 * rows))
    return made


def plots(results, stem):
    """One plot a unit, where gnuplot is there; returns the files."""
    if shutil.which("gnuplot") is None:
        return []
    made, units = [], {}
    for row in results.rows.values():
        if not row.grows and all(results.median(row.name, system) for system in COLUMNS):
            units.setdefault(row.unit, []).append(row.name)
    for unit, names in units.items():
        word = "".join(c if c.isalnum() else "-" for c in unit)
        data = "%s-%s.dat" % (stem, word)
        with open(data, "w") as out:
            out.write("row\t%s\n" % "\t".join(COLUMNS))
            for name in names:
                out.write("%s\t%s\n" % (name, "\t".join(
                    "%g" % results.median(name, system) for system in COLUMNS)))
        made += drawn(PLOT.format(title=unit, data=data, terminal="{terminal}", output="{output}"),
                      "%s-%s" % (stem, word), "1400,700")
        os.unlink(data)
    return made
