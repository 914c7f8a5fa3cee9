#!/bin/sh
# Certificates to try the examples with, for 30 days: an authority (ca), servers (localhost, shop.localhost) and a
# client (alice), as NAME.crt and NAME.key in examples/certs, or in the folder that is given. Needs OpenSSL 3.
#   sh examples/certificates.sh [FOLDER]
set -eu
folder=${1:-$(dirname "$0")/certs}
mkdir -p "$folder"
cd "$folder"

new() { # NAME SUBJECT OPTIONS…
  name=$1 subject=$2
  shift 2
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -keyout "$name.key" -out "$name.crt" -subj "$subject" "$@" 2> openssl.log || { cat openssl.log >&2; exit 1; }
}
new ca /CN=example-ca
leaf="-CA ca.crt -CAkey ca.key -addext basicConstraints=CA:FALSE"
# shellcheck disable=SC2086 # several words on purpose
for name in localhost shop.localhost; do
  new "$name" "/CN=$name" $leaf -addext "subjectAltName=DNS:$name"
done
# shellcheck disable=SC2086
new alice /O=Example/CN=alice $leaf -addext extendedKeyUsage=clientAuth
rm -f openssl.log
