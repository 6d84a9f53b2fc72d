"""Writes the bill of materials of the binary, for each platform of the image, and checks it: sbom.py BINARY FOLDER

FOLDER gets eip-operator.TARGET.cdx.json for each. Each is checked against the schema of CycloneDX 1.5, against Cargo.lock
(every component is in it, with the same version and checksum), against what cargo says is linked into the binary for this
platform, and, for the platform of this machine, against the crates whose source paths BINARY contains: none of those may
be missing. Run it with the Python of .tools/cyclonedx, in the root of the repository.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# The platforms of the Dockerfile, and of deny.toml.
TARGETS = tuple(tomllib.loads(pathlib.Path("deny.toml").read_text())["graph"]["targets"])
NAME = "eip-operator"
FEWEST = 100  # Crates of which the binary is known to be made; fewer mean that they were not found.


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def bill(target, folder):
    """cargo-cyclonedx writes beside Cargo.toml and nowhere else. With the time of the epoch it writes the same each time."""
    written = pathlib.Path(f"{NAME}.{target}.cdx.json")
    environment = os.environ | {"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0")}
    subprocess.run([".tools/cargo-cyclonedx", "cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", target,
                    "--override-filename", written.name.removesuffix(".json"), "--quiet"], check=True, env=environment)
    return written.rename(folder / written.name)


def crates(text):
    """Name and version, of lines as `cargo tree` writes them."""
    return set(re.findall(r"^(\S+) v(\S+)", text, re.M))


def differences(target, document, binary):
    """What is wrong with it, in sentences."""
    faults = JsonStrictValidator(SchemaVersion.V1_5).validate_str(document)
    if faults:
        yield f"it is no CycloneDX 1.5: {faults}"
    document = json.loads(document)
    locked = {(one["name"], one["version"]): one for one in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]}
    described = document["metadata"]["component"]
    named = {(one["name"], one["version"]): one for one in document["components"]}
    if (described["name"], described["version"]) not in locked or described["name"] != NAME:
        yield f"it describes {described['name']} {described['version']}"
    for crate, one in sorted(named.items()):
        checksum = {one["alg"]: one["content"] for one in one.get("hashes", ())}.get("SHA-256")
        if crate not in locked or checksum != locked[crate].get("checksum"):
            yield f"{' '.join(crate)} with SHA-256 {checksum} is not what Cargo.lock has"
    # Procedural macros and build scripts are run by the compiler; what is left is linked.
    tree = output("cargo", "tree", "--locked", "--target", target, "-e", "normal,no-proc-macro", "--prefix", "none")
    linked = crates(tree) - {(NAME, described["version"])}
    yield from (f"{' '.join(crate)} is linked and not named" for crate in sorted(linked - set(named)))
    seen = {(NAME, described["version"])} if binary is None else in_binary(binary)
    yield from (f"{' '.join(crate)} is in the binary and not named" for crate in sorted(seen - set(named))
                if crate[0] != NAME)
    only_tests = {one[0] for one in crates(output("cargo", "tree", "--locked", "-e", "dev", "--depth", "1", "--prefix", "none"))}
    tested = {crate for crate in named if crate[0] in only_tests and crate not in crates(output(
        "cargo", "tree", "--locked", "--target", target, "-e", "normal,build", "--prefix", "none"))}
    yield from (f"{' '.join(crate)} is of the tests alone, and named" for crate in sorted(tested))


def in_binary(binary):
    """The crates whose source files the binary names, in the places where it would panic."""
    path = re.compile(rb"/registry/src/[^/\0]+/([A-Za-z0-9_-]+)-(\d+\.\d+\.\d+[0-9A-Za-z.+-]*)/")
    found = {(name.decode(), version.decode()) for name, version in path.findall(pathlib.Path(binary).read_bytes())}
    if len(found) < FEWEST:
        sys.exit(f"{binary} names {len(found)} crates; at least {FEWEST} are expected of a debug build")
    return found


def main(binary, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    host = re.search(r"^host: (.*)$", output("rustc", "-vV"), re.M)[1]
    wrong = 0
    for target in TARGETS:
        file = bill(target, folder)
        document = file.read_text()
        for difference in differences(target, document, binary if target == host else None):
            print(f"{file}: {difference}", file=sys.stderr)
            wrong += 1
        print(f"{file}: {len(json.loads(document)['components'])} components")
    if host not in TARGETS:
        sys.exit(f"this machine is {host}; the binary can be looked into on {' and '.join(TARGETS)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
