#!/usr/bin/env python3
"""What make bench reckons from its figures: medians, ratios and goals, parts of the limit, powers of growth."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "bench")]
import report  # noqa: E402
import tap  # noqa: E402
from measure import COST, RATE, Row  # noqa: E402


def results(*figures):
    """figures: (row, system, round, value)"""
    found = report.Results()
    for figure in figures:
        found.record(*figure)
    return found


def line(text, name):
    """The words of the table's line that begins with it."""
    lines = [" ".join(one.split()) for one in text.splitlines()]
    return next(one for one in lines if one.startswith(name))[len(name):].split()


def good_rounds():
    row = Row("mail", "messages/s", RATE, 6)
    found = results((row, "facteur", 1, 60), (row, "facteur", 2, 600), (row, "tuned", 1, 10), (row, "tuned", 2, 200))
    tap.same(line(report.table(found), "mail")[-3:], ["3.14x", ">=6x", "MISSED"], "without a round that was judged")
    found.rounds = {1: (0.5, 0.01, True), 2: (9, 0.5, False)}
    tap.same(line(report.table(found), "mail")[-3:], ["6.00x", ">=6x", "reached"], "with a busy round")


def costs():
    row = Row("login", "ms", COST, 1 / 4)
    found = results((row, "facteur", 1, 1), (row, "tuned", 1, 3))
    tap.same(line(report.table(found), "login")[-3:], ["0.33x", "<=1/4", "MISSED"])


def limits():
    row, disk = Row("mail to ten", "messages/s", RATE, limit="disk", parts=10), Row("disk", "files/s", RATE)
    found = results((disk, "limit", 1, 2000), (row, "facteur", 1, 50), (row, "tuned", 1, 10))
    tap.same(line(report.table(found), "mail to ten")[-3:], ["5.00x", "25", "%"])
    alone = results((row, "facteur", 1, 50))
    tap.true("25 %" not in report.table(alone), "a part of a limit that was not measured")


def growth():
    figures = []
    for count, value in ((100, 5), (1000, 6), (10000, 60)):
        for system, times in (("facteur", 1), ("tuned", 2)):
            figures.append((Row("SELECT, %d messages" % count, "ms", COST, grows=("messages", count, "SELECT")),
                            system, 1, value * times))
    found = results(*figures)
    text = report.growth_table(found)
    tap.same(line(text, "SELECT, ms facteur"), ["5", "6", "60", "1.00"])
    tap.same(line(text, "SELECT, ms tuned"), ["10", "12", "120", "1.00"])
    tap.true("SELECT" not in report.table(found), "growth is in the table of rows too")
    tap.same(report.power([(10, 4), (1000, 4)]), "0.00", "power of what stays")
    tap.same(report.power([(10, 4)]), "", "power of one size")
    tap.same(report.growth_table(results()), "", "nothing")


sys.exit(tap.run([("the median of good rounds is held against the goal", good_rounds),
                  ("a cost is to be a part of the peers'", costs),
                  ("a figure beside what the machine itself can do", limits),
                  ("growth has a table of its own", growth)]) > 0)
