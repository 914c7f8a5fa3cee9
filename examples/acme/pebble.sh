#!/bin/sh
# Plays the authority: Pebble (Debian package pebble) at https://localhost:14000/dir, with a name server of its own.
# Wants the certificates of examples/certificates.sh. Ends with ctrl-c.
set -eu
certs=$(cd "$(dirname "$0")/../certs" && pwd)
config=$(mktemp)
cat > "$config" << END
{ "pebble": { "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
  "certificate": "$certs/localhost.crt", "privateKey": "$certs/localhost.key", "httpPort": 8080, "tlsPort": 8443 } }
END
pebble-challtestsrv -dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -http01 "" -https01 "" -tlsalpn01 "" &
names=$!
PEBBLE_VA_NOSLEEP=1 pebble -config "$config" -dnsserver 127.0.0.1:8053 &
authority=$!
trap 'kill $names $authority; rm -f "$config"' EXIT
trap 'exit 0' INT TERM
wait
