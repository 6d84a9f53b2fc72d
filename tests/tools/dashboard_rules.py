"""Makes recording rules of the queries of a Grafana dashboard, for promtool knows rules and no dashboards.

usage: dashboard_rules.py DASHBOARD.json > RULES.json

Grafana's own variables become what Grafana might put in their place.
"""
import json
import sys

VARIABLES = {"$__rate_interval": "5m", "$namespace": ".*"}


def rules(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            if "$" in query:
                raise SystemExit(f"panel \"{panel['title']}\": unknown variable in {query}; accepted: {', '.join(VARIABLES)}")
            yield {"record": f"panel_{panel['id']}:{target['refId']}", "expr": query}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        dashboard = json.load(file)
    json.dump({"groups": [{"name": dashboard["uid"], "rules": list(rules(dashboard))}]}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
