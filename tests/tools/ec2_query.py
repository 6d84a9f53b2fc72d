"""A minimal client of the EC2 query protocol, for a stand-in that checks no signatures (standard library only)."""
import http.client
import os
import urllib.parse
import xml.etree.ElementTree as ET

REGION = os.environ.get("AWS_REGION", "us-east-1")
# The stand-in tells services apart by this header alone; it checks neither key nor signature.
AUTHORIZATION = (f"AWS4-HMAC-SHA256 Credential=test/20200101/{REGION}/ec2/aws4_request, "
                 "SignedHeaders=host, Signature=0")


class Ec2Error(Exception):
    """An answer other than 200, or none at all."""


def call(endpoint, action, **parameters):
    """Sends one request and returns the root of the answer, its tags without namespaces."""
    url = urllib.parse.urlsplit(endpoint)
    body = urllib.parse.urlencode({"Action": action, "Version": "2016-11-15", **parameters})
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    try:
        connection.request("POST", "/", body, {"Authorization": AUTHORIZATION,
                                               "Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        raise Ec2Error(f"{action} at {endpoint}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Ec2Error(f"{action}: {describe_failure(answer.status, text)}")
    return parse(text)


def parse(text):
    root = ET.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def describe_failure(status, text):
    try:
        error = parse(text).find(".//Error")
        return f"{error.findtext('Code')}: {error.findtext('Message')}"
    except (ET.ParseError, AttributeError):
        return f"status {status}: {text[:200]}"


def tag_parameters(tags):
    parameters = {}
    for number, (key, value) in enumerate(tags.items(), 1):
        parameters[f"Tag.{number}.Key"] = key
        parameters[f"Tag.{number}.Value"] = value
    return parameters
