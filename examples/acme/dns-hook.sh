#!/bin/sh
# Sets and removes a TXT record at the name server of pebble.sh: dns-hook.sh add|remove NAME VALUE
# A real one talks to your name servers, and returns when all of them answer with the record.
set -eu
case $1 in
  add) path=set-txt body="{\"host\":\"$2.\",\"value\":\"$3\"}" ;;
  remove) path=clear-txt body="{\"host\":\"$2.\"}" ;;
  *) echo "use: $0 add|remove NAME VALUE" >&2; exit 2 ;;
esac
curl -fsS -o /dev/null -d "$body" "http://localhost:8055/$path"
