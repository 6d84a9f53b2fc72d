"""What bin/bench says of its figures: a table, JSON, and which bars they miss."""
import json
import math
import sys

READING = ("Describe", "Get", "List")


def changes(one):
    return sum(count for action, count in one["ec2_calls"].items() if not action.startswith(READING))


def reads(one):
    return sum(one["ec2_calls"].values()) - changes(one)


def kubernetes(one):
    """Without what does not grow with the pods: lists, watches and the Lease."""
    return sum(count for call, count in one["kubernetes_calls"].items()
               if call.split()[0] not in ("list", "watch") and "leases" not in call)


def pods_served(one):
    return {"idle": 0, "one": 1}.get(one["scenario"], one["pods"])


def bars(one):
    """Each: what, found, bar, and whether it counts. Seconds and memory depend on the machine."""
    kind, pods, served = one["scenario"], one["pods"], pods_served(one)
    a_pod = {"appear": 2, "one": 2, "replace": 4, "go": 2}
    if kind == "idle":
        yield "changing EC2 calls", changes(one), 0, True
        yield "EC2 reads an interval", reads(one) / one["intervals"], 3, True
        yield "Kubernetes calls", kubernetes(one), 0, True
    else:
        yield "changing EC2 calls a pod", changes(one) / served, a_pod[kind], True
    if kind in ("appear", "one"):
        cycles = one["ec2_calls"].get("DescribeAddresses", 0)
        yield "EC2 reads", reads(one), cycles * (2 * math.ceil(served / 199) + 1), True
        yield "Kubernetes calls a pod", kubernetes(one) / served, 8, True
    if kind == "appear" and pods == 100:
        yield "EC2 reads", reads(one), 30, True
        yield "seconds to the last pod", one["seconds_last"], 7, False
    if kind == "one":
        yield "seconds from its IP", one["seconds_last"], 0.5, False
    if kind == "go":
        yield "addresses left", one["addresses_left"], 0, True
    if pods <= 5000:
        yield "MiB of memory", one["peak_rss_mib"], 143, False  # 150 MB


def missed(figures):
    """The bars that count and are missed by our own operator, as sentences."""
    return [f"{label(one)}: {what}: {found:g}, where at most {bar} may be" for one in figures if one["own"]
            for what, found, bar, counts in bars(one) if counts and found > bar]


def label(one):
    return f"{one['scenario']}-{one['pods']}"


def shown(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def as_json(figures):
    return "[\n" + ",\n".join(json.dumps(one) for one in figures) + "\n]\n"


def as_table(figures):
    parts = (head(figures), bar_lines(figures), call_lines(figures), trace_lines(figures))
    return "\n\n".join(text for text in map("\n".join, parts) if text)


def head(figures):
    names = {one["operator"] for one in figures}
    wide = 12 + 14 * (len(names) > 1)
    yield (f"{'':{wide}}{'seconds to the':^18}{'EC2 calls':^20}{'Kubernetes':>12}{'CPU':>9}{'memory':>9}")
    yield f"{'scenario':{wide}}{'median':>9}{'last pod':>9}{'changing':>10}{'reading':>10}{'calls':>12}{'s':>9}{'MiB':>9}"
    for one in figures:
        name = label(one) + (f" {one['operator']}" if len(names) > 1 else "")
        yield (f"{name:{wide}}{shown(one['seconds_median'], 2):>9}{shown(one['seconds_last'], 2):>9}{changes(one):10}{reads(one):10}"
               f"{kubernetes(one):12}{one['cpu_seconds']:9.2f}{one['peak_rss_mib']:9.1f}")


def bar_lines(figures):
    yield f"{'':42}{'found':>8}{'bar':>8}"
    for one in figures:
        for what, found, bar, counts in bars(one):
            verdict = "met" if found <= bar else "MISSED" if counts and one["own"] else "above"
            whose = "" if one["own"] else f" {one['operator']}"
            yield f"{label(one) + whose + ': ' + what:42}{found:8.2f}{f'≤ {bar}':>8}  {verdict}"


def call_lines(figures):
    for one in figures:
        ec2 = ", ".join(f"{count} {action}" for action, count in one["ec2_calls"].items())
        calls = ", ".join(f"{count} {call}" for call, count in one["kubernetes_calls"].items())
        whose = "" if one["own"] else f" {one['operator']}"
        gone = f"; the last Eip of before was gone after {one['seconds_gone']:.2f} s" if "seconds_gone" in one else ""
        yield f"{label(one)}{whose}: EC2: {ec2 or 'none'}; Kubernetes: {calls or 'none'}{gone}"


def trace_lines(figures):
    for one in figures:
        if "trace" not in one:
            continue
        yield f"{label(one)}: from when its IP was seen to when its annotations were"
        yield f"{'at ms':>8}{'took':>8}"
        for row in one["trace"]:
            yield f"{row['at_ms']:8.1f}{row['took_ms']:8.1f}  {row['what']}"
        spent = {who: sum(row["took_ms"] for row in one["trace"] if row["what"].startswith(who))
                 for who in ("EC2", "Kubernetes", "(operator)")}
        yield "in all: " + ", ".join(f"{who} {took:.0f} ms" for who, took in spent.items())


def shows(figures, text):
    """Whether a text has the table and the trace of these figures, line by line."""
    return all("\n".join(block) in text for block in (head(figures), trace_lines(figures)))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as kept, open(sys.argv[2], encoding="utf-8") as page:
        sys.exit(0 if shows(json.load(kept), page.read()) else f"{sys.argv[2]} does not show {sys.argv[1]}")
