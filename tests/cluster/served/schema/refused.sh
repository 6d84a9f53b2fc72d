#!/usr/bin/env bash
# Each wrong podName is refused with the message that explains it; one that is just short enough is taken.
set -euo pipefail

claim() {
  printf '{"apiVersion":"materialize.cloud/v1","kind":"Eip","metadata":{"name":"web"},"spec":{%s}}' "$1" |
    kubectl create -n "$NAMESPACE" -f - 2>&1
}

refused() {
  local answer
  if answer=$(claim "$1"); then
    echo "accepted: $1"
    exit 1
  fi
  grep --quiet --fixed-strings "$2" <<<"$answer" || {
    echo "$1: found \"$answer\", expected \"$2\""
    exit 1
  }
}

long=$(printf '%0253d' 0)
refused '"podName":""' 'spec.podName in body should be at least 1 chars long'
refused "\"podName\":\"0$long\"" 'may not be more than 253'
refused '"podName":"a/b"' "spec.podName in body should match '^[a-z0-9]"
refused '"podName":"Web"' "spec.podName in body should match '^[a-z0-9]"
refused '"podName":7' 'spec.podName in body must be of type string'
refused '' 'spec.podName: Required value'
claim "\"podName\":\"$long\""
